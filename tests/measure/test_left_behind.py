"""Nothing stays behind: processes, shared memory, temporary files and ports before and after each way to end."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from sparkscale.store.store import Store
from tests.measure.toy_suites import DATA

pytestmark = [pytest.mark.spark, pytest.mark.slow]

PATIENCE = 120.0
SHARED_MEMORY = Path("/dev/shm")

SUITE = """
rounds = 1
deadline_seconds = {deadline}
clusters = ["{cluster}"]

[dataset.few]
kind = "devices"
rows = {rows}
devices = 20
skew = 0.0

[dataset.small]
kind = "classification"
rows = 4000
features = 4

[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["mllib"]
datasets = ["small"]
params = {{ trees = {trees} }}
isolate = true

[[measure]]
workload = "per_group.gradient_boosting"
engines = ["joblib"]
datasets = ["few"]
params = {{ trees = {trees} }}
isolate = true

[[measure]]
workload = "tuning.gradient_boosting"
engines = ["optuna-joblib"]
datasets = ["small"]
params = {{ trials = {trees} }}
isolate = true
"""
ENGINES = ("mllib", "joblib", "optuna-joblib")

TEMPLATE = "workloads.tuning.process"
"""The module that a process runs which forks a child for each trial."""
BUSY_PROCESSES = {"toy": ["joblib-0", "joblib-1"], "toy-spark": ["joblib-0", "joblib-1", "task-0", "task-1"]}
"""The processes of a toy, by what they write behind the marker's name when they begin."""


def busy(marker: Path) -> str:
    """A suite with cases that do not end by themselves, and with one that does."""
    return f"""
rounds = 1
{DATA}
[[measure]]
workload = "data_parallel.toy"
engines = ["toy", "toy-spark"]
datasets = ["tiny"]
params = {{ processes = 2, marker = "{marker}", seconds = 600.0 }}
isolate = true

[[measure]]
workload = "data_parallel.toy"
engines = ["bystander"]
datasets = ["tiny"]

[[measure]]
workload = "tuning.gradient_boosting"
engines = ["optuna-joblib"]
datasets = ["tiny"]
params = {{ trials = 20000 }}
isolate = true
"""


@dataclass
class Inventory:
    """What a run has on this machine, beyond the shared memory that was there before. `ever` are the ids of all
    processes that it was seen to have.
    """

    temporary: Path
    ever: set[int] = field(default_factory=set)
    before: set[str] = field(default_factory=lambda: {path.name for path in SHARED_MEMORY.iterdir()})

    def processes(self) -> list[psutil.Process]:
        """Those that were given the run's folder for temporary files, directly or by another."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                is_ours = process.environ().get("TMPDIR", "").startswith(str(self.temporary))
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        self.ever |= {process.pid for process in found}  # a new set: another thread may go through the old one
        return found

    def shared_memory(self) -> list[str]:
        """Names that hold the id of a process of the run, as joblib's and loky's do."""
        numbers = {str(pid) for pid in self.ever}
        names = {path.name for path in SHARED_MEMORY.iterdir()} - self.before
        return sorted(name for name in names if numbers & set(_numbers(name)))

    def files(self) -> list[str]:
        """As os.walk sees them, which does not mind that folders vanish meanwhile."""
        found = [Path(folder) / name for folder, _, names in os.walk(self.temporary) for name in [".", *names]]
        return sorted(str(path.relative_to(self.temporary)) for path in found if path != self.temporary)

    def commands(self) -> list[str]:
        """The commands of the processes, as far as they still run while they are listed."""
        found = []
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                found.append(" ".join(process.cmdline())[:120])
        return found

    def ports(self) -> list[int]:
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                found += [one.laddr.port for one in process.net_connections("inet") if one.status == "LISTEN"]
        return sorted(found)

    def left(self, patience_seconds: float = 20.0) -> dict[str, list[str]]:
        """By kind, once there is nothing or patience is at its end."""
        deadline = time.monotonic() + patience_seconds
        while True:
            found = {
                "processes": self.commands(),
                "shared memory": self.shared_memory(),
                "files": self.files(),
                "ports": list(map(str, self.ports())),
            }
            if not any(found.values()) or time.monotonic() > deadline:
                return {kind: names for kind, names in found.items() if names}
            time.sleep(0.2)


def _numbers(name: str) -> list[str]:
    return "".join(char if char.isdigit() else " " for char in name).split()


@dataclass
class Run:
    """A run in the background, with its inventory."""

    inventory: Inventory
    folder: Path
    most: dict[str, int] = field(default_factory=dict)
    """Of each kind, the most that there was at one time."""

    @property
    def marker(self) -> Path:
        return self.folder / "busy"

    def start(
        self, trees: int, deadline: int = 600, memory: str = "", rows: int = 8000, engine: str = ""
    ) -> "subprocess.Popen[str]":
        """A run of the three engines, or of one of them."""
        cluster = "local"
        if memory:
            cluster = str(self.folder / "small.toml")
            Path(cluster).write_text(f'kind = "local"\nmemory = "{memory}"\n')
        return self._started(SUITE.format(deadline=deadline, trees=trees, cluster=cluster, rows=rows), engine)

    def start_busy(self, engine: str) -> "subprocess.Popen[str]":
        """A run of an engine that does not end by itself, or of `bystander`."""
        return self._started(busy(self.marker), engine)

    def _started(self, suite: str, engine: str) -> "subprocess.Popen[str]":
        path = self.folder / "mine.toml"
        path.write_text(suite)
        command = [sys.executable, "-m", "sparkscale", "run", "--suite", str(path), "--out", str(self.folder / "out")]
        arguments = ["--filter", f"engine={engine}"] if engine else []
        with (self.folder / "stderr").open("w") as stderr:
            return subprocess.Popen(
                [*command, *arguments],
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                text=True,
                env={**os.environ, "TMPDIR": str(self.inventory.temporary)},
            )

    def watch(self, process: "subprocess.Popen[str]") -> None:
        """Until it ends: which processes it has, and how much of each kind."""

        def watching() -> None:
            while process.poll() is None:
                kinds = {
                    "processes": len(self.inventory.processes()),
                    "shared memory": len(self.inventory.shared_memory()),
                    "files": len(self.inventory.files()),
                    "ports": len(self.inventory.ports()),
                }
                for kind, number in kinds.items():
                    self.most[kind] = max(number, self.most.get(kind, 0))
                time.sleep(0.3)

        threading.Thread(target=watching, daemon=True).start()

    def await_busy(self, process: "subprocess.Popen[str]", engine: str) -> None:
        """Until the engine is in the middle of its case, with all its processes."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            if self._trains_trials() if engine == "optuna-joblib" else self._toys_are_busy(engine):
                return
            time.sleep(0.05)
        raise AssertionError(f"{engine} was not busy: {(self.folder / 'stderr').read_text()[-2000:]}")

    def _toys_are_busy(self, engine: str) -> bool:
        return all(self.marker.with_name(f"{self.marker.name}-{name}").exists() for name in BUSY_PROCESSES[engine])

    def _trains_trials(self) -> bool:
        """Whether a process that searches has a child that trains."""
        for process in self.inventory.processes():
            with suppress(psutil.Error):
                if TEMPLATE in process.cmdline() and process.children():
                    return True
        return False

    def outcomes(self) -> dict[str, str]:
        with Store.existing(self.folder / "out") as store:
            return {r.case.engine: r.outcome for r in store.records() if not r.is_warmup}

    def report(self, how: str) -> None:
        """For a person who runs this test with -s."""
        most = ", ".join(f"{number} {kind}" for kind, number in self.most.items())
        print(f"\n{how}: at most {most}; left: {self.inventory.left(1.0) or 'nothing'}")  # noqa: T201


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    temporary = Path(tempfile.mkdtemp(prefix="left-", dir="/tmp"))  # short, for sockets lie in it
    found = Run(Inventory(temporary), tmp_path)
    yield found
    for process in found.inventory.processes():
        with suppress(psutil.NoSuchProcess):
            process.kill()
    shutil.rmtree(temporary, ignore_errors=True)


def test_a_clean_end_leaves_nothing(run: Run) -> None:
    process = run.start(3)
    run.watch(process)
    assert process.wait(2 * PATIENCE) == 0, (run.folder / "stderr").read_text()
    run.report("a clean end")
    assert run.outcomes() == dict.fromkeys(ENGINES, "ok")
    assert run.most["ports"] > 0
    assert run.inventory.left() == {}


def test_a_timeout_leaves_nothing(run: Run) -> None:
    process = run.start(20_000, 6)
    run.watch(process)
    assert process.wait(2 * PATIENCE) == 1
    run.report("a time-out of each case")
    assert run.outcomes() == dict.fromkeys(ENGINES, "timeout")
    assert run.inventory.left() == {}


def test_too_little_memory_leaves_nothing(run: Run) -> None:
    process = run.start(20_000, 60, "420m", 100_000, "joblib")
    run.watch(process)
    assert process.wait(2 * PATIENCE) == 1
    run.report("an oom")
    assert run.outcomes() == {"joblib": "oom"}
    assert run.inventory.left() == {}


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(("how", "engine"), [(signal.SIGINT, "toy-spark"), (signal.SIGHUP, "toy")])
def test_an_interrupt_leaves_nothing(run: Run, how: signal.Signals, engine: str) -> None:
    """`toy-spark` has a JVM, Spark's Python workers, and processes of joblib with an array in shared memory."""
    process = run.start_busy(engine)
    run.watch(process)
    run.await_busy(process, engine)
    if engine == "toy-spark":
        assert all([run.inventory.processes(), run.inventory.shared_memory(), run.inventory.ports()])
    process.send_signal(how)
    assert process.wait(PATIENCE) == 130, (run.folder / "stderr").read_text()
    run.report(f"{how.name} while {engine} is measured")
    assert run.inventory.left() == {}


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("engine", ["toy-spark", "optuna-joblib"])
def test_what_a_killed_run_left_is_gone_after_the_next(run: Run, engine: str) -> None:
    process = run.start_busy(engine)
    run.watch(process)
    run.await_busy(process, engine)
    process.kill()
    process.wait()
    run.report(f"SIGKILL of the runner while {engine} is measured, at once")
    again = run.start_busy("bystander")
    assert again.wait(PATIENCE) == 0, (run.folder / "stderr").read_text()
    run.report("after the next run")
    assert run.inventory.left() == {}
