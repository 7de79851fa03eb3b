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
from sparkscale.measure.worker import PhaseClock

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


def test_what_others_use_in_a_phase_is_told_from_what_the_case_does() -> None:
    cpus = tuple(os.sched_getaffinity(0))
    with burning(set(cpus)) as pid:
        found = []
        for own in ((), (pid,)):
            clock = PhaseClock(lambda _: None, own, cpus)
            clock.run(Sleeping(), ("fit",), None)  # type: ignore[arg-type]
            assert clock.foreign is not None
            found.append(clock)
    theirs, ours = found
    assert theirs.foreign is not None
    assert theirs.foreign >= LEAST
    assert theirs.cpu_seconds == 0
    assert ours.cpu_seconds >= LEAST
    assert ours.foreign is not None
    assert ours.foreign + ours.cpu_seconds <= 1.5 * len(cpus)


def test_where_the_kernel_does_not_tell_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "STAT", Path("/proc/no-such-file"))
    clock = PhaseClock(lambda _: None, (), (0,))
    clock.run(Sleeping(), ("fit",), None)  # type: ignore[arg-type]
    assert (clock.foreign, clock.stolen) == (None, None)
