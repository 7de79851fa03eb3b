"""Sample or full data: for each engine, what a sample saves and what it costs in quality."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from sparkscale.analysis import metrics
from sparkscale.analysis.executions import of_view
from sparkscale.analysis.judging import Judging, judging_of
from sparkscale.analysis.statistics import ClusteredQuality, Interval, Spread, interval
from sparkscale.contract.case import Case, show_fraction
from sparkscale.contract.dataset import LABEL, TRUTH, UNIT
from sparkscale.contract.record import SCORES, Outcome, RunRecord
from sparkscale.measure.store import Store
from workloads import registry
from workloads.base import Capacity


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

    @property
    def judging(self) -> Judging:
        return judging_of(self.case)

    @cached_property
    def _scored(self) -> tuple[ClusteredQuality | None, ClusteredQuality | None]:
        """The model's quality and the truth's, from the stored scores of the first execution: rounds repeat seeds."""
        for record in metrics.scored(self.records):
            try:
                table = self.store.table(record.id, SCORES)
            except KeyError:
                continue
            unit, label, score = (table.column(name).to_numpy() for name in (UNIT, LABEL, "score"))
            truth = table.column(TRUTH).to_numpy() if TRUTH in table.column_names else None
            return (
                self.judging.of(unit, label, score),
                None if truth is None else self.judging.of(unit, label, truth),
            )
        return None, None

    @property
    def quality(self) -> ClusteredQuality | None:
        return self._scored[0]

    @property
    def ceiling(self) -> ClusteredQuality | None:
        """What a model that knows the truth reaches on this hold-out; None where nobody knows it."""
        return self._scored[1]

    @cached_property
    def below_ceiling(self) -> "Step | None":
        """What the model gives up against the truth, paired on the hold-out's units."""
        if self.quality is None or self.ceiling is None:
            return None
        return Step.between(self.case.fraction, self.ceiling, self.quality, self.judging)

    @cached_property
    def second(self) -> Spread | None:
        """The task's other quality."""
        found = (record.quality.get(self.judging.second_key) for record in metrics.scored(self.records))
        return Spread.of([value for value in found if value is not None])

    def observed(self, name: str) -> Spread | None:
        """A quality by its name, or a figure: figures of warm executions only, for most are seconds."""
        qualities = [record.quality[name] for record in metrics.scored(self.records) if name in record.quality]
        figures = [record.figures[name] for record in metrics.timed(self.records) if name in record.figures]
        return Spread.of(qualities or figures)

    @cached_property
    def capacity(self) -> Spread | None:
        """What the parameter set `tuned` chose: so many trees, or epochs."""
        return Spread.of([r.figures["capacity"] for r in metrics.scored(self.records) if "capacity" in r.figures])

    @cached_property
    def quality_interval(self) -> Interval | None:
        return interval(self.quality.replicates()) if self.quality else None

    def seconds_by_round(self) -> dict[int, float]:
        return {record.round: metrics.time_to_model(record) for record in metrics.timed(self.records)}


@dataclass(frozen=True)
class Step:
    """One model against a better one, such as that of a fraction against all data's: the quality given up."""

    fraction: float
    given_up: float
    interval: Interval
    tolerance: float

    @classmethod
    def between(cls, fraction: float, whole: ClusteredQuality, part: ClusteredQuality, judging: Judging) -> "Step":
        """Paired on the hold-out's units."""
        return cls(
            fraction,
            float(judging.given_up(whole.value(), part.value())),
            interval(np.asarray(judging.given_up(whole.replicates(), part.replicates()))),
            judging.tolerance,
        )

    @property
    def verdict(self) -> str:
        """ "enough", "not enough", or "not resolved" when the interval holds the tolerance."""
        if self.interval.high <= self.tolerance:
            return "enough"
        return "not enough" if self.interval.low > self.tolerance else "not resolved"


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
        if self.full is None or self.full.quality is None:
            return []
        return [
            Step.between(cell.case.fraction, self.full.quality, cell.quality, cell.judging)
            for cell in self.cells
            if cell.case.fraction < 1 and cell.quality is not None
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
    def judging(self) -> Judging:
        return judging_of(self.case)

    @property
    def cells(self) -> list[Cell]:
        return [cell for curve in self.curves for cell in curve.cells]

    @property
    def records(self) -> list[RunRecord]:
        return [record for cell in self.cells for record in cell.records]

    @property
    def data(self) -> dict[str, Any] | None:
        """The data set's stored description; None in records of earlier releases."""
        cell = self.cells[0]
        identity = cell.records[0].data
        return cell.store.description(identity).content if identity else None

    @property
    def ceiling(self) -> float | None:
        """The truth's own quality on this hold-out."""
        return next((cell.ceiling.value() for cell in self.cells if cell.ceiling), None)

    @property
    def parameters(self) -> dict[str, Any]:
        return {key: value for key, value in self.case.params.items() if key not in ("set", "capacity", "arguments")}

    @property
    def tuned(self) -> Capacity | None:
        """The range in which the engines chose their capacity; None where it was given."""
        found = self.case.params.get("capacity")
        return Capacity.model_validate(found) if found else None

    @property
    def size(self) -> str:
        """The capacity of the models on all data, in words: of each engine where it chose its own. Empty where a
        workload has no such parameter, or the libraries' defaults decide.
        """
        if self.tuned:
            chosen = [f"{c.engine} {_whole(c.full.capacity)}" for c in self.curves if c.full and c.full.capacity]
            return f"{self.tuned.param} chosen on all data: {', '.join(chosen)}" if chosen else ""
        capacity = registry.workloads()[self.case.workload].capacity
        value = self.case.params.get(capacity.param) if capacity else None
        return f"{value} {capacity.param}" if capacity and value is not None else ""


def _whole(found: Spread) -> str:
    """A whole number, or its range where executions differ."""
    return f"{found.low:.0f}" if found.low == found.high else f"{found.low:.0f}–{found.high:.0f}"


def comparisons(store: Store, records: Iterable[RunRecord]) -> list[Comparison]:
    """One per workload, data set, cluster, device, seed and parameters, in the order of the records.

    Engines that do not support a case are in none: `problems` says why.
    """
    by_case: dict[str, list[RunRecord]] = defaultdict(list)
    for record in of_view("tradeoff", records):
        by_case[record.case.id].append(record)
    cells = [Cell(found[0].case, found, store) for found in by_case.values()]
    groups: dict[str, list[Cell]] = defaultdict(list)
    with_aligned = {_key(cell.case, parameters=False) for cell in cells if cell.case.parameter_set == "aligned"}
    for cell in cells:
        if cell.case.parameter_set != "defaults" or _key(cell.case, parameters=False) not in with_aligned:
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


@dataclass(frozen=True)
class Problem:
    """Executions of one subject, at one or more fractions, that ended in the same way. `reason` is one line."""

    subject: str
    outcome: Outcome
    reason: str
    fractions: tuple[float, ...]
    times: int


def problems(records: Iterable[RunRecord]) -> list[Problem]:
    """What did not end well and was not retried since."""
    found: dict[tuple[str, Outcome, str], list[float]] = defaultdict(list)
    for record in _latest(records):
        if record.outcome != "ok":
            reason = (record.error.message if record.error else "").partition("\n")[0]
            found[record.case.subject, record.outcome, reason].append(record.case.fraction)
    return [
        Problem(*what, fractions=tuple(sorted(set(fractions))), times=len(fractions))
        for what, fractions in found.items()
    ]


def failed(records: list[RunRecord], added: int) -> bool:
    """Whether a run ends as failed: an execution without a good record, or a broken one among the last `added`."""
    fine = ("ok", "unsupported")
    new = records[len(records) - added :]
    return any(record.outcome not in fine for record in _latest(records)) or any(
        record.outcome not in fine and record.is_warmup for record in new
    )


def _latest(records: Iterable[RunRecord]) -> Iterable[RunRecord]:
    """The last record of each execution, warm-ups not counted."""
    latest: dict[tuple[str, int, bool], RunRecord] = {}
    for record in records:
        if not record.is_warmup:
            latest[record.case.id, record.round, record.isolated] = record
    return latest.values()
