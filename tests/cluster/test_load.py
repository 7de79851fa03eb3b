"""How busy CPUs were, and with whose work."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster import load
from cluster.load import Load
from sparkscale.measure.worker.phases import PhaseClock

BURN = "import os\nos.sched_setaffinity(0, {cpus})\nwhile True: pass"
LEAST = 0.3
"""Of a second, what a process that wants all of a CPU gets of it at least, beside other tests."""


@contextmanager
def burning(cpus: set[int]) -> Iterator[int]:
    """A process in a session of its own that uses one of these CPUs all the time; its id."""
    process = subprocess.Popen([sys.executable, "-c", BURN.format(cpus=cpus)], start_new_session=True)
    try:
        time.sleep(0.3)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_work_of_these_cpus_is_counted() -> None:
    cpus = os.sched_getaffinity(0)
    with burning(cpus):
        before = Load.of(cpus)
        time.sleep(1.0)
        after = Load.of(cpus)
    assert before is not None
    assert after is not None
    assert LEAST <= after.busy - before.busy <= 1.5 * len(cpus)
    assert after.stolen >= before.stolen


@pytest.mark.parametrize("text", [None, "cpu 1 2", "cpu0 1 2 3\n", "cpu0 a b c d e f g h i\n"])
def test_a_kernel_that_does_not_tell_is_no_idle_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.setattr(load, "STAT", tmp_path / "stat")
    if text is not None:
        (tmp_path / "stat").write_text(text)
    assert Load.of({0}) is None


class Sleeping:
    """An engine of one phase that uses no CPU."""

    def fit(self, run: object) -> None:  # noqa: ARG002
        time.sleep(1.0)


def test_what_others_use_in_a_phase_is_seen() -> None:
    cpus = tuple(os.sched_getaffinity(0))
    with burning(set(cpus)):
        clock = PhaseClock(lambda _: None, (), cpus)
        clock.run(Sleeping(), ("fit",), None)  # type: ignore[arg-type]
    assert clock.foreign is not None
    assert LEAST <= clock.foreign <= 1.5 * len(cpus)


def test_the_cases_own_work_is_not_counted_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 5 s of work in each of two phases 3 s are the case's own, and it waited 1 s for a hypervisor."""
    loads = iter([Load(10.0, 2.0), Load(15.0, 3.0), Load(20.0, 3.0), Load(25.0, 4.0)])
    spent = iter([1.0, 4.0, 4.0, 7.0])
    monkeypatch.setattr(Load, "of", lambda _: next(loads))
    monkeypatch.setattr(PhaseClock, "_spent", lambda _: next(spent))
    clock = PhaseClock(lambda _: None, (), (0, 1))
    clock.run(Quick(), ("load", "fit"), None)  # type: ignore[arg-type]
    assert (clock.cpu_seconds, clock.foreign, clock.stolen) == (6.0, 4.0, 2.0)


class Quick:
    """An engine of two phases."""

    def load(self, run: object) -> None: ...

    def fit(self, run: object, loaded: object) -> None: ...


def test_where_the_kernel_does_not_tell_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "STAT", Path("/proc/no-such-file"))
    clock = PhaseClock(lambda _: None, (), (0,))
    clock.run(Sleeping(), ("fit",), None)  # type: ignore[arg-type]
    assert (clock.foreign, clock.stolen) == (None, None)
