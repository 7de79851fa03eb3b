"""Shared by all tests: a cache and a lock of their own, prepared data, one Spark session."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from cluster import gpu, lifecycle, profile
from cluster.budget import budget
from cluster.endpoint import existing
from cluster.lifecycle import Cluster
from cluster.profile import Standalone
from cluster.session import SparkRuntime
from sparkscale.contract.case import Case, Device, ParameterSet
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import BusyError
from sparkscale.measure.run.lock import machine_lock
from tests import brief_jvm
from tests.calling import called
from tests.cluster.using import found_java
from workloads.base import Engine, Params, Sample, Workload
from workloads.datasets.flights import Flights
from workloads.libraries.tasks import Here

Runs = Callable[..., Context]
Ask = Callable[..., "subprocess.CompletedProcess[str]"]
Call = Callable[..., "subprocess.CompletedProcess[str]"]


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")


def pytest_configure(config: pytest.Config) -> None:
    """Takes the machine's lock for all tests, so that a user's run and the tests do not disturb each other.

    Commands that tests start measure under this lock, so several may run at once. If a user's run has the lock, the
    tests that measure fail and say so; the others run.
    """
    is_child = hasattr(config, "workerinput")
    if not is_child:
        held = ExitStack()
        with suppress(BusyError):
            held.enter_context(machine_lock())
        if getattr(config.option, "numprocesses", None):  # then it is worth the time
            held.enter_context(brief_java(config).making())
        config.add_cleanup(held.close)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files with many slow tests first, because the last file to end decides when all tests have ended."""
    weights: Counter[Path] = Counter()
    for item in items:
        weights[item.path] += (
            1000 if item.get_closest_marker("slow") else 10 if item.get_closest_marker("spark") else 1
        )
    items.sort(key=lambda item: -weights[item.path])


def brief_java(config: pytest.Config) -> brief_jvm.Java:
    return brief_jvm.Java(config.rootpath / ".pytest_cache" / "java")


@pytest.fixture(scope="session", autouse=True)
def isolation(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[None]:
    """Gives tests a cache and temporary files of their own. They share only the machine's lock with a user's runs.

    Threads of OpenMP do not spin, because tests share the cores.
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup the commands that tests start would ignore it, too
    named = ("XDG_CACHE_HOME", "TMPDIR", "JAVA_HOME", "JAVA_TOOL_OPTIONS", "OMP_WAIT_POLICY")
    kept = {name: os.environ.get(name) for name in named}
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["JAVA_TOOL_OPTIONS"] = brief_jvm.OPTIONS
    if home := brief_java(pytestconfig).home:
        os.environ["JAVA_HOME"] = str(home)
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("tmp"))
    tempfile.tempdir = None
    yield
    for name, value in kept.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    tempfile.tempdir = None


@pytest.fixture(scope="session")
def data() -> PreparedDataset:
    """The real data set, prepared once."""
    return Flights().prepare(str(profile.cache_folder()), Here())


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    if CHROMIUM is None:
        pytest.skip("there is no browser: install Debian's chromium")
    as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *as_root])
        yield started
        started.close()


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkRuntime]:
    """One session for all tests, started as a worker starts it."""
    from cluster import session

    os.environ.update(found_java().environment())
    local = profile.load("local")
    granted = budget(local)
    small = granted.model_copy(update={"driver": granted.driver.model_copy(update={"heap_bytes": 3 * 2**30})})
    scratch = tmp_path_factory.mktemp("spark")
    runtime = session.start(local, small, existing(local), threads=1, device="cpu", scratch=scratch)
    yield runtime
    runtime.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Master and two Workers of one core each, for all tests that leave them whole."""
    with standalone_cluster(tmp_path_factory.mktemp("standalone"), "shared") as found:
        yield found


@contextmanager
def standalone_cluster(folder: Path, name: str, **settings: Any) -> Iterator[Cluster]:
    """A small cluster of its own, which ends with the block."""
    small = {"workers": 2, "cores": 1, "memory": "2g", "driver_memory": "2g"}
    where = Standalone.model_validate({"name": name, "kind": "standalone", **small, **settings})
    with lifecycle.cluster_for(where, budget(where), found_java(), folder / "cluster", folder / "logs") as found:
        yield found


@pytest.fixture
def runs(data: PreparedDataset) -> Iterator[Runs]:
    """Makes contexts of cases: runs(workload, engine, fraction, params, spark=…)."""
    made: list[Context] = []

    def make(
        workload: Workload,
        engine: type[Engine],
        fraction: float,
        params: Params | None = None,
        parameter_set: ParameterSet = "aligned",
        spark: SparkRuntime | None = None,
        on: PreparedDataset = data,
        device: Device = "cpu",
    ) -> Context:
        rows = workload.pattern.rows(on, params or workload.params, fraction, 0)
        case = Case(
            workload=workload.name,
            version=workload.version,
            pattern=workload.pattern.name,
            task=on.task,
            engine=engine.name,
            placement=engine.placement,
            cluster="local",
            cluster_kind="local",
            device=device,
            dataset=on.name,
            dataset_id=on.dataset_id,
            rows=rows,
            fraction=fraction,
            sample_seed=0,
            model_seed=0,
            threads=2 if engine.placement == "node" else 1,
            params=engine().case_params(
                parameter_set,
                params or workload.params,
                Sample.of(on, rows, fraction, 0),
                workload.capacity,
            ),
        )
        run = Context(
            case=case,
            data=on,
            cores=2,
            slots=2,
            storage="",
            spark=spark.spark if spark else None,
            declared=workload.figure_names,
        )
        made.append(run)
        return run

    yield make
    for run in made:
        run.stack.close()


@pytest.fixture(scope="session")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a library of NVML's name and interface, for LD_LIBRARY_PATH."""
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("cluster") / "nvml.c"
    command = ["gcc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(folder / "libnvidia-ml.so.1"), str(source)]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture
def ask(nvml: Path) -> Ask:
    """Runs Python where that library is found."""

    def run(*arguments: str, timeout: float = 60, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "LD_LIBRARY_PATH": str(nvml), **variables}
        for name in gpu.ORDER:
            environment.pop(name, None)  # a test that binds a GPU in this process leaves it behind
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)

    return run


@pytest.fixture
def command() -> Call:
    """Runs the command line in a process, as a user does."""

    def call(
        *arguments: str, cwd: Path | None = None, env: Mapping[str, object] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "sparkscale", *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=cwd,
            env={**os.environ, **{name: str(value) for name, value in (env or {}).items()}},
        )

    return call


@pytest.fixture
def sparkscale(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs the command line in this process, without a second of imports: the same entry, exit codes and texts."""

    def call(
        *arguments: str, cwd: Path | None = None, env: Mapping[str, object] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        with monkeypatch.context() as patch:
            patch.chdir(cwd or Path.cwd())
            for name, value in (env or {}).items():
                patch.setenv(name, str(value))
            return called(*arguments)

    return call
