"""All executions of one engine in a comparison, and how much better than another it did."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from sparkscale.analysis import metrics
from sparkscale.analysis.statistics import FEWEST_ROUNDS, Spread, median_interval
from sparkscale.contract.case import Case
from sparkscale.contract.record import RunRecord
from workloads import registry
from workloads.base import View


@dataclass
class Executions:
    """Of one case, or of those that differ in their seeds only."""

    case: Case
    records: list[RunRecord]

    @property
    def engine(self) -> str:
        return self.case.engine

    @cached_property
    def timed(self) -> list[RunRecord]:
        """Those whose seconds count."""
        return metrics.timed(self.records)

    @property
    def by_round(self) -> dict[int, RunRecord]:
        """Those whose seconds count; each round has its own seeds."""
        return {record.round: record for record in self.timed}

    @property
    def has_every_time(self) -> bool:
        """Whether no execution ended without a time. Else ratios by round would be of the quick rounds only."""
        times = metrics.spread_of_times(self.records)
        return times is not None and not times.is_censored

    def rate(self, per_second: Callable[[RunRecord], float]) -> Spread | None:
        """Of the executions with a time. A timeout is slower than any of them: minus infinity."""
        times = metrics.spread_of_times(self.records)
        if times is None:
            return None
        timeouts = [-math.inf] * (times.count - times.known)
        return Spread.of([*map(per_second, self.timed), *timeouts], times.executions)

    def figure(self, name: str) -> Spread | None:
        return Spread.of([record.figures[name] for record in self.timed if name in record.figures])


def of_view(view: View, records: Iterable[RunRecord]) -> list[RunRecord]:
    """The records that the tables of a view compare: of each pattern that declares it, without warm-ups and without
    what an engine does not support.
    """
    patterns = {pattern.name for pattern in registry.patterns().values() if pattern.view == view}
    return [
        record
        for record in records
        if record.case.pattern in patterns and not record.is_warmup and record.outcome != "unsupported"
    ]


def margin(ratios: list[float], times: str, other: str) -> str:
    """How many `times` of another one did, as part of a sentence: "1.20 (1.10–1.30) times as fast as joblib"; and
    whether that is resolved.
    """
    spread = Spread.of(ratios)
    if spread is None:
        return f"not every round has a time of both it and {other}"
    text = f"{spread.median:.2f}" + (f" ({spread.low:.2f}–{spread.high:.2f})" if spread.count > 1 else "")
    resolved = spread.count >= FEWEST_ROUNDS and median_interval(ratios).low > 1
    return f"{text} {times} {other}" + ("" if resolved else ", which is not resolved")
