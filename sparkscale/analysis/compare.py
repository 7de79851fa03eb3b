"""Compares a base with a head, case by case: which cases became slower, larger or less accurate?

Both sides hold records of the same cases. A case that has a result on one side only is a finding of its own. The
method is that of `sparkscale.analysis.questions.two_sides`.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparkscale.analysis import crossed, metrics
from sparkscale.analysis.conditions import Reader, differences, software_differences
from sparkscale.analysis.criterion import Criterion
from sparkscale.analysis.every_metric import of_records
from sparkscale.analysis.metrics import Metric
from sparkscale.analysis.patterns.data_parallel.cell import Cell
from sparkscale.analysis.questions.two_sides import (
    THRESHOLD,
    Change,
    Difference,
    change,
    difference,
    holm,
    rounds_needed,
)
from sparkscale.contract.case import show_fraction
from sparkscale.contract.phrases import with_threads
from sparkscale.contract.record import RunRecord

DEFAULT = ("time_to_model", "memory_needed")
"""The metrics that are compared if none is named, beside the judged quality."""


@dataclass(frozen=True)
class Side:
    """The base or the head: its name, its records, and a reader of the store that they come from."""

    name: str
    records: tuple[RunRecord, ...]
    reader: Reader


@dataclass(frozen=True)
class Subject:
    """A case without its seeds: what is compared. `parameters` is the parameter set, or empty if it is `aligned`."""

    workload: str
    dataset: str
    cluster: str
    device: str
    engine: str
    parameters: str
    fraction: float
    key: str
    """The case's parameters as text, so that cases with other parameters are not mixed."""

    @classmethod
    def of(cls, record: RunRecord) -> "Subject":
        """Returns the subject of a record."""
        case = record.case
        engine = with_threads(case.engine, record.limited_threads)
        parameters = "" if case.parameter_set == "aligned" else case.parameter_set
        key = json.dumps(case.params_without("arguments"), sort_keys=True)
        return cls(case.workload, case.dataset, case.cluster, case.device, engine, parameters, case.fraction, key)

    @property
    def label(self) -> str:
        """The subject in words: "data_parallel.gradient_boosting xgboost flights 1/4"."""
        kind = f" ({self.parameters})" if self.parameters else ""
        return f"{self.workload} {self.engine}{kind} {self.dataset} {show_fraction(self.fraction)}"


@dataclass(frozen=True)
class Finding:
    """A case that has a result on one side only. `base` and `head` are its outcomes, `reason` why it has none."""

    subject: Subject
    base: str
    head: str
    reason: str

    @property
    def change(self) -> Change:
        return "worse" if self.base == "ok" else "better"


@dataclass(frozen=True)
class Row:
    """One metric of one case on both sides.

    `base` and `head` hold one value for each round. `found` is None for a quality: then `given_up` is what the head's
    models give up against the base's, with its interval. `is_exact` is true if all values with the same seeds are
    equal, so that no test is needed. `adjusted_p` is None until all rows are known. `needed` is about the number of
    rounds that would resolve the verdict.
    """

    subject: Subject
    metric: str
    unit: str
    is_lower_better: bool
    base: tuple[float, ...]
    head: tuple[float, ...]
    found: Difference | None = None
    given_up: crossed.Estimate | None = None
    criterion: Criterion | None = None
    is_exact: bool = False
    adjusted_p: float | None = None
    change: Change = "not resolved"
    needed: int | None = None


@dataclass(frozen=True)
class Compared:
    """The comparison of two sides.

    `only_base` and `only_head` hold the cases that one side does not have at all, and `neither` those without a
    result on both. `one_sided` names cases with a metric that one side does not have.
    """

    base: Side
    head: Side
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    only_base: tuple[Subject, ...]
    only_head: tuple[Subject, ...]
    neither: tuple[Subject, ...] = ()
    one_sided: tuple[str, ...] = ()
    threshold: float = THRESHOLD


def compare(base: Side, head: Side, wanted: Sequence[str] | None = None, threshold: float = THRESHOLD) -> Compared:
    """Returns the comparison of two sides in the metrics `wanted`.

    If `wanted` is None, these are DEFAULT and the judged quality. A ratio counts as the same within `threshold`.
    """
    both = [_by_subject(side) for side in (base, head)]
    shared = sorted((subject for subject in both[0] if subject in both[1]), key=_order(both[0]))
    rows: list[Row] = []
    findings: list[Finding] = []
    neither: list[Subject] = []
    one_sided: list[str] = []
    for subject in shared:
        own, its = both[0][subject], both[1][subject]
        (own_outcome, own_reason), (its_outcome, its_reason) = _outcome(own), _outcome(its)
        if "ok" not in (own_outcome, its_outcome):
            neither.append(subject)
            continue
        if own_outcome != its_outcome:
            findings.append(Finding(subject, own_outcome, its_outcome, own_reason or its_reason))
            continue
        every = of_records(own)
        for metric in (every[name] for name in (DEFAULT if wanted is None else wanted) if name in every):
            values = tuple(metric.samples(own)), tuple(metric.samples(its))
            if all(values):
                rows.append(_row(subject, metric, *values))
            elif any(values):
                one_sided.append(f"{subject.label} ({metric.name})")
        rows += _quality(subject, (base, own), (head, its)) if wanted is None else ()
    return Compared(
        base,
        head,
        tuple(_judged(rows, threshold)),
        tuple(findings),
        tuple(subject for subject in both[0] if subject not in both[1]),
        tuple(subject for subject in both[1] if subject not in both[0]),
        tuple(neither),
        tuple(one_sided),
        threshold,
    )


def _order(by_subject: Mapping[Subject, Sequence[RunRecord]]) -> Callable[[Subject], tuple[Any, ...]]:
    """Returns the key by which subjects are sorted: workload, then the declared order of engines, then fraction."""

    def key(subject: Subject) -> tuple[Any, ...]:
        record = by_subject[subject][0]
        work = subject.workload, subject.dataset, subject.cluster, subject.device
        return *work, record.declared.position(record.case.engine), subject.engine, subject.fraction

    return key


def refusals(base: Side, head: Side) -> list[str]:
    """Returns, in words, why two sides must not be compared: other hosts, data, workloads or settings of clusters."""
    found: dict[str, None] = {}
    for own, its in _pairs(base, head):
        if own.case.dataset_id != its.case.dataset_id:
            found[f"{own.case.dataset}: other data of the same name"] = None
        for one in differences(base.reader, own, head.reader, its):
            found[f"{own.case.workload} on cluster {own.case.cluster}: {one}"] = None
    return list(found)


def changes(base: Side, head: Side) -> list[str]:
    """Returns, in words, in what the sides differ that is being compared: commits, and versions of packages."""
    found: dict[str, None] = {}
    for own, its in _pairs(base, head):
        if str(own.code) != str(its.code):
            found[f"sparkscale at {its.code}, not {own.code}"] = None
        for one in software_differences(base.reader, own, head.reader, its):
            found[one] = None
    return list(found)


def _pairs(base: Side, head: Side) -> Iterator[tuple[RunRecord, RunRecord]]:
    """Yields a record of each side for each workload, data set, cluster and placement that both have."""
    newest = [
        {(r.case.workload, r.case.dataset, r.case.cluster, r.case.placement): r for r in side.records}
        for side in (base, head)
    ]
    for key, record in newest[0].items():
        if key in newest[1]:
            yield record, newest[1][key]


def _by_subject(side: Side) -> dict[Subject, list[RunRecord]]:
    """Returns the executions of a side by subject, without isolated ones."""
    found: dict[Subject, list[RunRecord]] = defaultdict(list)
    for record in metrics.latest(side.records):
        if not record.isolated:
            found[Subject.of(record)].append(record)
    return dict(found)


def _outcome(records: Sequence[RunRecord]) -> tuple[str, str]:
    """Returns "ok" if all executions are, otherwise the first other outcome with the first line of its error."""
    for record in records:
        if record.outcome != "ok":
            return record.outcome, record.error.first_line if record.error else ""
    return "ok", ""


def _row(subject: Subject, metric: Metric, base: tuple[float, ...], head: tuple[float, ...]) -> Row:
    """Returns the row of a metric, without the verdict of a test."""
    row = Row(subject, metric.name, metric.unit, metric.direction == "lower", base, head)
    if sorted(base) == sorted(head):
        return replace(row, is_exact=True, change="same")
    if min(*base, *head) <= 0:
        return row
    return replace(row, found=difference(base, head))


def _quality(
    subject: Subject, base: tuple[Side, Sequence[RunRecord]], head: tuple[Side, Sequence[RunRecord]]
) -> Iterator[Row]:
    """Yields the row of the judged quality, paired on seeds and on the hold-out's units.

    Yields nothing if no two executions with the same seeds have stored scores.
    """
    if base[1][0].declared.report != "data_parallel":
        return
    own, its = (Cell(records[0].case, list(records), side.reader.store) for side, records in (base, head))
    criterion = own.criterion
    common = [seeds for seeds in own.qualities if seeds in its.qualities] if criterion.judged.estimator else []
    if not common:
        return
    pairs = [(own.qualities[seeds], its.qualities[seeds]) for seeds in common]
    estimate = crossed.estimate(pairs, criterion.given_up)
    own_values, its_values = (
        tuple(
            float(record.quality[criterion.key]) for record in metrics.scored(of) if criterion.key in record.quality
        )
        for of in (base[1], head[1])
    )
    is_exact = estimate.value == 0 and estimate.interval is not None and estimate.interval.high == 0
    yield Row(
        subject,
        criterion.name,
        "",
        criterion.judged.direction == "lower",
        own_values,
        its_values,
        given_up=estimate,
        criterion=criterion,
        is_exact=is_exact,
        change=_change_of_quality(estimate, criterion.tolerance),
    )


def _change_of_quality(given_up: crossed.Estimate, tolerance: float) -> Change:
    """Returns the verdict on a quality: the interval of what the head gives up, compared with the tolerance."""
    bounds = given_up.interval
    if bounds is None:
        return "not resolved"
    if -tolerance <= bounds.low and bounds.high <= tolerance:
        return "same"
    if bounds.low > tolerance:
        return "worse"
    return "better" if bounds.high < -tolerance else "not resolved"


def _judged(rows: Sequence[Row], threshold: float) -> Iterator[Row]:
    """Yields the rows with their verdicts. The p values of all tests are adjusted together."""
    tested = [row for row in rows if row.found]
    adjusted = iter(holm([row.found.p for row in tested if row.found]))
    for row in rows:
        if row.found is None:
            yield row
            continue
        p = next(adjusted)
        verdict = change(row.found, p, row.is_lower_better, threshold)
        needed = rounds_needed(row.base, row.head, len(tested), threshold) if verdict == "not resolved" else None
        yield replace(row, adjusted_p=p, change=verdict, needed=needed)


def by_change(rows: Sequence[Row]) -> Mapping[Change, list[Row]]:
    """Returns the rows by verdict."""
    found: dict[Change, list[Row]] = {"worse": [], "better": [], "not resolved": [], "same": []}
    for row in rows:
        found[row.change].append(row)
    return found
