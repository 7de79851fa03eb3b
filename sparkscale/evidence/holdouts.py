"""Checks the hold-out of `flights`: compares printed intervals with fresh draws of hold-out, sample and model.

The year is divided into periods of equal length. This is done for several lengths. Each draw holds out another
fifth of the periods. With several seeds, it trains XGBoost on all training rows and on a sample of these rows. It
estimates the AUC that the sample gives up, as a report would. The printed standard error must match the spread of
these estimates over draws.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from sparkscale.analysis import crossed
from sparkscale.analysis.statistics import Array, Interval, interval
from sparkscale.analysis.unit_quality import UnitAuc, value
from sparkscale.contract.case import SLICES
from sparkscale.contract.dataset import LABEL, ROW, PreparedDataset, slice_folder
from sparkscale.contract.location import join
from workloads.data_parallel.pattern import labels, ordinal_matrix
from workloads.datasets.training_slices import mix, slices_of
from workloads.io.filesystem import read_parquet
from workloads.libraries.xgboost import OBJECTIVES, BoostedTrees, boosting_arguments

DAYS = 365
HELD_OUT = 0.2
FIRST_DAYS = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])
"""The number of days of 2013 before the first day of each month."""
DRAW_KEY = 0x64_72_61_77


@dataclass(frozen=True)
class Rows:
    """All rows of the year, hold-out included. `features` has shape (rows, features), the other arrays (rows,)."""

    row: Array
    day: Array
    label: Array
    features: Array

    @classmethod
    def of(cls, data: PreparedDataset) -> "Rows":
        """Reads all rows of the prepared data set `flights`."""
        folders = [data.holdout_path, *(join(data.root, slice_folder(number)) for number in range(SLICES))]
        table = read_parquet(folders, [ROW, LABEL, *data.features])
        return cls(table.column(ROW).to_numpy(), _day(data, table), labels(table), ordinal_matrix(data, table))


def _day(data: PreparedDataset, table: pa.Table) -> Array:
    """Returns the day of the year of each row, from 0."""
    (month,) = (column for column in data.columns if column.name == "month")
    months = np.array([int(name) for name in month.vocabulary])[table.column("month").to_numpy()]
    days: Array = FIRST_DAYS[months - 1] + table.column("day").to_numpy().astype(np.int64) - 1
    return days


Kind = Literal["before", "after"]


@dataclass(frozen=True)
class Claim:
    """An estimate, with the standard error and the interval that a report prints."""

    value: float
    standard_error: float
    interval: Interval | None


@dataclass(frozen=True)
class Draw:
    """The estimates on one hold-out.

    `before` is computed as in earlier reports: from one seed, with percentiles of a bootstrap over days. `after` is
    computed as in present reports: from all seeds and whole periods, by `crossed.estimate`.
    """

    before: Claim
    after: Claim
    periods: int


@dataclass(frozen=True)
class Study:
    """All draws with periods of `length` days."""

    length: int
    draws: tuple[Draw, ...]

    @property
    def periods(self) -> str:
        """The number of periods that each draw holds out, or the smallest and largest number if draws differ."""
        counts = sorted({draw.periods for draw in self.draws})
        return "–".join(map(str, dict.fromkeys((counts[0], counts[-1]))))

    def claims(self, kind: Kind) -> list[Claim]:
        return [getattr(draw, kind) for draw in self.draws]

    def mean(self, kind: Kind) -> float:
        return float(np.mean([claim.value for claim in self.claims(kind)]))

    def spread(self, kind: Kind) -> float:
        """Returns the standard deviation of the estimates over draws.

        This is the real effect of a fresh hold-out, sample and model. `kind` chooses an estimate of each draw:
        `before` or `after` (see `Draw`).
        """
        return float(np.std([claim.value for claim in self.claims(kind)], ddof=1))

    def claimed(self, kind: Kind) -> float:
        """Returns the root mean square of the printed standard errors. `kind` is as in `spread`."""
        return float(np.sqrt(np.nanmean([claim.standard_error**2 for claim in self.claims(kind)])))

    def covered(self, kind: Kind, true_value: float) -> float:
        """Returns the share of printed intervals that contain `true_value`. NaN if no interval was printed.

        `kind` is as in `spread`.
        """
        intervals = [claim.interval for claim in self.claims(kind) if claim.interval]
        return (
            float(np.mean([printed.low <= true_value <= printed.high for printed in intervals]))
            if intervals
            else float("nan")
        )


def studies(
    data: PreparedDataset,
    lengths: Sequence[int],
    draws: int,
    seeds: int,
    params: BoostedTrees,
    fraction: float,
    threads: int,
    progress: Callable[[str], None],
) -> Iterator[Study]:
    """Yields a study for each length of a period, in days.

    `draws` is the number of hold-outs for each length, and `seeds` the number of samples and models for each
    hold-out. `fraction` is the sample's share of the training rows.
    """
    rows = Rows.of(data)
    for length in lengths:
        results = []
        for draw in range(draws):
            progress(f"periods of {length} days, draw {draw + 1} of {draws}")
            results.append(_draw(rows, length, draw, seeds, params, fraction, threads))
        yield Study(length, tuple(results))


def _draw(
    rows: Rows, length: int, draw: int, seeds: int, params: BoostedTrees, fraction: float, threads: int
) -> Draw:
    """Returns the estimates with fresh seeds and a fresh hold-out of a fifth of the periods.

    The start of the periods also varies from draw to draw.
    """
    period = (rows.day + draw % length) // length
    distinct = np.unique(period)
    order = np.argsort(mix(distinct + draw * DAYS, DRAW_KEY), kind="stable")
    held_out = np.isin(period, distinct[order[: round(HELD_OUT * len(distinct))]])
    by_period: list[list[UnitAuc]] = []
    by_day: list[list[UnitAuc]] = []
    for seed in range(draw * seeds, (draw + 1) * seeds):
        slices = np.argsort(mix(np.arange(SLICES) + seed * SLICES, DRAW_KEY), kind="stable")[: int(fraction * SLICES)]
        part = ~held_out & np.isin(slices_of(rows.row), slices)
        scores = [_scores(rows, training, held_out, seed, params, threads) for training in (~held_out, part)]
        by_period.append([UnitAuc.of(period[held_out], rows.label[held_out], score) for score in scores])
        if not by_day:
            by_day.append([UnitAuc.of(rows.day[held_out], rows.label[held_out], score) for score in scores])
    after, replicates = crossed.estimate(by_period, np.subtract), crossed.replicates(by_day, np.subtract)
    first = value(by_day[0][0]) - value(by_day[0][1])
    return Draw(
        before=Claim(first, float(np.nanstd(replicates)), interval(replicates)),
        after=Claim(after.value, after.standard_error, after.interval),
        periods=after.units,
    )


def _scores(rows: Rows, training: Array, held_out: Array, seed: int, params: BoostedTrees, threads: int) -> Array:
    """Trains a model on the training rows, and returns the scores of the held-out rows."""
    import xgboost

    arguments = boosting_arguments(params)
    trees = arguments.pop("n_estimators")
    arguments |= {"objective": OBJECTIVES["classification"], "tree_method": "hist", "nthread": threads, "seed": seed}
    bins = xgboost.QuantileDMatrix(
        rows.features[training], rows.label[training], max_bin=params.bins, nthread=threads
    )
    model = xgboost.train(arguments, bins, num_boost_round=trees)
    scores: Array = model.inplace_predict(rows.features[held_out])
    return scores
