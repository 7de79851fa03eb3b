"""Groups all executions of one engine in a comparison. Writes as text how much faster one engine is than another."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from sparkscale.analysis import metrics
from sparkscale.analysis.statistics import Spread, at_most, ratios_by_round
from sparkscale.contract.case import Case
from sparkscale.contract.declared import WorkloadDescription
from sparkscale.contract.record import RunRecord


@dataclass
class Executions:
    """The executions of one case, or of cases that differ only in their seeds."""

    case: Case
    records: list[RunRecord]

    @property
    def engine(self) -> str:
        """The name of the engine in tables. It states the threads if the suite limits them."""
        return self.records[0].engine

    @property
    def limited_threads(self) -> int | None:
        """The number of threads, if the suite gave the engine fewer than the profile grants. None otherwise."""
        return self.records[0].limited_threads

    @property
    def declared(self) -> WorkloadDescription:
        """The description of the workload that was executed."""
        return self.records[0].declared

    @cached_property
    def timed(self) -> list[RunRecord]:
        """The executions with valid seconds."""
        return metrics.timed(self.records)

    @property
    def by_round(self) -> dict[int, RunRecord]:
        """The execution of each round, if its seconds are valid. Each round has its own seeds."""
        return {record.round: record for record in self.timed}

    @cached_property
    def times(self) -> Spread | None:
        """The times to model in seconds. A timeout counts as longer than any time. None if there are no times."""
        return metrics.spread_of_times(self.records)

    @property
    def has_every_time(self) -> bool:
        """True if each execution has a time. Otherwise only the quick rounds may have a time."""
        return self.times is not None and not self.times.is_censored

    def rate(self, per_second: Callable[[RunRecord], float]) -> Spread | None:
        """Returns the spread over executions of a rate, such as rows per second. None if there are no times.

        `per_second` computes the rate of one execution. A timeout counts as minus infinity: it did less work than any
        other execution.
        """
        if self.times is None:
            return None
        timeouts = [-math.inf] * (self.times.count - self.times.known)
        return Spread.of([*map(per_second, self.timed), *timeouts], self.times.executions)

    def ratios(self, other: "Executions", upper: Mapping[int, float], lower: Mapping[int, float]) -> list[float]:
        """Returns `upper` divided by `lower`, round by round. Both hold one value for each round.

        The list is empty if this or the `other` engine has an execution without a time.
        """
        return ratios_by_round(upper, lower) if self.has_every_time and other.has_every_time else []

    def figure(self, name: str) -> Spread | None:
        return Spread.of([record.figures[name] for record in self.timed if name in record.figures])


def of_report(report: str, records: Iterable[RunRecord]) -> list[RunRecord]:
    """Returns the records that the named report shows.

    Warm-ups and cases that an engine does not support are left out.
    """
    return [
        record
        for record in records
        if record.declared.report == report and not record.is_warmup and record.outcome != "unsupported"
    ]


@dataclass(frozen=True)
class Margin:
    """The advantage of one engine over another, as part of a sentence.

    `is_resolved` is true if the advantage is significant.
    """

    text: str
    is_resolved: bool


def margin(ratios: list[float], times: str, other: str, verdicts: int) -> Margin:
    """Returns a comparison such as "is 1.20 (1.10–1.30) times as fast as joblib (not resolved)".

    `ratios` are the speed-ups over the engine `other`, one for each round. `times` is the middle of the sentence,
    such as "is {} times as fast as": the numbers replace "{}". `verdicts` is the number of verdicts that are made
    together.
    """
    spread = Spread.of(ratios)
    if spread is None:
        return Margin(f"has no time to compare with {other} in some rounds", False)
    resolved = at_most(ratios, 1.0, verdicts) is False
    return Margin(f"{times.format(spread.words('.2f'))} {other}" + ("" if resolved else " (not resolved)"), resolved)
