"""Parallel tuning: how good a configuration each way of searching has found, against time and against trials.

A replicate is a sampler's seed; of several rounds of one seed, which search alike, the median counts. A search that
never reached the target is censored: it counts as later than every search that did, and is never dropped. So does a
search that failed or ran out of time.
"""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from sparkscale.analysis import metrics
from sparkscale.analysis.blocks import Answer
from sparkscale.analysis.executions import Executions
from sparkscale.analysis.patterns.outcomes import unsuccessful
from sparkscale.analysis.patterns.protocol import by_subject
from sparkscale.analysis.statistics import FEWEST_ROUNDS, Spread, always_sooner, at_most, pairs
from sparkscale.contract.case import Case
from sparkscale.contract.phrases import count
from sparkscale.contract.record import TRIALS, RunRecord
from sparkscale.store.store import Store

SHARES = (0.25, 0.5, 1.0)
"""Of the time that the first engine took for its search, and of the trials: where best losses are told."""

Array = np.ndarray[Any, Any]

SEEDS = "more sampler seeds (`sweep = { sampler_seed = [1, 2, …] }` in a suite)"
EQUAL = "the same searches with every engine"
"""What would resolve an answer."""

Attempt = tuple[int, int]
"""A sampler's seed and a round."""

OF_A_VARIANT = ("sampler_seed", "trials", "parallelism", "random_starts")
"""Parameters in which the engines of a comparison may differ; they stand beside an engine's name."""


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
    names_starts: bool = False
    """Whether another of the engine has another number of random starts."""

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
        if self.names_starts:
            told.append(f"{self.case.params['random_starts']} random starts")
        return ", ".join(told)

    @property
    def is_comparable(self) -> bool:
        """Whether its trials are judged on the same rows as the others'."""
        return self.declared.has(self.engine, "judges_on_split")

    @cached_property
    def timed(self) -> list[RunRecord]:
        """Those of the attempts whose seconds count."""
        return metrics.timed(self.attempts)

    @cached_property
    def tables(self) -> list[pa.Table]:
        return [self.store.table(record.id, TRIALS) for record in self.timed]

    @cached_property
    def courses(self) -> list[Course]:
        return [Course.of(record, table) for record, table in zip(self.timed, self.tables, strict=True)]

    @cached_property
    def attempts(self) -> list[RunRecord]:
        """The last record of each search that was begun, whatever came of it."""
        return [record for record in metrics.latest(self.records) if not record.isolated]

    @property
    def attempted(self) -> frozenset[Attempt]:
        return frozenset(map(_attempt, self.attempts))

    @property
    def failed(self) -> int:
        """How many searches ended without a result: they never came anywhere."""
        return sum(record.outcome != "ok" for record in self.attempts)

    def seconds_to(self, target: float) -> dict[Attempt, float]:
        """Seconds to the target, infinite where it was not reached, by attempt. What is ok but not warm has none."""
        reached = {_attempt(r): c.reached(target) for r, c in zip(self.timed, self.courses, strict=True)}
        failed = {_attempt(record): math.inf for record in self.attempts if record.outcome != "ok"}
        return failed | reached

    def by_seed(self, target: float) -> dict[int, float]:
        """Seconds to the target: of each of the sampler's seeds the median over rounds."""
        found = defaultdict(list)
        for (seed, _), seconds in self.seconds_to(target).items():
            found[seed].append(seconds)
        return {seed: float(np.median(seconds)) for seed, seconds in found.items()}

    def to_target(self, target: float) -> Spread | None:
        """Seconds to the target, infinite where it was not reached."""
        return Spread.of([*self.seconds_to(target).values()], len(self.attempts))

    def reached(self, target: float) -> int:
        """How many searches reached the target."""
        return sum(map(math.isfinite, self.seconds_to(target).values()))

    def best_at(self, seconds: float) -> Spread | None:
        """The best loss that was known then, infinite in a search that failed."""
        return self._of_all([course.best_at(seconds) for course in self.courses])

    def best_after(self, share: float) -> Spread | None:
        """After this share of the trials."""
        return self._of_all([course.best_after(math.ceil(share * len(course.losses))) for course in self.courses])

    def _of_all(self, losses: list[float]) -> Spread | None:
        return Spread.of([*losses, *(math.inf for _ in range(self.failed))])

    def quality(self, name: str) -> Spread | None:
        found = [record.quality[name] for record in metrics.scored(self.attempts) if name in record.quality]
        return Spread.of(found, len(self.attempts))

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
class Searches:
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
        """Engines with equal attempts and their seconds to the target, infinite where it was not reached; by their
        medians.
        """
        if self.target is None:
            return []
        equal = [search for search in self.searches if search.is_comparable and not self.unequal(search)]
        found = [(search, spread) for search in equal if (spread := search.to_target(self.target))]
        return sorted(found, key=lambda pair: pair[1].median)

    def unequal(self, search: Search) -> str:
        """Why the attempts of an engine are not those of the others; empty where they are."""
        assert self.target is not None
        others = [other for other in self.searches if other.is_comparable]
        attempted = Counter(other.attempted for other in others)
        usual = max(attempted, key=lambda attempts: (attempted[attempts], len(attempts)))
        if more := len(search.attempted - usual):
            return f"{more} of its searches were made by no other"
        if search.attempted != usual:
            return f"{len(search.attempted)} of the {len(usual)} searches that others made were begun"
        known = search.seconds_to(self.target)
        if len(known) < len(usual):
            return f"{len(known)} of {len(usual)} searches have a time"
        most = max(int(other.case.params["trials"]) for other in others)
        trials = int(search.case.params["trials"])
        if trials < most and search.reached(self.target) + search.failed < len(known):
            return f"some of its searches ended after {count(trials, 'trial')}, and others were given {most}"
        return ""

    @property
    def unranked(self) -> list[str]:
        """Engines that are judged on the same rows and yet not ranked, each with the reason."""
        if self.target is None:
            return []
        reasons = [(search.label, self.unequal(search)) for search in self.searches if search.is_comparable]
        return [f"{label} ({reason})" for label, reason in reasons if reason]

    @property
    def failures(self) -> list[Failures]:
        return [found for search in self.searches for found in search.failures]


def advice(found: Searches) -> Answer:
    """Says which engine to use on this space."""
    if found.target is None:
        return Answer(
            "No target loss is known for this sample of this data, so nothing says which search is the quickest: "
            "`sparkscale run --suite tuning-target` finds one, with the same --data and --seed.",
            "not resolved",
            would_resolve="a target loss",
        )
    unranked = f" Not ranked: {'; '.join(found.unranked)}." if found.unranked else ""
    if not found.ranking:
        return Answer(f"No engine can be ranked.{unranked}", "not resolved", would_resolve=EQUAL)
    reached = [pair for pair in found.ranking if math.isfinite(pair[1].median)]
    if not reached:
        none = f"No engine mostly reached the target of {found.target:.4g}: give them more trials, or another target."
        return Answer(none + unranked, "no")
    best, times = reached[0]
    known, rivals, verdicts = best.by_seed(found.target), found.ranking[1:], pairs(len(found.ranking))
    told = f"Use {best.label}: it reached a validation loss of {found.target:.4g} in {times.median:.1f} s"
    unresolved = [pair for pair in rivals if not is_sooner(known, pair[0].by_seed(found.target), verdicts)]
    if unresolved:
        least = fewest_seeds(verdicts, all(math.isfinite(spread.high) for _, spread in [reached[0], *unresolved]))
        few = f": {count(len(known), 'sampler seed')}, and {least} are the least"
        told = f"{told}; whether sooner than {_named(unresolved)} is not resolved{few if len(known) < least else ''}."
        return Answer(told + unranked, "not resolved", would_resolve=SEEDS)
    if not rivals:
        return Answer(f"{told}; no other engine was ranked.{unranked}", "not resolved", would_resolve=EQUAL)
    told += (
        ", and no other engine mostly did" if len(reached) == 1 else ", sooner than every other engine; the next is "
    )
    return Answer(f"{told}{_named(reached[1:2])}.{unranked}", "yes")


def is_sooner(first: Mapping[int, float], second: Mapping[int, float], verdicts: int) -> bool:
    """Whether it is resolved that the first comes to the target before the second: seconds by sampler seed, infinite
    where it was not reached. With all times known by their ratios, else by how often it came first.
    """
    both = [(first[seed], second[seed]) for seed in first.keys() & second.keys()]
    if all(math.isfinite(seconds) for times in both for seconds in times):
        return at_most([one / other for one, other in both], 1.0, verdicts) is True
    return all(one < other for one, other in both) and always_sooner(len(both), verdicts)


def fewest_seeds(verdicts: int, all_known: bool) -> int:
    """How many seeds the least that can resolve something has; more where some search never came there."""
    if all_known:
        return FEWEST_ROUNDS
    return next(number for number in itertools.count(FEWEST_ROUNDS) if always_sooner(number, verdicts))


def _attempt(record: RunRecord) -> Attempt:
    return int(record.case.params["sampler_seed"]), record.round


def _named(searches: Iterable[tuple[Search, Spread]]) -> str:
    return ", ".join(
        f"{search.label} ({spread.median:.1f} s)"
        if math.isfinite(spread.median)
        else f"{search.label} (mostly never)"
        for search, spread in searches
    )


def comparisons(store: Store, records: Iterable[RunRecord]) -> list[Searches]:
    """One per workload, data set, sample, cluster, device, space and target, in the records' order."""
    found = []
    for variants in by_subject("tuning", records, _subject, _variant):
        searches = [
            Search(of_variant[0].case, of_variant, store, *(_varies(variants, variant, place) for place in (2, 3)))
            for variant, of_variant in variants.items()
        ]
        found.append(Searches(searches[0].case, searches))
    return sorted(found, key=lambda one: (one.case.workload, one.case.dataset, one.case.cluster, one.case.fraction))


def _varies(variants: Iterable[tuple[Any, ...]], variant: tuple[Any, ...], place: int) -> bool:
    """Whether another way of the same engine, as parallel, has another number at this place."""
    return any(other[:2] == variant[:2] and other[place] != variant[place] for other in variants)


def _subject(case: Case) -> str:
    """What engines are compared on. Seeds are replicates; how many trials an engine was given, and how many at once,
    is told with it.
    """
    # the target loss is one of this sample's validation part
    return case.subject_key("version", "fraction", "sample_seed", without=("arguments", *OF_A_VARIANT))


def _variant(case: Case) -> tuple[str, int, int, int]:
    parallelism, trials, starts = (int(case.params[name]) for name in ("parallelism", "trials", "random_starts"))
    return case.engine, parallelism, trials, starts
