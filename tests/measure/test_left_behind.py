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

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.usefixtures("data")]

PATIENCE = 120.0
SHARED_MEMORY = Path("/dev/shm")
JAVA_BUSY, PYTHON_BUSY = 12.0, 1.5
"""Seconds of CPU that a JVM, or a Python worker beside the first, has used in the middle of a case."""

SUITE = """
rounds = 1
deadline_seconds = {deadline}
clusters = ["{cluster}"]

[dataset.few]
kind = "devices"
rows = {rows}
devices = 20
skew = 0.0

[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["mllib"]
fractions = ["1/64"]
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
fractions = ["1/64"]
params = {{ trials = {trees} }}
isolate = true
"""
ENGINES = ("mllib", "joblib", "optuna-joblib")


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
                "processes": [" ".join(process.cmdline())[:120] for process in self.processes()],
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

    def start(self, trees: int, deadline: int = 600, memory: str = "", *arguments: str) -> "subprocess.Popen[str]":
        cluster = "local"
        if memory:
            cluster = str(self.folder / "small.toml")
            Path(cluster).write_text(f'kind = "local"\nmemory = "{memory}"\n')
        suite = self.folder / "mine.toml"
        rows = 8000 if trees < 100 else 100_000
        suite.write_text(SUITE.format(deadline=deadline, trees=trees, cluster=cluster, rows=rows))
        command = [
            sys.executable,
            "-m",
            "sparkscale",
            "run",
            "--suite",
            str(suite),
            "--out",
            str(self.folder / "out"),
        ]
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
        """Until the engine is in the middle of its case."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            used = {"java": 0.0, "python": 0.0}
            for child in self.inventory.processes():
                with suppress(psutil.Error):
                    kind = "java" if child.name() == "java" else "python"
                    is_worker = kind == "java" or child.ppid() != process.pid
                    if is_worker and child.pid != process.pid:
                        times = child.cpu_times()
                        used[kind] = max(used[kind], times.user + times.children_user)
            if used["java"] > JAVA_BUSY if engine == "mllib" else used["python"] > PYTHON_BUSY:
                return
            time.sleep(0.1)
        raise AssertionError(f"{engine} was not busy: {(self.folder / 'stderr').read_text()[-2000:]}")

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
    process = run.start(20_000, 60, "420m", "--filter", "engine=joblib")
    run.watch(process)
    assert process.wait(2 * PATIENCE) == 1
    run.report("an oom")
    assert run.outcomes() == {"joblib": "oom"}
    assert run.inventory.left() == {}


@pytest.mark.parametrize(
    ("how", "engine"), [*((signal.SIGINT, engine) for engine in ENGINES), (signal.SIGHUP, "joblib")]
)
def test_an_interrupt_leaves_nothing(run: Run, how: signal.Signals, engine: str) -> None:
    process = run.start(20_000, 600, "", "--filter", f"engine={engine}")
    run.watch(process)
    run.await_busy(process, engine)
    process.send_signal(how)
    assert process.wait(PATIENCE) == 130, (run.folder / "stderr").read_text()
    run.report(f"{how.name} while {engine} is measured")
    assert run.inventory.left() == {}


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_killed_run_left_is_gone_after_the_next(run: Run, engine: str) -> None:
    process = run.start(20_000, 600, "", "--filter", f"engine={engine}")
    run.watch(process)
    run.await_busy(process, engine)
    process.kill()
    process.wait()
    run.report(f"SIGKILL of the runner while {engine} is measured, at once")
    again = run.start(2, 600, "", "--filter", "engine=joblib")
    assert again.wait(PATIENCE) == 0, (run.folder / "stderr").read_text()
    run.report("after the next run")
    assert run.inventory.left() == {}
