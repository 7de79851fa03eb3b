"""How a table's times are cut: where the hold-out begins, and which of its rows lie in one stretch of time."""

from dataclasses import dataclass

import numpy as np

from sparkscale.contract.errors import DatasetError
from workloads.datasets.table_values import QUANTILES
from workloads.datasets.training_slices import HOLDOUT_LEAST_SHARE, HOLDOUT_MOST_SHARE, HOLDOUT_SHARE, Array

TIME_UNITS = 25
"""The hold-out's rows are cut, in the order of time, into this many stretches of about equal size. Neighbouring
stretches are alike, so few and long ones say more truly how much a mean varies (Schmeiser: Batch size effects in the
analysis of simulation output, Oper. Res. 30, 1982: 10 to 30)."""
SETTLED_TIMES, STRAY_TIMES = 10, 3
"""A jump in time is taken for a mistake if this number of different times, or more, come before it, and at most the
second number after it."""


@dataclass(frozen=True)
class Times:
    """Times of rows, in microseconds since 1970, and how many rows each time stands for.

    Both arrays have the shape (times,), int64 and float64. The numbers of rows are exact where a batch has at most
    QUANTILES different times. Of a batch with more, QUANTILES evenly spaced order statistics are kept, so that a
    share of the batch is known to within 1 / QUANTILES.
    """

    values: Array
    rows: Array

    @classmethod
    def of(cls, times: Array) -> "Times":
        """`times` are those of one batch, int64, shape (rows,)."""
        values, rows = np.unique(times, return_counts=True)
        if len(values) > QUANTILES:
            ranks = np.linspace(0, len(times) - 1, QUANTILES).astype(np.int64)
            values, rows = np.repeat(values, rows)[ranks], np.full(QUANTILES, len(times) / QUANTILES)
        return cls(values.astype(np.int64), rows.astype(np.float64))

    def add(self, other: "Times") -> "Times":
        return Times(np.concatenate([self.values, other.values]), np.concatenate([self.rows, other.rows]))

    def distinct(self) -> tuple[Array, Array]:
        """The different times in order, and the rows of each."""
        values, place = np.unique(self.values, return_inverse=True)
        return values, np.bincount(place, weights=self.rows, minlength=len(values))


def spoken(moment: int) -> str:
    """A time in words: the date, and the time of day unless that is midnight."""
    text = str(np.datetime64(int(moment), "us"))
    return text.removesuffix("T00:00:00.000000").removesuffix(".000000").replace("T", " ")


def nearest_cut(moments: Times) -> int | None:
    """The first time of the latest rows, so that they are as near to a fifth of all as whole times allow.

    Returns None if no cut between two times gives HOLDOUT_LEAST_SHARE to HOLDOUT_MOST_SHARE of the rows.
    """
    values, shares = _cuts(moments)
    fit = (shares >= HOLDOUT_LEAST_SHARE) & (shares <= HOLDOUT_MOST_SHARE)
    if not fit.any():
        return None
    return int(values[np.argmin(np.where(fit, np.abs(shares - HOLDOUT_SHARE), np.inf))])


def first_held_time(moments: Times, time: str, where: str) -> int:
    """The first time of the hold-out, by `nearest_cut`. Rows of one time stay together, for they are neighbours.

    Raises DatasetError if there is no such cut.
    """
    found = nearest_cut(moments)
    if found is not None:
        return found
    values, shares = _cuts(moments)
    advice = "Use --holdout random or group, or a column with finer times."
    if not len(values):
        only = spoken(moments.values[0])
        raise DatasetError(
            f"{where}: every row has the same time '{time}', {only}, so no latest part can be held out. {advice}"
        )
    too_many, too_few = np.flatnonzero(shares > HOLDOUT_MOST_SHARE), np.flatnonzero(shares < HOLDOUT_LEAST_SHARE)
    nearest = [*too_many[-1:], *too_few[:1]]
    cuts = " and ".join(f"{shares[cut]:.1%} from {spoken(values[cut])} on" for cut in nearest)
    raise DatasetError(
        f"{where}: the times '{time}' are too coarse to hold out the latest {HOLDOUT_LEAST_SHARE:.0%} to "
        f"{HOLDOUT_MOST_SHARE:.0%} of the rows: the nearest cuts hold {cuts}. {advice}"
    )


def _cuts(moments: Times) -> tuple[Array, Array]:
    """All times but the first, and the share of the rows from each on."""
    values, rows = moments.distinct()
    return values[1:], (np.cumsum(rows[::-1])[::-1] / rows.sum())[1:]


def stretches(held_out: Times) -> tuple[int, ...]:
    """The first times of the hold-out's stretches, rising. At most TIME_UNITS, of about equally many rows.

    A time belongs to the stretch in which the middle of its rows lies, so equal times are never divided. A time with
    many rows is then a stretch of its own, and there are fewer of them.
    """
    values, rows = held_out.distinct()
    middle = (np.cumsum(rows) - rows / 2) / rows.sum()
    _, first = np.unique((middle * TIME_UNITS).astype(np.int64), return_index=True)
    return tuple(values[first].tolist())


def heaviest(held_out: Times) -> tuple[int, float]:
    """The time with the most rows of the hold-out, and its share of them."""
    values, rows = held_out.distinct()
    place = int(np.argmax(rows))
    return int(values[place]), float(rows[place] / rows.sum())


def jump(moments: Times) -> tuple[int, int] | None:
    """The times before and after a jump that looks like a mistake, for example to 9999-12-31.

    Such a jump is longer than all time before it. At least half of the rows lie before it, and only a few different
    times come after it. Returns None if there is no such jump.
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
