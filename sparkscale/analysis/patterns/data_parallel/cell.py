"""Groups all executions of one engine on one fraction: their costs, and the quality of their models over rounds."""

import math
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, median

from sparkscale.analysis import crossed, metrics
from sparkscale.analysis.criterion import Criterion, criterion_of
from sparkscale.analysis.patterns.data_parallel.scores import Qualities, reading
from sparkscale.analysis.plausibility import quality_warning
from sparkscale.analysis.statistics import LEVEL, Interval, Spread, ratios_by_round
from sparkscale.analysis.unit_quality import UnitQuality, value
from sparkscale.contract.case import Case
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store

Seeds = tuple[int, int]


@dataclass
class Cell:
    """All executions of cases that differ only in their seeds. `case` is one of these cases."""

    case: Case
    records: list[RunRecord]
    store: Store

    @property
    def rows(self) -> int:
        """The number of training rows. It is the median over rounds, because each seed draws another sample."""
        return round(median(record.case.rows for record in self.records))

    @cached_property
    def seconds(self) -> Spread | None:
        """The times to model in seconds. A timeout counts as longer than any time. None if there are no times."""
        return metrics.spread_of_times(self.records)

    @property
    def has_every_time(self) -> bool:
        """True if each execution has a time. Otherwise only the quick rounds may have a time."""
        return self.seconds is not None and not self.seconds.is_censored

    @cached_property
    def first_run(self) -> Spread | None:
        """The seconds of first runs. None if none was measured.

        They include the start of a new worker with Spark's session, and the cold time to model in this worker.
        """
        return Spread.of([seconds for record in self.records if (seconds := metrics.first_run(record)) is not None])

    @property
    def doubt(self) -> str | None:
        """The reason why the quality is doubtful: the first warning about it. None if there is no warning."""
        return next((text for record in metrics.scored(self.records) if (text := quality_warning(record))), None)

    @cached_property
    def peak_bytes(self) -> Spread | None:
        return Spread.of(metrics.PEAK_MEMORY.samples(self.records))

    @property
    def criterion(self) -> Criterion:
        return criterion_of(self.records[0])

    @cached_property
    def _scored(self) -> dict[Seeds, Qualities]:
        """The quality of the model and the ceiling, for each pair of seeds. The ceiling is None if it is not known.

        The quality and the ceiling are computed from stored scores, or from stored sums.
        """
        futures: dict[Seeds, Future[Qualities]] = {}
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:  # NumPy sorts without Python's lock
            for record in self._of_quality if self.criterion.judged.estimator else ():
                if record.case.seeds in futures:
                    continue  # if rounds repeat seeds, the first execution has the same scores
                with suppress(KeyError):
                    futures[record.case.seeds] = pool.submit(reading(self.store, record, self.criterion))
        return {seeds: future.result() for seeds, future in futures.items()}

    @property
    def qualities(self) -> dict[Seeds, UnitQuality]:
        """The quality on the hold-out, for each pair of a sample seed and a model seed."""
        return {seeds: model for seeds, (model, _) in self._scored.items()}

    @cached_property
    def quality(self) -> crossed.Estimate | None:
        """The estimate of the quality over seeds, from stored scores.

        If the criterion has no estimator, it is the mean of the records' qualities, without an interval. None if
        scores are missing, or if no record has the quality.
        """
        qualities = list(self.qualities.values())
        if qualities:
            return crossed.estimate([[quality] for quality in qualities], scale=self.criterion.scale)
        values = [record.quality[self.criterion.key] for record in self._of_quality]
        if self.criterion.judged.estimator or not values:
            return None
        return crossed.Estimate(fmean(values), None, math.nan, 0.0, 0, 0.0, len(values), "no stored scores")

    @property
    def _of_quality(self) -> list[RunRecord]:
        """The records that have the quality of the criterion.

        Records of an earlier version of the workload may have another quality instead.
        """
        return [record for record in metrics.scored(self.records) if self.criterion.key in record.quality]

    @property
    def ceiling(self) -> float | None:
        """The ceiling on this hold-out: the quality of a perfect model. None if it is not known."""
        return next((value(ceiling) for _, ceiling in self._scored.values() if ceiling), None)

    @cached_property
    def below_ceiling(self) -> "Step | None":
        """The quality that the model gives up against the ceiling, paired on the hold-out's units.

        None if the ceiling is not known.
        """
        pairs = [(ceiling, model) for model, ceiling in self._scored.values() if ceiling]
        return Step.of(self.case.fraction, pairs, self.criterion) if pairs else None

    @cached_property
    def second(self) -> Spread | None:
        """The second quality that tables show for the learning task. None if no record has it."""
        values = (record.quality.get(self.criterion.second_key) for record in metrics.scored(self.records))
        return Spread.of([quality for quality in values if quality is not None])

    def observed(self, name: str) -> Spread | None:
        """Returns the spread of the quality or figure with this name. None if it was not observed.

        Figures come from warm executions only, because most are seconds.
        """
        qualities = [record.quality[name] for record in metrics.scored(self.records) if name in record.quality]
        figures = [record.figures[name] for record in metrics.timed(self.records) if name in record.figures]
        return Spread.of(qualities or figures)

    @cached_property
    def capacity(self) -> Spread | None:
        """The size of the models that the parameter set `tuned` chose, such as the number of trees.

        None for any other parameter set.
        """
        return Spread.of([r.figures["capacity"] for r in metrics.scored(self.records) if "capacity" in r.figures])

    def seconds_by_round(self) -> dict[int, float]:
        """Returns the time to model in seconds, by round."""
        return {record.round: metrics.time_to_model(record) for record in metrics.timed(self.records)}


@dataclass(frozen=True)
class Step:
    """The quality that a model gives up against a better model, such as the model from all data.

    `fraction` is the fraction of the worse model. `estimate` is the mean over seeds, paired on seeds and on the
    hold-out's units. `tolerance` is the most quality that may be given up. `level` is the confidence level of the
    interval and of the verdict.
    """

    fraction: float
    estimate: crossed.Estimate
    tolerance: float
    level: float = LEVEL

    @classmethod
    def of(cls, fraction: float, pairs: Sequence[tuple[UnitQuality, UnitQuality]], criterion: Criterion) -> "Step":
        """Returns the quality that the model of a fraction gives up against a better model.

        For each pair of seeds, `pairs` holds the quality of the better model (all data, or the ceiling), then the
        quality of this model.
        """
        return cls(fraction, crossed.estimate(pairs, criterion.given_up), criterion.tolerance)

    @classmethod
    def between(cls, whole: Cell, part: Cell) -> "Step | None":
        """Returns the quality that `part` gives up against `whole`.

        Returns None if there is no pair of seeds for which both have stored scores.
        """
        both = [seeds for seeds in whole.qualities if seeds in part.qualities]
        pairs = [(whole.qualities[seeds], part.qualities[seeds]) for seeds in both]
        return cls.of(part.case.fraction, pairs, part.criterion) if pairs else None

    @property
    def interval(self) -> Interval | None:
        return self.estimate.at(self.level)

    @property
    def confidence(self) -> float | None:
        """The confidence that the model gives up at most `tolerance`. None if there is no interval."""
        return self.estimate.confidence_below(self.tolerance)

    @property
    def verdict(self) -> str:
        """The verdict on the fraction: "enough", "not enough" or "not resolved".

        It is not resolved if the interval contains the tolerance, or if there is no interval.
        """
        if self.interval is None:
            return "not resolved"
        if self.interval.high <= self.tolerance:
            return "enough"
        return "not enough" if self.interval.low > self.tolerance else "not resolved"


def share_of(part: Cell, whole: Cell) -> Spread | None:
    """Returns the time to model of `part` divided by the time to model of `whole`, as a spread over rounds.

    Returns None if `part` or `whole` has an execution without a time, because the ratio would describe only the
    quick rounds.
    """
    if not (part.has_every_time and whole.has_every_time):
        return None
    return Spread.of(ratios_by_round(part.seconds_by_round(), whole.seconds_by_round()))
