"""Runs that tests start and watch, and the records that they leave."""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from cluster import processes
from sparkscale.contract.case import Case
from sparkscale.contract.record import RunRecord
from sparkscale.measure.run import run as running
from sparkscale.measure.run.progress import Piece
from sparkscale.measure.run.run import Request
from sparkscale.store.store import Store

PATIENCE = 90.0

Start = Callable[..., "subprocess.Popen[str]"]


class Silent:
    """Says nothing."""

    def planned(self, pieces: list[Piece]) -> None: ...

    def doing(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...

    def executing(self, case: Case, label: str) -> None: ...

    def phase(self, name: str) -> None: ...

    def finished(self, record: RunRecord, took_seconds: float) -> None: ...

    def close(self) -> None: ...


def measured_in_order(folder: Path, suite: str, observer: Callable[[], Silent]) -> list[RunRecord]:
    """The records of a suite, given as text, in the order of their beginnings; every one is ok."""
    path = folder / "suite.toml"
    path.write_text(suite)
    running.measure(Request(suite=str(path), out=folder / "out"), observer)
    with Store.existing(folder / "out") as store:
        records = sorted(store.records(), key=lambda record: record.started_at)
    assert {record.outcome for record in records} == {"ok"}, [record.error for record in records]
    return records


def warmups_before(records: list[RunRecord]) -> list[tuple[str, ...]]:
    """What should have warmed each of one engine's records of a round, in their order: the ids of all warm-ups; of a
    warm-up, those before it; of an isolated execution, none.
    """
    ids = [record.id for record in records if record.is_warmup]
    return [
        () if record.isolated else tuple(ids[: ids.index(record.id)] if record.is_warmup else ids)
        for record in records
    ]


def worker_of(process: "subprocess.Popen[str]", busy_seconds: float) -> int:
    """The worker that has used this much CPU, so that it is in the middle of a long case."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        for child in psutil.Process(process.pid).children():
            try:
                if os.getsid(child.pid) == child.pid and child.cpu_times().user > busy_seconds:
                    return child.pid
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        time.sleep(0.05)
    raise AssertionError(f"no worker was busy within {PATIENCE} s: {process.communicate()[1][-2000:]}")


def busy_jvm_of(process: "subprocess.Popen[str]") -> int:
    """The worker whose JVM is in the middle of a case: it has used more CPU than starting takes."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.NoSuchProcess):  # one may end while it is looked at
                members = processes.processes_of(child.pid)
                if any(found.name() == "java" and found.cpu_times().user > 18 for found in members):
                    return child.pid
        time.sleep(0.1)
    raise AssertionError(f"no JVM was busy within {PATIENCE} s: {process.communicate()[1][-2000:]}")


def records(out: Path) -> list[RunRecord]:
    with Store.existing(out) as store:
        return [record for record in store.records() if not record.is_warmup]


def outcomes(found: list[RunRecord]) -> dict[tuple[str, float], str]:
    return {(record.case.engine, record.case.fraction): record.outcome for record in found}
