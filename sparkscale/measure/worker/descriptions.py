"""The descriptions that records refer to: host, software and session."""

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

import sparkscale
from cluster import gpu
from cluster.granted import granted_cpus, limits
from cluster.jvm import JAVA_VARIABLES
from cluster.topology import physical_cores, topology
from sparkscale.contract import plugins
from sparkscale.contract.record import CodeState
from sparkscale.contract.threads import THREAD_VARIABLES
from workloads import registry

PROJECT = "sparkscale"
REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")
"""The name at the beginning of a requirement, such as "pyspark[connect]>=4.3,<4.4"."""


def packages() -> dict[str, str | None]:
    """The release of each package that can change a figure, by its name; None for one that is not installed.

    They are sparkscale itself, its requirements, those of its extras included, what adds workloads or data sets, and
    what the engines import beyond them. An engine's import name stands for its package where no requirement installs
    it: cuML comes as cuml-cu12, or cuml-cu13.
    """
    try:
        requirements = importlib.metadata.requires(PROJECT) or []
    except importlib.metadata.PackageNotFoundError:  # run from a folder where nothing was installed
        requirements = []
    added = [plugins.package(entry) for group in plugins.GROUPS for entry in plugins.entries(group)]
    required = dict.fromkeys(
        _normal(found.group()) for text in (PROJECT, *requirements, *added) if (found := REQUIREMENT.match(text))
    )
    releases = {name: _release(name) for name in required}
    distributions = importlib.metadata.packages_distributions()
    for name in _imported():
        installed = distributions.get(name, [])
        if required.keys().isdisjoint(map(_normal, installed)):
            releases[_normal(name)] = next((_release(found) for found in installed), None)
    return dict(sorted(releases.items()))


def _imported() -> list[str]:
    """Import names of the registered engines' libraries and optional packages."""
    engines = (engine for workload in registry.workloads().values() for engine in workload.engines)
    named = (name for engine in engines for name in (engine.library.partition(".")[0], *engine.packages))
    return sorted({name for name in named if name})


def _normal(name: str) -> str:
    """A package's name as the index spells it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def host() -> dict[str, Any]:
    """CPU, cores, memory, GPUs and operating system of this machine.

    `usable_physical_cores` is less than `usable_cores` where some are hyper-threads of one core. `cpu_quota` is the
    CPU time per second that a control group grants, None without one.
    """
    found = gpu.discover()
    cpus = granted_cpus()
    return {
        "hostname": platform.node(),
        "cpu": _cpu_model(),
        "logical_cores": psutil.cpu_count(),
        "physical_cores": psutil.cpu_count(logical=False),
        "usable_cores": len(cpus),
        "usable_physical_cores": physical_cores(cpus, topology()),
        "cpu_quota": limits().cpus,
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": [{"name": device.name, "memory_bytes": device.memory_bytes} for device in found.devices],
        "gpu_driver": found.driver,
        "os": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()),
    }


def software(java: dict[str, str | None] | None) -> dict[str, Any]:
    """Versions; `java` holds what the JVM says of itself and its BLAS, None in a process without one."""
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "packages": packages(),
        "java_version": None,
        "java_release": None,
        "java_vendor": None,
        "jvm_blas": None,
        **(java or {}),
    }


def session(
    cluster: dict[str, Any],
    budget: dict[str, Any],
    threads: int,
    cpus: tuple[int, ...],
    memory_bytes: int,
    memory_limit: str | None,
    collectors: list[dict[str, Any]] | None,
    conf: dict[str, str] | None,
) -> dict[str, Any]:
    """The grants of one worker, and its profile. `collectors` are those of the JVMs on this host, `conf` is Spark's
    effective configuration without secrets; both None in a worker without a session.

    Left out is what differs each time without changing what is measured: ids, ports, scratch folders.
    """
    return {
        "cluster": cluster["name"],
        "profile": cluster,
        "budget": budget,
        "threads": threads,
        "thread_variables": {name: os.environ.get(name) for name in THREAD_VARIABLES},
        "java_variables": {name: os.environ[name] for name in JAVA_VARIABLES if name in os.environ},
        "cpus": list(cpus),
        "physical_cores": physical_cores(cpus, topology()),
        "memory_bytes": memory_bytes,
        "memory_limit": memory_limit,
        "collectors": collectors,
        "spark_conf": None if conf is None else _lasting(conf),
    }


def _lasting(conf: dict[str, str]) -> dict[str, str]:
    """A free port of this host's is written as `*`, as is the folder of a JVM's temporary files."""
    kept = {key: value for key, value in conf.items() if key not in VOLATILE}
    return {key: JAVA_TEMPORARY.sub("-Djava.io.tmpdir=*", LOOPBACK_PORT.sub(r"\1:*", kept[key])) for key in kept}


JAVA_TEMPORARY = re.compile(r'"-Djava\.io\.tmpdir=[^"]*"')
LOOPBACK_PORT = re.compile(r"(127\.0\.0\.1|localhost):\d+")
VOLATILE = {
    "spark.app.id",
    "spark.app.startTime",
    "spark.app.submitTime",
    "spark.driver.port",
    "spark.eventLog.dir",
    "spark.local.dir",
    "spark.repl.local.jars",
    "spark.app.initial.file.urls",
    "spark.connect.grpc.binding.port",
    "spark.sql.warehouse.dir",
}


ROOT = Path(sparkscale.__file__).resolve().parents[1]
"""The checkout that this code runs from."""
MEASURING = (".", ":(exclude)results")
"""The files of a checkout that make it another than its commit's, in git's words."""
CODE = ("sparkscale", "workloads", "cluster", "benchmarks", "pyproject.toml", "requirements.lock", "asv.conf.json")
"""Those that can change a figure."""


def code_state() -> CodeState:
    """Commit of the checkout that this code runs from, and its changes, those of results aside."""
    commit = _git(ROOT, "rev-parse", "HEAD")
    if commit is None:
        return CodeState(commit=None, dirty=None)
    status = _git(ROOT, "status", "--porcelain", "--", *MEASURING)
    changes = _changes(ROOT) if status else None
    return CodeState(commit=commit, dirty=None if status is None else bool(status), changes=changes)


def _changes(folder: Path) -> str | None:
    """A digest of the files of code that differ from the commit's, and of those that it does not have."""
    there = [name for name in CODE if (folder / name).exists()]
    changed = _git_bytes(folder, "diff", "HEAD", "--binary", "--no-ext-diff", "--", *there)
    added = _git_bytes(folder, "ls-files", "-z", "--others", "--exclude-standard", "--", *there)
    if changed is None or added is None:
        return None
    found = hashlib.sha256(changed)
    for name in filter(None, added.split(b"\0")):
        found.update(name)
        with contextlib.suppress(OSError), (folder / os.fsdecode(name)).open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def _git(folder: Path, *arguments: str) -> str | None:
    said = _git_bytes(folder, *arguments)
    return None if said is None else said.decode(errors="replace").strip()


def _git_bytes(folder: Path, *arguments: str) -> bytes | None:
    try:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _release(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
