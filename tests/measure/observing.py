"""Runs that tests start and watch, and the records that they leave."""

import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

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
        records = sorted(store.records(), key=_start)
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


def records(out: Path) -> list[RunRecord]:
    with Store.existing(out) as store:
        return [record for record in store.records() if not record.is_warmup]


def outcomes(found: list[RunRecord]) -> dict[tuple[str, float], str]:
    return {(record.case.engine, record.case.fraction): record.outcome for record in found}


def _start(record: RunRecord) -> datetime:
    assert record.started_at is not None
    return record.started_at
