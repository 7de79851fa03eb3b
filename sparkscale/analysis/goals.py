"""Judges the goals of a suite, round by round, on the records of a run."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from sparkscale.analysis import blocks, metrics
from sparkscale.analysis.blocks import Block, Grid, Heading, Text
from sparkscale.analysis.every_metric import of_records
from sparkscale.analysis.statistics import FEWEST_ROUNDS, LEVEL, Spread, at_most
from sparkscale.contract.goal import Goal, Side
from sparkscale.contract.phrases import count
from sparkscale.contract.record import RunRecord

MIB = 2**20


@dataclass(frozen=True)
class JudgedGoal:
    """A goal, and the records of one cluster on which it is judged."""

    goal: Goal
    records: Sequence[RunRecord]

    def samples(self) -> list[float]:
        """Returns one value for each round in which both sides were measured.

        The values are those of the largest fraction that both sides have. Empty if a side of a ratio is 0.
        """
        return [] if self._has_zero else [self._value(upper, lower) for upper, lower in self._metric_pairs]

    @cached_property
    def _metric_pairs(self) -> list[tuple[float, float]]:
        return self._pairs(self._metric.samples) if self._metric else []

    @property
    def _has_zero(self) -> bool:
        """True if a side of a ratio is 0, such as the models per second of an engine that made no model."""
        of_ratio = self.goal.kind == "ratio" and self.goal.lower is not None
        return of_ratio and any(value <= 0 for pair in self._metric_pairs for value in pair)

    def unequal(self) -> bool:
        """Returns true if the two sides made different numbers of models in some round.

        In that case their times cannot be compared, because the two sides did different work.
        """
        return any(upper_models != lower_models for upper_models, lower_models in self._pairs(_models))

    def lost(self) -> int:
        """Returns the number of executions of both sides that have no time, because their outcome is not ok.

        If there are any, the remaining rounds may be only the quick rounds.
        """
        sides = [side for side in (self.goal.upper, self.goal.lower) if side]
        return sum(
            not record.isolated
            and not record.is_warmup
            and record.outcome not in ("ok", "unsupported")
            and any(_takes(side, record) for side in sides)
            for record in metrics.latest(self.records)
        )

    def words(self) -> str | None:
        """Returns median and range of the values, such as "1.20 (1.10–1.30)". None if there are no values."""
        spread = Spread.of(self.samples())
        if spread is None:
            return None
        median, low, high = map(self._number, (spread.median, spread.low, spread.high))
        shown = f"{median} ({low}–{high})" if spread.count > 1 and low != high else median
        return f"{shown} {self._unit}".rstrip()

    def limit(self) -> str | None:
        """Returns the limit of the goal as a text, such as "at most 1.20". None if the goal has no limit."""
        if self.goal.limit is None:
            return None
        bound = "at most" if self.goal.at_least is None else "at least"
        return f"{bound} {self._number(self.goal.limit)} {self._unit}".rstrip()

    def _number(self, value: float) -> str:
        """Returns a ratio with two decimals, or another value with three digits. Bytes are shown in MiB."""
        if self.goal.kind == "ratio":
            return f"{value:.2f}"
        return f"{value / MIB:.3g}" if self._unit == "MiB" else f"{value:.3g}"

    @property
    def _unit(self) -> str:
        """The unit of the values, such as "s". Empty for a ratio, or if no record has the metric."""
        if self.goal.kind == "ratio" or self._metric is None:
            return ""
        return "MiB" if self._metric.unit == "bytes" else self._metric.unit

    @cached_property
    def _metric(self) -> metrics.Metric | None:
        return of_records(self.records).get(self.goal.metric)

    def verdict(self, goals: int = 1) -> str:
        """Returns the verdict on these records as a text.

        The confidence level holds for all goals together; `goals` is their number.
        """
        if self._metric is None:
            return f"not measured: no record has a metric '{self.goal.metric}'"
        if self._has_zero:
            return f"not resolved: the {self.goal.metric} of a side is 0"
        return verdict(self.goal, self.samples(), self.lost(), self.unequal(), goals)

    def _pairs(self, samples: metrics.Samples) -> list[tuple[float, float]]:
        """Returns a pair for each round: the values of the goal's two sides, `upper` and `lower`.

        The values are those of the largest fraction that both sides have. If the goal has no side `lower`, the
        pair holds the value of `upper` twice.
        """
        upper = self._by_fraction(self.goal.upper, samples)
        lower = self._by_fraction(self.goal.lower, samples) if self.goal.lower else upper
        both = upper.keys() & lower.keys()
        largest = max((fraction for fraction, _ in both), default=0.0)
        return [(upper[key], lower[key]) for key in sorted(both) if key[0] == largest]

    def _by_fraction(self, side: Side, samples: metrics.Samples) -> dict[tuple[float, int], float]:
        """Returns the values of one side, by fraction and round."""
        side_records = [record for record in self.records if not record.isolated and _takes(side, record)]
        measured = (((record.case.fraction, record.round), samples([record])) for record in side_records)
        return {key: values[0] for key, values in measured if values}

    def _value(self, upper: float, lower: float) -> float:
        if self.goal.lower is None:
            return upper
        return upper / lower if self.goal.kind == "ratio" else upper - lower


def _takes(side: Side, record: RunRecord) -> bool:
    """Returns true if the record is one of this side. Goals are for engines with all threads of the profile."""
    return side.takes(record.case) and record.limited_threads is None


def verdict(goal: Goal, samples: Sequence[float], lost: int = 0, unequal: bool = False, goals: int = 1) -> str:
    """Returns "met" or "missed" if the whole interval of these values (one per round) is on one side of the limit.

    The confidence level of the interval holds for all goals together; `goals` is their number. `lost` is the
    number of executions without a time. The result is "not measured" if there are no values. It begins with "not
    resolved" if the limit lies in the interval, if there are too few rounds, if executions were lost, or if the
    sides made different numbers of models (`unequal`). The result is empty if the goal has no limit.
    """
    limit = goal.limit
    if not samples:
        return "not measured"
    if limit is None:
        return ""
    if lost:
        return f"not resolved: {count(lost, 'execution')} without a time"
    if unequal:
        return "not resolved: not the same number of models"
    if len(samples) < FEWEST_ROUNDS:
        return f"not resolved: {count(len(samples), 'round')}; at least {FEWEST_ROUNDS} are needed"

    def as_upper_limit(value: float) -> float:
        """Turns a lower limit into an upper limit: inverts a ratio, and negates any other value."""
        if goal.at_least is None:
            return value
        return 1 / value if goal.kind == "ratio" else -value

    met = at_most([*map(as_upper_limit, samples)], as_upper_limit(limit), goals, goal.kind == "ratio")
    return "not resolved" if met is None else "met" if met else "missed"


def goals(stated: Sequence[Goal], records: Sequence[RunRecord]) -> Iterator[Block]:
    """Yields a table with a verdict on each goal of a suite and each cluster. Yields nothing without goals."""
    clusters: dict[str, list[RunRecord]] = {}
    for record in records if stated else ():
        clusters.setdefault(record.case.cluster, []).append(record)
    judged_goals = [
        (cluster, JudgedGoal(goal, cluster_records))
        for cluster, cluster_records in clusters.items()
        for goal in stated
    ]
    if not judged_goals:
        return
    number = sum(judged.goal.limit is not None and bool(judged.samples()) for _, judged in judged_goals)
    columns = (
        blocks.name("cluster"),
        blocks.name("median (range)"),
        blocks.name("goal"),
        blocks.prose("verdict"),
        blocks.prose("of"),
    )
    rows = tuple(
        (cluster, judged.words(), judged.limit(), judged.verdict(number), judged.goal.name)
        for cluster, judged in judged_goals
    )
    yield Heading("Goals")
    yield Grid("Goals, round by round", columns, rows)
    yield Text(
        f"A goal is met, or missed, where the {LEVEL:.0%} interval of all rounds lies on one side of it, widened for "
        "the number of goals that are judged together; the range that is shown is that of the rounds.",
        is_note=True,
    )
    for cluster, cluster_records in clusters.items():
        parts = ", ".join(f"{name} {spread.words('.2f')} s" for name, spread in breakdown(cluster_records).items())
        if parts:
            yield Text(f"fit of xgboost-spark on {cluster}: {parts}.", is_note=True)


def _models(records: Sequence[RunRecord]) -> list[float]:
    return [record.figures["models"] for record in metrics.timed(records) if "models" in record.figures]


def breakdown(records: Iterable[RunRecord]) -> dict[str, Spread]:
    """Returns the seconds of each part of xgboost.spark's `fit`, by name. Empty if no record has these figures."""
    names = ("starting", "importing", "waiting", "transferring", "training", "returning")
    timed_records = metrics.timed(list(records))
    samples = {
        name: [r.figures[f"seconds_{name}"] for r in timed_records if f"seconds_{name}" in r.figures]
        for name in names
    }
    spreads = {name: Spread.of(values) for name, values in samples.items()}
    return {name: spread for name, spread in spreads.items() if spread}
