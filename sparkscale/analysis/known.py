"""Collects the comparable records of one data set from several runs.

Records of other hosts, package versions, profiles or workload versions are left out, because a median over them would
describe none of them. Runs that repeat the same seeds add rounds for times, but no new samples or models.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sparkscale.analysis.conditions import Reader
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

Matches = Callable[[dict[str, Any]], bool]
"""Returns true for the description of the requested data set."""

COMMANDS = ("run", "decide", "import")
"""The commands whose records answer questions. Other commands measure with fixed seeds or other settings."""


@dataclass(frozen=True)
class Known:
    """The comparable records of one data set, and the ids of their runs.

    Rounds of several runs are numbered over all runs, from 1. `left_out` counts the records of the data set that
    cannot be compared with these.
    """

    records: tuple[RunRecord, ...]
    runs: tuple[str, ...]
    left_out: int


def known(store: Store, matches: Matches | None = None) -> Known:
    """Returns the comparable records of one data set. `matches` selects it by its description.

    If several data sets match, or if `matches` is None, the data set that was measured last counts. Only runs of
    `sparkscale run`, of `decide`, and imported measurements are used. Raises ConfigError if there are none.
    """
    invocations = {run: store.invocation(identity=run) for run in store.runs()}
    records = [record for record in store.records() if invocations[record.invocation].command in COMMANDS]
    wanted: dict[tuple[str | None, str], bool] = {}
    for data, name in {(record.data, record.case.dataset) for record in records}:
        content = store.content(data) or {"name": name, "definition": {}}  # others' data is not described
        wanted[data, name] = matches is None or matches(content)
    found = [record for record in records if wanted[record.data, record.case.dataset]]
    if not found:
        names = sorted({record.case.dataset for record in records})
        measured = f" It has records of {', '.join(names)}." if names else ""
        raise ConfigError(
            f"{store.path} has no records of this data set: measure it with `sparkscale run`.{measured}"
        )
    newest = max(found, key=lambda record: _started(record, invocations)).case.dataset_id
    of_data = [record for record in found if record.case.dataset_id == newest]
    kept = comparable(of_data, Reader(store, invocations))
    return Known(renumbered(kept, invocations), _runs(kept), len(of_data) - len(kept))


def of_run(store: Store, run: str) -> Known:
    """Returns the records of one run. Raises ConfigError if there is no such run."""
    invocation = store.invocation(identity=run)
    return Known(tuple(store.records(invocation.id)), (invocation.id,), 0)


def comparable(records: Sequence[RunRecord], conditions: Reader) -> list[RunRecord]:
    """Returns the records with the same conditions as the newest record of their workload on their cluster.

    Records of engines on Spark also need the Java of their newest record. Engines on one node have no Java.
    """
    in_order = sorted(records, key=lambda record: _started(record, conditions.invocations))
    newest = {(record.case.workload, record.case.cluster): record for record in in_order}
    shared = [
        record
        for record in records
        if conditions.of(record) == conditions.of(newest[record.case.workload, record.case.cluster])
    ]
    kept = {record.id for record in shared}
    placed = {
        (record.case.workload, record.case.cluster, record.case.placement): record
        for record in in_order
        if record.id in kept
    }
    return [
        record
        for record in shared
        if record.software == placed[record.case.workload, record.case.cluster, record.case.placement].software
    ]


def _started(record: RunRecord, invocations: Mapping[str, Invocation]) -> datetime:
    """Returns the start of an execution. For an imported measurement it is the time of the import."""
    return record.started_at or invocations[record.invocation].started_at


def renumbered(records: Sequence[RunRecord], invocations: Mapping[str, Invocation]) -> tuple[RunRecord, ...]:
    """Returns the records with rounds that are numbered over all runs, from 1."""
    rounds = sorted({(invocations[r.invocation].started_at, r.invocation, r.round) for r in records})
    numbers = {(run, number): position for position, (_, run, number) in enumerate(rounds, start=1)}
    return tuple(r.model_copy(update={"round": numbers[r.invocation, r.round]}) for r in records)


def _runs(records: Iterable[RunRecord]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(record.invocation for record in records))
