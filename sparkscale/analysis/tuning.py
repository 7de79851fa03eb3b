"""Parallel tuning: how good a configuration each way of searching has found, against time and against trials.

Replicates are executions: rounds, and sampler seeds within a round. A search that never reached the target is
censored: it counts as later than every search that did, and is never dropped.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from sparkscale.analysis import metrics
from sparkscale.analysis.executions import Executions, of_view
from sparkscale.analysis.outcomes import unsuccessful
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.case import Case
from sparkscale.contract.record import TRIALS, RunRecord
from sparkscale.measure.store import Store
from workloads import registry

SHARES = (0.25, 0.5, 1.0)
"""Of the time that the first engine took for its search, and of the trials: where best losses are told."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Course:
    """One search, from its table of trials. Seconds since its load began; arrays in the order in which losses were
    told, shape (trials,).
    """

    seconds: Array
    losses: Array

    @classmethod
    def of(cls, record: RunRecord, table: pa.Table) -> "Course":
        told = table.sort_by("told")
        return cls(record.seconds["load"] + told.column("told").to_numpy(), told.column("loss").to_numpy())

    @property
    def end(self) -> float:
        return float(self.seconds[-1])

    def best_at(self, seconds: float) -> float:
        """The best loss that was known then; infinite before the first."""
        return self.best_after(int(np.searchsorted(self.seconds, seconds, side="right")))

    def best_after(self, trials: int) -> float:
        return float(self.losses[:trials].min()) if trials else math.inf

    def reached(self, target: float) -> float:
        """When the target was reached; infinite if it never was."""
        found = np.flatnonzero(self.losses <= target)
        return float(self.seconds[found[0]]) if len(found) else math.inf


@dataclass
class Failures:
    """Trials of one outcome without a loss, and what the first of them says."""

    label: str
    outcome: str
    trials: int
    parameters: str
    error: str


@dataclass
class Search(Executions):
    """All executions of one engine of a comparison with as many trials, whatever their sampler's seed."""

    store: Store
    tells_trials: bool = False
    """Whether another of the engine has another number of trials."""

    @property
    def label(self) -> str:
        """The engine, how many trials it was told to run at once, if it was, and of how many, if that tells it from
        another.
        """
        told = [self.engine]
        if at_once := self.case.params["parallelism"]:
            told.append(f"{at_once} at once")
        if self.tells_trials:
            told.append(f"{self.case.params['trials']} trials")
        return ", ".join(told)

    @property
    def is_comparable(self) -> bool:
        """Whether its trials are judged on the same rows as the others'."""
        return bool(getattr(registry.workloads()[self.case.workload].engine(self.engine), "judges_on_split", True))

    @cached_property
    def tables(self) -> list[pa.Table]:
        return [self.store.table(record.id, TRIALS) for record in self.timed]

    @cached_property
    def courses(self) -> list[Course]:
        return [Course.of(record, table) for record, table in zip(self.timed, self.tables, strict=True)]

    def to_target(self, target: float) -> Spread | None:
        """Seconds to the target, infinite where it was not reached."""
        return Spread.of([course.reached(target) for course in self.courses])

    def reached(self, target: float) -> int:
        """How many searches reached the target."""
        return sum(math.isfinite(course.reached(target)) for course in self.courses)

    def best_at(self, seconds: float) -> Spread | None:
        return Spread.of([course.best_at(seconds) for course in self.courses])

    def best_after(self, share: float) -> Spread | None:
        """After this share of the trials."""
        return Spread.of([course.best_after(math.ceil(share * len(course.losses))) for course in self.courses])

    def quality(self, name: str) -> Spread | None:
        return Spread.of([record.quality[name] for record in metrics.scored(self.records) if name in record.quality])

    @property
    def failures(self) -> list[Failures]:
        """Of all its executions together."""
        if not self.tables:
            return []
        table = pa.concat_tables(self.tables)
        return [
            Failures(self.label, outcome, here.num_rows, str(here.column("parameters")[0]), str(here["error"][0]))
            for outcome, here in unsuccessful(table)
        ]


@dataclass
class Comparison:
    """Engines of one workload that search the same space on the same rows."""

    case: Case
    searches: list[Search]

    @property
    def target(self) -> float | None:
        """The frozen validation loss."""
        found = self.case.params["target_loss"]
        return None if found is None else float(found)

    @cached_property
    def moments(self) -> list[float]:
        """Seconds at which best losses are told: shares of the median time of the quickest search, and of the
        slowest.
        """
        ends = [Spread.of([course.end for course in search.courses]) for search in self.searches]
        medians = sorted(end.median for end in ends if end)
        return [share * medians[0] for share in SHARES] + medians[1:][-1:] if medians else []

    @cached_property
    def ranking(self) -> list[tuple[Search, Spread]]:
        """Comparable engines and their seconds to the target, infinite where it was not reached; by their medians."""
        if self.target is None:
            return []
        found = [(s, spread) for s in self.searches if s.is_comparable and (spread := s.to_target(self.target))]
        return sorted(found, key=lambda pair: pair[1].median)

    @property
    def failures(self) -> list[Failures]:
        return [found for search in self.searches for found in search.failures]


def advice(found: Comparison) -> str:
    """Which engine to use on this space, in one sentence; empty where nothing says."""
    if found.target is None:
        return "No target loss is frozen for this data set, so nothing says which search is the quickest."
    reached = [pair for pair in found.ranking if math.isfinite(pair[1].median)]
    if not reached:
        return f"No engine mostly reached the target of {found.target:.4g}: give them more trials, or another target."
    best, times = reached[0]
    told = f"Use {best.label}: it reached a validation loss of {found.target:.4g} in {times.median:.1f} s"
    rivals = [pair for pair in found.ranking[1:] if pair[1].low <= times.high]
    if rivals:
        return f"{told}; whether sooner than {_named(rivals)} is not resolved."
    if len(reached) == 1:
        return f"{told}, and no other engine mostly did."
    return f"{told}, sooner than every other engine every time; the next is {_named(reached[1:2])}."


def _named(searches: Iterable[tuple[Search, Spread]]) -> str:
    return ", ".join(
        f"{search.label} ({spread.median:.1f} s)"
        if math.isfinite(spread.median)
        else f"{search.label} (mostly never)"
        for search, spread in searches
    )


def comparisons(store: Store, records: Iterable[RunRecord]) -> list[Comparison]:
    """One per workload, data set, sample, cluster, device, space and target, in the records' order."""
    by_subject: dict[str, dict[tuple[str, int, int], list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in of_view("searches", records):
        params = record.case.params
        way = record.case.engine, int(params["parallelism"]), int(params["trials"])
        by_subject[_subject(record.case)][way].append(record)
    order = registry.engine_order()
    found = []
    for ways in by_subject.values():
        workload = next(iter(ways.values()))[0].case.workload
        ordered = sorted(ways, key=lambda way: (order.get((workload, way[0]), 0), *way[1:]))
        alike = Counter(way[:2] for way in ways)
        searches = [Search(ways[way][0].case, ways[way], store, alike[way[:2]] > 1) for way in ordered]
        found.append(Comparison(searches[0].case, searches))
    return sorted(found, key=lambda one: (one.case.workload, one.case.dataset, one.case.cluster, one.case.fraction))


def _subject(case: Case) -> str:
    """What engines are compared on. Seeds are replicates; how many trials an engine was given, and how many at once,
    is told with it.
    """
    own = ("arguments", "sampler_seed", "trials", "parallelism", "random_starts")
    kept = {name: value for name, value in case.params.items() if name not in own}
    shared = (
        case.workload,
        case.version,
        case.dataset_id,
        case.fraction,
        case.cluster,
        case.device,
        case.sample_seed,  # the target loss is one of this sample's validation part
    )
    return json.dumps([shared, kept], sort_keys=True)
