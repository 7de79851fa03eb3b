"""Compares engines for parallel tuning: the best configuration that each has found, over time and over trials.

One replicate is one seed of the sampler. Rounds with the same seed search in the same way, so only their median
counts. A search that never reached the target is censored: it counts as later than every search that reached it, and
is never dropped. The same applies to a search that failed or reached its deadline.
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
"""Best losses are reported after these shares of the quickest engine's search time, and of the trials."""

Array = np.ndarray[Any, Any]

SEEDS = "more sampler seeds (`sweep = { sampler_seed = [1, 2, …] }` in a suite)"
EQUAL = "the same searches with every engine"
"""The text for `would_resolve` if fewer than two engines can be ranked. Ranked engines made the same searches."""

Attempt = tuple[int, int]
"""One search of an engine, named by the sampler's seed and the round."""

VARIANT_PARAMETERS = ("sampler_seed", "trials", "parallelism", "random_starts")
"""Parameters in which searches of one comparison may differ.

`Search.label` names those that distinguish searches, but never the seed.
"""


@dataclass(frozen=True)
class Course:
    """The losses of one search, in the order in which they were reported.

    `seconds` are the times of these reports, from the start of `load`. Both arrays have shape (trials,).
    """

    seconds: Array
    losses: Array

    @classmethod
    def of(cls, record: RunRecord, table: pa.Table) -> "Course":
        by_time = table.sort_by("told")
        return cls(record.seconds["load"] + by_time.column("told").to_numpy(), by_time.column("loss").to_numpy())

    @property
    def end(self) -> float:
        return float(self.seconds[-1])

    def best_at(self, seconds: float) -> float:
        """Returns the best loss that was known after this time. Infinite before the first loss."""
        return self.best_after(int(np.searchsorted(self.seconds, seconds, side="right")))

    def best_after(self, trials: int) -> float:
        """Returns the best loss of the first trials. Infinite if `trials` is 0."""
        return float(self.losses[:trials].min()) if trials else math.inf

    def improvements(self) -> list[tuple[float, float]]:
        """Returns times with the best loss so far, as steps: before and after it became better, and at the end."""
        best = math.inf
        points = []
        for seconds, loss in zip(self.seconds.tolist(), self.losses.tolist(), strict=True):
            if loss < best:
                points += [(seconds, one) for one in (best, loss) if math.isfinite(one)]
                best = loss
        return [*points, (self.end, best)] if points else []

    def reached(self, target: float) -> float:
        """Returns the seconds until the target was reached. Infinite if it was never reached."""
        reached_trials = np.flatnonzero(self.losses <= target)
        return float(self.seconds[reached_trials[0]]) if len(reached_trials) else math.inf


@dataclass
class Failures:
    """Trials without a loss that have the same outcome, with the parameters and the error of the first trial."""

    label: str
    outcome: str
    trials: int
    parameters: str
    error: str


@dataclass
class Search(Executions):
    """All executions of one engine with the same number of trials, parallel trials and random starts.

    The sampler's seeds may differ.
    """

    store: Store
    names_trials: bool = False
    """If true, `label` names the number of trials, because the engine was also measured with another one."""
    names_starts: bool = False
    """If true, `label` names the number of random starts, because the engine was also measured with another one."""

    @property
    def label(self) -> str:
        """The engine's name with the numbers that distinguish this search, such as how many trials run at once."""
        parts = [self.engine]
        if at_once := self.case.params["parallelism"]:
            parts.append(f"{at_once} at once")
        if self.names_trials:
            parts.append(f"{self.case.params['trials']} trials")
        if self.names_starts:
            parts.append(f"{self.case.params['random_starts']} random starts")
        return ", ".join(parts)

    @property
    def is_comparable(self) -> bool:
        """True if the engine's trials are judged on the same rows as the trials of other engines."""
        return self.declared.has(self.case.engine, "judges_on_split")

    @cached_property
    def timed(self) -> list[RunRecord]:
        """The last record of each search. Records without valid seconds are left out."""
        return metrics.timed(self.attempts)

    @cached_property
    def tables(self) -> list[pa.Table]:
        return [self.store.table(record.id, TRIALS) for record in self.timed]

    @cached_property
    def courses(self) -> list[Course]:
        return [Course.of(record, table) for record, table in zip(self.timed, self.tables, strict=True)]

    @cached_property
    def attempts(self) -> list[RunRecord]:
        """The last record of each search that was begun, with any outcome."""
        return [record for record in metrics.latest(self.records) if not record.isolated]

    @property
    def attempted(self) -> frozenset[Attempt]:
        return frozenset(map(_attempt, self.attempts))

    @property
    def failed(self) -> int:
        """The number of searches that ended without a result."""
        return sum(record.outcome != "ok" for record in self.attempts)

    def seconds_to(self, target: float) -> dict[Attempt, float]:
        """Returns the seconds that each search needed to reach the target, by sampler seed and round.

        They are infinite for a search that failed or did not reach the target. Searches that are ok but have no
        valid seconds, such as cold ones, are left out.
        """
        reached = {_attempt(r): c.reached(target) for r, c in zip(self.timed, self.courses, strict=True)}
        failed = {_attempt(record): math.inf for record in self.attempts if record.outcome != "ok"}
        return failed | reached

    def by_seed(self, target: float) -> dict[int, float]:
        """Returns the median over rounds of the seconds to the target, by the sampler's seed."""
        seconds_by_seed = defaultdict(list)
        for (seed, _), seconds in self.seconds_to(target).items():
            seconds_by_seed[seed].append(seconds)
        return {seed: float(np.median(seconds)) for seed, seconds in seconds_by_seed.items()}

    def to_target(self, target: float) -> Spread | None:
        """Returns the spread of the seconds to the target, which are infinite for a search that missed it."""
        return Spread.of([*self.seconds_to(target).values()], len(self.attempts))

    def reached(self, target: float) -> int:
        """Returns the number of searches that reached the target."""
        return sum(map(math.isfinite, self.seconds_to(target).values()))

    def best_at(self, seconds: float) -> Spread | None:
        """Returns the spread of the best losses after this time. Infinite for a search that failed."""
        return self._of_all([course.best_at(seconds) for course in self.courses])

    def best_after(self, share: float) -> Spread | None:
        """Returns the spread of the best losses after this share of trials. Infinite for a search that failed."""
        return self._of_all([course.best_after(math.ceil(share * len(course.losses))) for course in self.courses])

    def _of_all(self, losses: list[float]) -> Spread | None:
        return Spread.of([*losses, *(math.inf for _ in range(self.failed))])

    def quality(self, name: str) -> Spread | None:
        values = [record.quality[name] for record in metrics.scored(self.attempts) if name in record.quality]
        return Spread.of(values, len(self.attempts))

    @property
    def failures(self) -> list[Failures]:
        """The trials without a loss, over all executions with valid seconds."""
        if not self.tables:
            return []
        table = pa.concat_tables(self.tables)
        return [
            Failures(self.label, outcome, rows.num_rows, str(rows.column("parameters")[0]), str(rows["error"][0]))
            for outcome, rows in unsuccessful(table)
        ]


@dataclass
class Searches:
    """The comparison of one workload's engines that search the same space on the same rows."""

    case: Case
    searches: list[Search]

    @property
    def target(self) -> float | None:
        """The validation loss to reach. None if no target is known."""
        loss = self.case.params["target_loss"]
        return None if loss is None else float(loss)

    @cached_property
    def moments(self) -> list[float]:
        """The seconds after which best losses are reported. Empty if no search has valid seconds.

        These are 1/4, 1/2 and all of the quickest engine's median time, and then the slowest engine's median time.
        """
        ends = [Spread.of([course.end for course in search.courses]) for search in self.searches]
        medians = sorted(end.median for end in ends if end)
        return [share * medians[0] for share in SHARES] + medians[1:][-1:] if medians else []

    @property
    def _rivals(self) -> list[Search]:
        """The engines that can be ranked: judged on the same rows, and with all threads that the profile grants."""
        return [search for search in self.searches if search.is_comparable and search.limited_threads is None]

    @cached_property
    def ranking(self) -> list[tuple[Search, Spread]]:
        """The engines that made the same searches, each with its seconds to the target (infinite if not reached).

        They are sorted by the median of these seconds. Empty if no target is known.
        """
        if self.target is None:
            return []
        equal = [search for search in self._rivals if not self.unequal(search)]
        ranked = [(search, spread) for search in equal if (spread := search.to_target(self.target))]
        return sorted(ranked, key=lambda pair: pair[1].median)

    def unequal(self, search: Search) -> str:
        """Returns the reason why an engine cannot be ranked: its searches differ from those of other engines.

        Empty if the searches are the same.
        """
        assert self.target is not None
        others = self._rivals
        attempted = Counter(other.attempted for other in others)
        usual = max(attempted, key=lambda attempts: (attempted[attempts], len(attempts)))
        if more := len(search.attempted - usual):
            return f"other engines did not make {more} of its searches"
        if search.attempted != usual:
            return f"it began only {len(search.attempted)} of the {len(usual)} searches that other engines made"
        times = search.seconds_to(self.target)
        if len(times) < len(usual):
            return f"{len(times)} of {len(usual)} searches have a time"
        most = max(int(other.case.params["trials"]) for other in others)
        trials = int(search.case.params["trials"])
        if trials < most and search.reached(self.target) + search.failed < len(times):
            return f"some of its searches ended after {count(trials, 'trial')}, and other engines were given {most}"
        return ""

    @property
    def unranked(self) -> list[str]:
        """The engines that are judged on the same rows but not ranked, each with the reason, as texts."""
        if self.target is None:
            return []
        reasons = [(search.label, self.unequal(search)) for search in self._rivals]
        return [f"{label} ({reason})" for label, reason in reasons if reason]

    @property
    def failures(self) -> list[Failures]:
        return [failures for search in self.searches for failures in search.failures]


def advice(comparison: Searches) -> Answer:
    """Returns an answer that says which engine to use for searches of this space."""
    if comparison.target is None:
        return Answer(
            "No target loss is known for this sample of this data, so nothing says which search is the quickest: "
            "`sparkscale run --suite tuning-target` finds one, with the same --data and --seed.",
            "not resolved",
            would_resolve="a target loss",
        )
    unranked = f" Not ranked: {'; '.join(comparison.unranked)}." if comparison.unranked else ""
    if not comparison.ranking:
        return Answer(f"No engine can be ranked.{unranked}", "not resolved", would_resolve=EQUAL)
    reached = [pair for pair in comparison.ranking if math.isfinite(pair[1].median)]
    if not reached:
        reason = (
            f"No engine reached the target of {comparison.target:.4g} in most searches: give them more trials, or "
            "another target."
        )
        return Answer(reason + unranked, "no")
    best, times = reached[0]
    best_seconds, rivals, verdicts = (
        best.by_seed(comparison.target),
        comparison.ranking[1:],
        pairs(len(comparison.ranking)),
    )
    text = f"Use {best.label}: it reached a validation loss of {comparison.target:.4g} in {times.median:.1f} s."
    unresolved = [
        pair for pair in rivals if not is_sooner(best_seconds, pair[0].by_seed(comparison.target), verdicts)
    ]
    if unresolved:
        fewest = fewest_seeds(verdicts, all(math.isfinite(spread.high) for _, spread in [reached[0], *unresolved]))
        too_few = f": at least {fewest} sampler seeds are needed, and there {_are(len(best_seconds))}"
        too_few = too_few if len(best_seconds) < fewest else ""
        text = f"{text} It is not resolved whether that is sooner than {_named(unresolved)}{too_few}."
        return Answer(text + unranked, "not resolved", would_resolve=SEEDS)
    if not rivals:
        return Answer(f"{text} No other engine was ranked.{unranked}", "not resolved", would_resolve=EQUAL)
    others = "No other engine reached it in most searches."
    if len(reached) > 1:
        others = f"Every other engine needed longer. The next is {_named(reached[1:2])}."
    return Answer(f"{text} {others}{unranked}", "yes")


def _are(number: int) -> str:
    return "is 1" if number == 1 else f"are {number}"


def is_sooner(first: Mapping[int, float], second: Mapping[int, float], verdicts: int) -> bool:
    """Returns true if the first engine reaches the target significantly sooner than the second engine.

    `first` and `second` map each sampler seed to the seconds to the target, which are infinite if the target was
    not reached. If all times are known, the result follows from their ratios. Otherwise the first engine must come
    first for every seed, and for enough seeds. `verdicts` is the number of verdicts that are made together.
    """
    shared = [(first[seed], second[seed]) for seed in first.keys() & second.keys()]
    if all(math.isfinite(seconds) for times in shared for seconds in times):
        return (
            at_most([first_seconds / second_seconds for first_seconds, second_seconds in shared], 1.0, verdicts)
            is True
        )
    return all(first_seconds < second_seconds for first_seconds, second_seconds in shared) and always_sooner(
        len(shared), verdicts
    )


def fewest_seeds(verdicts: int, all_known: bool) -> int:
    """Returns the smallest number of seeds that can resolve a verdict, if `verdicts` verdicts are judged together.

    It may be larger if some search missed the target (`all_known` is false).
    """
    if all_known:
        return FEWEST_ROUNDS
    return next(number for number in itertools.count(FEWEST_ROUNDS) if always_sooner(number, verdicts))


def _attempt(record: RunRecord) -> Attempt:
    return int(record.case.params["sampler_seed"]), record.round


def _named(searches: Iterable[tuple[Search, Spread]]) -> str:
    return ", ".join(
        f"{search.label} ({spread.median:.1f} s)"
        if math.isfinite(spread.median)
        else f"{search.label} (most searches missed the target)"
        for search, spread in searches
    )


def comparisons(store: Store, records: Iterable[RunRecord]) -> list[Searches]:
    """Returns a comparison for each workload, data set, sample, cluster, device, space and target.

    They are sorted by workload, data set, cluster and fraction.
    """
    compared = []
    for variants in by_subject("tuning", records, _subject, _variant):
        searches = [
            Search(of_variant[0].case, of_variant, store, *(_varies(variants, variant, place) for place in (2, 3)))
            for variant, of_variant in variants.items()
        ]
        compared.append(Searches(searches[0].case, searches))
    return sorted(
        compared, key=lambda item: (item.case.workload, item.case.dataset, item.case.cluster, item.case.fraction)
    )


def _varies(variants: Iterable[tuple[Any, ...]], variant: tuple[Any, ...], position: int) -> bool:
    """Returns true if the engine also ran with another number of trials (`position` 2) or random starts (3).

    Only searches with the same parallelism count.
    """
    return any(other[:2] == variant[:2] and other[position] != variant[position] for other in variants)


def _subject(case: Case) -> str:
    """Returns a key that is equal for cases of the same comparison.

    The cases may differ in their sampler seeds, and in the numbers of trials, parallel trials and random starts
    (VARIANT_PARAMETERS).
    """
    # the sample seed is a part of the key, because a target loss is valid for one sample only
    return case.subject_key("version", "fraction", "sample_seed", without=("arguments", *VARIANT_PARAMETERS))


def _variant(case: Case) -> tuple[str, int, int, int, int]:
    parallelism, trials, starts = (int(case.params[name]) for name in ("parallelism", "trials", "random_starts"))
    return case.engine, parallelism, trials, starts, case.known_threads
