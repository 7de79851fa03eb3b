"""Describes the host, the software, the session and the code of a record."""

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
"""Matches the package's name at the beginning of a requirement, such as "pyspark[connect]>=4.3,<4.4"."""


def packages() -> dict[str, str | None]:
    """Returns the release of each package that can change a measurement, by the name of the package.

    The release is None if the package is not installed. The packages are sparkscale, the requirements of
    sparkscale and its extras, packages that add workloads or data sets, and further packages that engines import.
    If no requirement installs an imported package, the key is its import name, because its package name can vary:
    cuML is in cuml-cu12 or cuml-cu13.
    """
    try:
        requirements = importlib.metadata.requires(PROJECT) or []
    except importlib.metadata.PackageNotFoundError:  # sparkscale runs from a folder and is not installed
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
    """Returns the import names of the libraries and optional packages of all registered engines."""
    engines = (engine for workload in registry.workloads().values() for engine in workload.engines)
    named = (name for engine in engines for name in (engine.library.partition(".")[0], *engine.packages))
    return sorted({name for name in named if name})


def _normal(name: str) -> str:
    """Returns the normalised name of a package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def host() -> dict[str, Any]:
    """Describes this machine: CPU, cores, memory, GPUs and operating system.

    `usable_physical_cores` is less than `usable_cores` if some usable cores are hyper-threads of the same physical
    core. `cpu_quota` is the CPU time per second that a control group grants; None without a quota.
    """
    gpus = gpu.discover()
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
        "gpus": [{"name": device.name, "memory_bytes": device.memory_bytes} for device in gpus.devices],
        "gpu_driver": gpus.driver,
        "os": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()),
    }


def software(java: dict[str, str | None] | None) -> dict[str, Any]:
    """Describes the versions of Python, packages and Java. `java` is the JVM's own report; None without a JVM."""
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
    link: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Describes the resources, the profile and the settings of one worker.

    `collectors` are the garbage collectors of the JVMs on this host. `conf` is Spark's effective configuration,
    without secrets. `collectors` and `conf` are None in a worker without a session. `link` describes the links of
    emulated hosts, with their measured rates; other sessions have no such entry. Values that differ each time and do
    not change a measurement are left out: ids, ports, scratch folders.
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
        "spark_conf": None if conf is None else _stable_settings(conf),
        **({"link": link} if link else {}),
    }


def _stable_settings(conf: dict[str, str]) -> dict[str, str]:
    """Returns the settings without values that differ each time.

    VOLATILE names the settings that are left out. In other settings, `*` replaces ports of this host, addresses of
    emulated hosts and temporary folders.
    """
    settings = {key: value for key, value in conf.items() if key not in VOLATILE}
    return {
        key: JAVA_TEMPORARY.sub(
            "-Djava.io.tmpdir=*", EMULATED_ADDRESS.sub("*", LOOPBACK_PORT.sub(r"\1:*", settings[key]))
        )
        for key in settings
    }


JAVA_TEMPORARY = re.compile(r'"-Djava\.io\.tmpdir=[^"]*"')
EMULATED_ADDRESS = re.compile(r"\b198\.18\.\d+\.\d+(:\d+)?")
"""Matches the addresses of emulated hosts. Each start gets other addresses."""
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
"""A pathspec of git. Changes to these files make a checkout dirty, changes to stored results do not."""
CODE = ("sparkscale", "workloads", "cluster", "benchmarks", "pyproject.toml", "requirements.lock", "asv.conf.json")
"""Files and folders of the checkout that can change a measurement."""


def code_state() -> CodeState:
    """Returns the commit and the uncommitted changes of this code's checkout, without stored results."""
    commit = _git(ROOT, "rev-parse", "HEAD")
    if commit is None:
        return CodeState(commit=None, dirty=None)
    status = _git(ROOT, "status", "--porcelain", "--", *MEASURING)
    changes = _changes(ROOT) if status else None
    return CodeState(commit=commit, dirty=None if status is None else bool(status), changes=changes)


def _changes(folder: Path) -> str | None:
    """Returns a digest of all changed and new files of the code, in hexadecimal; None if git does not answer."""
    paths = [name for name in CODE if (folder / name).exists()]
    changed = _git_bytes(folder, "diff", "HEAD", "--binary", "--no-ext-diff", "--", *paths)
    added = _git_bytes(folder, "ls-files", "-z", "--others", "--exclude-standard", "--", *paths)
    if changed is None or added is None:
        return None
    digest = hashlib.sha256(changed)
    for name in filter(None, added.split(b"\0")):
        digest.update(name)
        with contextlib.suppress(OSError), (folder / os.fsdecode(name)).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _git(folder: Path, *arguments: str) -> str | None:
    output = _git_bytes(folder, *arguments)
    return None if output is None else output.decode(errors="replace").strip()


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
