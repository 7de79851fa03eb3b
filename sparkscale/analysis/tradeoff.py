"""Sample or full data: for each engine, what a sample saves and what it costs in quality."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sparkscale.analysis import metrics
from sparkscale.analysis.statistics import ClusteredAuc, Interval, Spread, interval
from sparkscale.contract.case import Case, show_fraction
from sparkscale.contract.dataset import LABEL, UNIT
from sparkscale.contract.record import SCORES, RunRecord
from sparkscale.measure.store import Store

TOLERANCE = 0.005
"""A sample is enough when its AUC is within this of the same engine's on all data."""


@dataclass
class Cell:
    """All executions of one case."""

    case: Case
    records: list[RunRecord]
    store: Store

    @cached_property
    def seconds(self) -> Spread | None:
        return Spread.of([metrics.time_to_model(record) for record in metrics.timed(self.records)])

    @cached_property
    def peak_bytes(self) -> Spread | None:
        return Spread.of(metrics.metrics()["peak_memory"].samples(self.records))

    @cached_property
    def auc(self) -> ClusteredAuc | None:
        """From the stored scores of the first execution: rounds repeat the same seeds."""
        for record in metrics.scored(self.records):
            try:
                table = self.store.table(record.id, SCORES)
            except KeyError:
                continue
            unit, label, score = (table.column(name).to_numpy() for name in (UNIT, LABEL, "score"))
            return ClusteredAuc.of(unit, label, score)
        return None

    @cached_property
    def log_loss(self) -> Spread | None:
        return Spread.of(metrics.metrics()["log_loss"].samples(self.records))

    @cached_property
    def auc_interval(self) -> Interval | None:
        return interval(self.auc.replicates()) if self.auc else None

    def seconds_by_round(self) -> dict[int, float]:
        return {record.round: metrics.time_to_model(record) for record in metrics.timed(self.records)}


@dataclass(frozen=True)
class Step:
    """One fraction against all data: the AUC given up, and whether that is within TOLERANCE."""

    fraction: float
    given_up: float
    interval: Interval

    @property
    def verdict(self) -> str:
        """ "enough", "not enough", or "not resolved" when the interval holds TOLERANCE."""
        if self.interval.high <= TOLERANCE:
            return "enough"
        return "not enough" if self.interval.low > TOLERANCE else "not resolved"


@dataclass
class EngineCurve:
    """One engine over fractions, ascending."""

    engine: str
    cells: list[Cell]

    @property
    def full(self) -> Cell | None:
        """The cell of all data, when it was measured."""
        return next((cell for cell in self.cells if cell.case.fraction == 1), None)

    @cached_property
    def steps(self) -> list[Step]:
        """Every smaller fraction against all data, paired on the hold-out's units."""
        if self.full is None or self.full.auc is None:
            return []
        whole = self.full.auc.replicates()
        return [
            Step(
                cell.case.fraction,
                self.full.auc.value() - cell.auc.value(),
                interval(whole - cell.auc.replicates()),
            )
            for cell in self.cells
            if cell.case.fraction < 1 and cell.auc is not None
        ]

    @property
    def smallest_enough(self) -> tuple[Step | None, str]:
        """The smallest fraction that is enough, if any is, and the answer in words.

        A fraction below it that is not resolved is named, for it may be enough too.
        """
        if not self.steps:
            return None, "no smaller fraction beside all data was measured"
        found = next((step for step in self.steps if step.verdict == "enough"), None)
        below = [step for step in self.steps if found is None or step.fraction < found.fraction]
        unresolved = ", ".join(show_fraction(s.fraction) for s in below if s.verdict == "not resolved")
        if found is None:
            return None, f"{unresolved} not resolved" if unresolved else "1: no sample is enough"
        answer = show_fraction(found.fraction)
        return found, f"{answer} ({unresolved} not resolved)" if unresolved else answer

    def share_of_full_seconds(self, fraction: float) -> Spread | None:
        """Time to model of a fraction over that of all data, round by round."""
        cell = next((cell for cell in self.cells if cell.case.fraction == fraction), None)
        if cell is None or self.full is None:
            return None
        whole, part = self.full.seconds_by_round(), cell.seconds_by_round()
        return Spread.of([part[number] / whole[number] for number in sorted(part.keys() & whole.keys())])


@dataclass
class Comparison:
    """Engines of one workload on the same rows with the same parameters."""

    case: Case
    curves: list[EngineCurve]
    defaults: dict[str, Cell] = field(default_factory=dict)
    """Per engine, the case with its library's own defaults on all data."""

    @property
    def parameters(self) -> dict[str, Any]:
        return {key: value for key, value in self.case.params.items() if key not in ("set", "arguments")}


def comparisons(store: Store, records: Iterable[RunRecord]) -> list[Comparison]:
    """One per workload, data set, cluster, device, seed and parameters, in the order of the records."""
    by_case: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        if not record.is_warmup:
            by_case[record.case.id].append(record)
    cells = [Cell(found[0].case, found, store) for found in by_case.values()]
    groups: dict[str, list[Cell]] = defaultdict(list)
    with_aligned = {_key(cell.case, parameters=False) for cell in cells if cell.case.parameter_set == "aligned"}
    for cell in cells:
        if cell.case.parameter_set == "aligned" or _key(cell.case, parameters=False) not in with_aligned:
            groups[_key(cell.case, parameters=True)].append(cell)
    return sorted((_comparison(group, cells) for group in groups.values()), key=lambda found: found.case.workload)


def _comparison(group: list[Cell], cells: list[Cell]) -> Comparison:
    curves: dict[str, list[Cell]] = defaultdict(list)
    for cell in sorted(group, key=lambda cell: (cell.case.placement, cell.case.engine, cell.case.fraction)):
        curves[cell.case.engine].append(cell)
    case = group[0].case
    defaults = {
        cell.case.engine: cell
        for cell in cells
        if case.parameter_set == "aligned"
        and cell.case.parameter_set == "defaults"
        and cell.case.fraction == 1
        and _key(cell.case, parameters=False) == _key(case, parameters=False)
    }
    return Comparison(case, [EngineCurve(name, found) for name, found in curves.items()], defaults)


def _key(case: Case, parameters: bool) -> str:
    """What two cases must share to stand in one table."""
    shared = [case.workload, case.dataset_id, case.cluster, case.device, case.sample_seed, case.model_seed]
    if parameters:
        shared.append({key: value for key, value in case.params.items() if key != "arguments"})
    return json.dumps(shared, sort_keys=True)


def problems(records: Iterable[RunRecord]) -> list[tuple[RunRecord, int]]:
    """Executions that did not end well and were not retried since, one of each case and reason, with their number."""
    latest: dict[tuple[str, int, bool], RunRecord] = {}
    for record in records:
        if not record.is_warmup:
            latest[record.case.id, record.round, record.isolated] = record
    found: dict[tuple[str, str, str], list[RunRecord]] = defaultdict(list)
    for record in latest.values():
        if record.outcome != "ok":
            found[record.case.id, record.outcome, record.error.message if record.error else ""].append(record)
    return [(group[0], len(group)) for group in found.values()]


def failed(records: list[RunRecord], added: int) -> bool:
    """Whether a run ends as failed: an execution without a good record, or a broken one among the last `added`."""
    fine = ("ok", "unsupported")
    new = records[len(records) - added :]
    open_problems = (record.outcome not in fine for record, _ in problems(records))
    return any(open_problems) or any(record.outcome not in fine and record.is_warmup for record in new)
