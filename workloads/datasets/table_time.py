"""Splits a table by time: finds where the hold-out begins, and divides the hold-out into periods.

In messages, a period is called a stretch of time.
"""

from dataclasses import dataclass

import numpy as np

from sparkscale.contract.errors import DatasetError
from workloads.datasets.table_values import QUANTILES
from workloads.datasets.training_slices import HOLDOUT_LEAST_SHARE, HOLDOUT_MOST_SHARE, HOLDOUT_SHARE, Array

TIME_UNITS = 25
"""The hold-out's rows are divided, in the order of time, into this many periods with about equally many rows.
Neighbouring periods are alike, so a few long periods show better how much a mean varies. Source: Schmeiser, Batch
size effects in the analysis of simulation output, Oper. Res. 30, 1982, which recommends 10 to 30 periods."""
SETTLED_TIMES, STRAY_TIMES = 10, 3
"""A jump in time counts as a mistake if at least SETTLED_TIMES different times come before it, and at most
STRAY_TIMES after it."""


@dataclass(frozen=True)
class Times:
    """The times of rows, in microseconds since 1970, and the number of rows that each time stands for.

    Both arrays have the shape (times,), int64 and float64. The numbers of rows are exact for a batch with at most
    QUANTILES different times. If a batch has more, only QUANTILES evenly spaced order statistics are kept. So any
    share of the batch is known with an error of at most 1 / QUANTILES.
    """

    values: Array
    rows: Array

    @classmethod
    def of(cls, times: Array) -> "Times":
        """Returns the times of one batch. `times` is int64, shape (rows,)."""
        values, rows = np.unique(times, return_counts=True)
        if len(values) > QUANTILES:
            ranks = np.linspace(0, len(times) - 1, QUANTILES).astype(np.int64)
            values, rows = np.repeat(values, rows)[ranks], np.full(QUANTILES, len(times) / QUANTILES)
        return cls(values.astype(np.int64), rows.astype(np.float64))

    def add(self, other: "Times") -> "Times":
        return Times(np.concatenate([self.values, other.values]), np.concatenate([self.rows, other.rows]))

    def distinct(self) -> tuple[Array, Array]:
        """Returns the different times in ascending order, and the number of rows of each."""
        values, position = np.unique(self.values, return_inverse=True)
        return values, np.bincount(position, weights=self.rows, minlength=len(values))


def in_words(moment: int) -> str:
    """Returns a time as text: the date, and the time of day unless it is midnight. `moment` is in microseconds."""
    text = str(np.datetime64(int(moment), "us"))
    return text.removesuffix("T00:00:00.000000").removesuffix(".000000").replace("T", " ")


def nearest_cut(moments: Times) -> int | None:
    """Returns the first time of the hold-out: the one that brings the hold-out's share of the rows nearest to 1/5.

    Rows with the same time stay together. Returns None if no choice gives a share between HOLDOUT_LEAST_SHARE and
    HOLDOUT_MOST_SHARE.
    """
    values, shares = _cuts(moments)
    fit = (shares >= HOLDOUT_LEAST_SHARE) & (shares <= HOLDOUT_MOST_SHARE)
    if not fit.any():
        return None
    return int(values[np.argmin(np.where(fit, np.abs(shares - HOLDOUT_SHARE), np.inf))])


def first_held_time(moments: Times, time: str, where: str) -> int:
    """Returns the first time of the hold-out, as `nearest_cut` computes it.

    Raises DatasetError if `nearest_cut` returns None.
    """
    cut = nearest_cut(moments)
    if cut is not None:
        return cut
    values, shares = _cuts(moments)
    advice = "Use --holdout random or group, or a column with finer times."
    if not len(values):
        only = in_words(moments.values[0])
        raise DatasetError(
            f"{where}: every row has the same time '{time}', {only}, so no latest part can be held out. {advice}"
        )
    too_many, too_few = np.flatnonzero(shares > HOLDOUT_MOST_SHARE), np.flatnonzero(shares < HOLDOUT_LEAST_SHARE)
    nearest = [*too_many[-1:], *too_few[:1]]
    cuts = " and ".join(f"{shares[place]:.1%} from {in_words(values[place])} on" for place in nearest)
    raise DatasetError(
        f"{where}: the times '{time}' are too coarse to hold out the latest {HOLDOUT_LEAST_SHARE:.0%} to "
        f"{HOLDOUT_MOST_SHARE:.0%} of the rows: the nearest cuts give {cuts}. {advice}"
    )


def _cuts(moments: Times) -> tuple[Array, Array]:
    """Returns all different times except the first, and for each the share of the rows at this time or later."""
    values, rows = moments.distinct()
    return values[1:], (np.cumsum(rows[::-1])[::-1] / rows.sum())[1:]


def stretches(held_out: Times) -> tuple[int, ...]:
    """Returns the start times of the hold-out's periods in ascending order.

    There are at most TIME_UNITS periods, with about equally many rows.

    A time belongs to the period that contains the middle of its rows, so rows with equal times are never divided. A
    time with many rows may fill a whole period. Then there are fewer periods.
    """
    values, rows = held_out.distinct()
    middle = (np.cumsum(rows) - rows / 2) / rows.sum()
    _, first = np.unique((middle * TIME_UNITS).astype(np.int64), return_index=True)
    return tuple(values[first].tolist())


def heaviest(held_out: Times) -> tuple[int, float]:
    """Returns the most frequent time among the hold-out's rows, and the share of the rows that have this time."""
    values, rows = held_out.distinct()
    place = int(np.argmax(rows))
    return int(values[place]), float(rows[place] / rows.sum())


def jump(moments: Times) -> tuple[int, int] | None:
    """Returns the times before and after a jump that looks like a mistake, for example to 9999-12-31.

    Such a jump is longer than all time before the jump. At least half of the rows lie before it. At least
    SETTLED_TIMES different times come before the jump, and at most STRAY_TIMES after it. Returns None if there is
    no such jump.
    """
    values, rows = moments.distinct()
    reach = (values[:-1] - values[0]).astype(np.float64)
    before = np.arange(1, len(values))
    far = (
        (np.diff(values).astype(np.float64) > reach)
        & (np.cumsum(rows)[:-1] >= rows.sum() / 2)
        & (before >= SETTLED_TIMES)
        & (len(values) - before <= STRAY_TIMES)
    )
    if not far.any():
        return None
    place = int(np.argmax(far))
    return int(values[place]), int(values[place + 1])
