"""Collects the values of a metric over commits, in series: one for each case and each way to measure it.

Different hosts, data, workload versions, profiles, budgets and seeds are different series.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import numpy as np

from sparkscale.analysis.conditions import Conditions, Reader
from sparkscale.analysis.metrics import Metric, latest
from sparkscale.analysis.steps import FEWEST
from sparkscale.contract.case import by_path, show_fraction
from sparkscale.contract.record import SHORT, RunRecord
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store


@dataclass(frozen=True)
class Point:
    """The executions of a series at one commit, with the same package releases.

    `position` is the position of the commit in the history. None if the history does not have the commit. `rounds`
    holds one value for each execution that has one.
    """

    commit: str
    software: str
    position: int | None
    first: datetime
    records: tuple[RunRecord, ...]
    rounds: tuple[float, ...]

    @property
    def value(self) -> float:
        """The median over the rounds."""
        return float(np.median(self.rounds))


@dataclass(frozen=True)
class Series:
    """A case without its seeds, and its points in the order of the history.

    `which` names what distinguishes the series from others with the same work, engine and fraction. Empty if there
    are none.
    """

    work: str
    engine: str
    fraction: float
    points: tuple[Point, ...]
    which: str = ""

    @property
    def commits(self) -> tuple[str, ...]:
        """The commits of the points, in order. A commit that was measured with several releases is in it once."""
        return tuple(dict.fromkeys(point.commit for point in self.points))

    @property
    def is_long_enough(self) -> bool:
        """True if the series has enough commits for a change."""
        return len(self.commits) >= 2 * FEWEST

    @property
    def name(self) -> str:
        """The engine and the fraction: "xgboost 1/4"."""
        return f"{self.engine} {show_fraction(self.fraction)}"

    @property
    def title(self) -> str:
        """The name, and what distinguishes the series from others with this name: "xgboost 1/4 (version 1)"."""
        return f"{self.name} ({self.which})" if self.which else self.name

    @property
    def label(self) -> str:
        """The series in words: "data_parallel.gradient_boosting on flights, local, cpu: xgboost 1/4"."""
        return f"{self.work}: {self.title}"


@dataclass(frozen=True)
class Collected:
    """The series of a metric, and what is not in them.

    `left_out` counts records, by the reason in words. `commits` are all commits of the points, in order. `unknown`
    are those of them that the history does not have.
    """

    metric: Metric
    series: tuple[Series, ...]
    commits: tuple[str, ...]
    unknown: tuple[str, ...]
    left_out: Mapping[str, int]


class _Key(NamedTuple):
    """What the executions of one series share."""

    experiment: str
    conditions: Conditions
    seeds: str
    """The seeds of all rounds if they are fixed, and otherwise "drawn"."""


def invocations_of(store: Store) -> dict[str, Invocation]:
    """Returns all runs of a store, by id."""
    return {run: store.invocation(identity=run) for run in store.runs()}


def countable(
    records: Iterable[RunRecord], invocations: Mapping[str, Invocation]
) -> tuple[list[RunRecord], Counter[str]]:
    """Returns the records that can be a part of a history, and counts the others by the reason in words."""
    left_out: Counter[str] = Counter()
    by_run: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        if reason := _reason(record, invocations[record.invocation]):
            left_out[reason] += 1
        else:
            by_run[record.invocation].append(record)
    kept = [record for of_run in by_run.values() for record in latest(of_run)]
    left_out["repeated later in the same run"] += sum(map(len, by_run.values())) - len(kept)
    return kept, +left_out


def _reason(record: RunRecord, invocation: Invocation) -> str | None:
    """Returns why a record is left out, as words that follow a number. None if it counts."""
    reasons = {
        "published by others": record.case.is_published,
        "from searches for a heap": invocation.command == "heap",
        "warm-ups": record.is_warmup,
        "without a commit": record.code.commit is None,
        "with uncommitted changes": record.code.dirty is not False,
        "with other releases than the installed ones (--with)": bool(invocation.environment),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def collect(
    store: Store,
    metric: Metric,
    records: Sequence[RunRecord],
    invocations: Mapping[str, Invocation],
    history: Mapping[str, int],
) -> Collected:
    """Returns the series of a metric from records that are countable.

    `history` holds the position of each commit that is known. Other commits are placed by the time of their first
    record.
    """
    reader = Reader(store, invocations)
    left_out: Counter[str] = Counter()
    by_key: dict[_Key, dict[tuple[str, str], list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        commit = str(record.code.commit)
        by_key[_key(record, reader)][commit, record.software].append(record)
    order = _order(records, invocations, history)
    series = []
    for points_of in by_key.values():
        points = []
        for (commit, software), of_point in points_of.items():
            for record in of_point:
                if record.outcome != "ok":
                    left_out[f"without a result ({record.outcome})"] += 1
            rounds = tuple(value for value in metric.samples(of_point) if math.isfinite(value))
            if rounds:
                first = min(_started(record, invocations) for record in of_point)
                points.append(Point(commit, software, history.get(commit), first, tuple(of_point), rounds))
        if points:
            points.sort(key=lambda point: (order[point.commit], point.first))
            series.append(_series(points))
    measured = sorted({point.commit for one in series for point in one.points}, key=order.__getitem__)
    unknown = tuple(commit for commit in measured if commit not in history)
    return Collected(metric, _distinguished(series, reader), tuple(measured), unknown, +left_out)


def _key(record: RunRecord, reader: Reader) -> _Key:
    seeds = reader.invocations[record.invocation].drawn
    return _Key(
        record.case.experiment,
        reader.of(record)._replace(packages=""),
        f"seeds {seeds.sample} and {seeds.model}" if seeds.fixed else "drawn",
    )


def _started(record: RunRecord, invocations: Mapping[str, Invocation]) -> datetime:
    return record.started_at or invocations[record.invocation].started_at


def _order(
    records: Iterable[RunRecord], invocations: Mapping[str, Invocation], history: Mapping[str, int]
) -> dict[str, int]:
    """Returns the position of each commit among those that were measured.

    A commit that the history does not have comes before the first commit that was measured later.
    """
    first: dict[str, datetime] = {}
    for record in records:
        commit, started = str(record.code.commit), _started(record, invocations)
        first[commit] = min(started, first.get(commit, started))
    ordered = sorted((commit for commit in first if commit in history), key=history.__getitem__)
    for commit in sorted((commit for commit in first if commit not in history), key=first.__getitem__):
        later = (position for position, other in enumerate(ordered) if first[other] > first[commit])
        ordered.insert(next(later, len(ordered)), commit)
    return {commit: position for position, commit in enumerate(ordered)}


def _series(points: Sequence[Point]) -> Series:
    record = points[-1].records[-1]
    case = record.case
    work = f"{case.workload} on {case.dataset}, {case.cluster}, {case.device}"
    kind = "" if case.parameter_set == "aligned" else f" ({case.parameter_set})"
    return Series(work, record.engine + kind, case.fraction, tuple(points))


def _distinguished(series: Sequence[Series], reader: Reader) -> tuple[Series, ...]:
    """Returns the series, sorted, with the words that distinguish those that have the same label."""
    alike: dict[str, list[Series]] = defaultdict(list)
    for one in series:
        alike[one.label].append(one)
    result = []
    for group in alike.values():
        traits = [_traits(one.points[-1].records[-1], reader) for one in group]
        names = dict.fromkeys(name for own in traits for name in own)
        differing = [name for name in names if len({own.get(name) for own in traits}) > 1]
        for one, own in zip(group, traits, strict=True):
            result.append(replace(one, which=", ".join(own[name] for name in differing if name in own)))
    return tuple(sorted(result, key=_place))


def _place(one: Series) -> tuple[str, int, str, float, str]:
    """Returns the place of a series in a table: by work, then the declared order of engines, then fraction."""
    record = one.points[-1].records[-1]
    return one.work, record.declared.position(record.case.engine), one.engine, one.fraction, one.which


def _traits(record: RunRecord, reader: Reader) -> dict[str, str]:
    """Returns what can distinguish series with the same label, in words, by name."""
    key, case = _key(record, reader), record.case
    traits = {
        "host": f"host {record.host[:SHORT]}",
        "data": f"data {case.dataset_id[:SHORT]}",
        "version": f"version {case.version}",
        "threads": f"{case.threads} threads",
        "profile": f"profile {key.conditions.profile[:SHORT]}",
        "budget": f"budget {key.conditions.budget[:SHORT]}",
        "cache": "cold page cache" if key.conditions.is_cold else "warm page cache",
        "seeds": "a seed for each round" if key.seeds == "drawn" else key.seeds,
    }
    params = by_path(case.params_without("arguments", "set"))
    return traits | {f"parameter {name}": f"{name} {value}" for name, value in params.items()}
