"""A seasonal forecast per group, one step ahead, from past labels and seasonal terms (sine and cosine).

The hold-out is the latest fifth of each group's rows. The data set's own hold-out is not used. To forecast a hold-out
row, the model gets the labels of all rows before this row, as if a forecast were made at every step. The model is
never trained on hold-out labels.
"""

from typing import Any

import numpy as np
from pydantic import Field

from workloads.base import Workload
from workloads.per_group.engines import engines_for
from workloads.per_group.pattern import GROUPED, PER_GROUP, GroupParams
from workloads.per_group.ridge import Ridge
from workloads.per_group.training import Array, GroupOutcome, Job, Rows, Split, Unfit

HELD_OUT_OF = 5
"""The latest 1 / HELD_OUT_OF of a group's rows is held out."""
TOO_SMALL: GroupOutcome = "too small"


class ForecastParams(GroupParams):
    """The parameters of a forecast.

    `lags` count rows backwards from the row that is forecast. `seasons` are the lengths of the seasons, in the unit
    of the data set's time column (seconds if it is a timestamp). Each season has `waves` sines and cosines. `alpha`
    is the L2 penalty for the sum of squared errors.
    """

    lags: tuple[int, ...] = Field(default=(1, 2, 3, 96), min_length=1)
    seasons: tuple[float, ...] = (86_400.0,)
    waves: int = Field(default=2, ge=1)
    alpha: float = Field(default=1.0, ge=0)


class SeasonalRidge(Ridge):
    """Ridge regression on lagged labels and on sines and cosines of each season, solved by LAPACK's Cholesky.

    This is a harmonic regression (Hyndman and Athanasopoulos, Forecasting: principles and practice, 3rd edition,
    section 7.4).
    """

    tasks = frozenset({"regression"})
    needs_time = True
    uses_features = False
    own_holdout = True
    defaults = {"alpha": 1.0, "lags": (1,), "seasons": (), "waves": 1}

    def arguments(self, params: ForecastParams) -> dict[str, Any]:  # type: ignore[override]
        return params.model_dump(include={"alpha", "lags", "seasons", "waves"})

    def split(self, job: Job, rows: Rows) -> Split:
        """Splits the rows in the order of time. Drops the first rows, because they have no label for every lag.

        Raises Unfit if no training row is left.
        """
        assert rows.time is not None
        order = np.argsort(rows.time, kind="stable")
        when, label = rows.time[order], rows.label[order]
        x = lagged(label, when, job.arguments)
        first = max(job.arguments["lags"])
        cut = len(label) - max(1, len(label) // HELD_OUT_OF)
        if cut <= first:
            raise Unfit(TOO_SMALL, f"{len(label)} rows are too few for the longest lag, {first}")
        return Split(x[: cut - first], label[first:cut], x[cut - first :], label[cut:])


def lagged(label: Array, when: Array, arguments: dict[str, Any]) -> Array:
    """Returns the features: one column for each lag, then the sines and cosines of each season.

    Rows must be in the order of time. Shape (rows - longest lag, columns).
    """
    first = max(arguments["lags"])
    columns = [label[first - lag : len(label) - lag] for lag in arguments["lags"]]
    for season in arguments["seasons"]:
        angle = 2 * np.pi * (when[first:] % season) / season
        for wave in range(1, arguments["waves"] + 1):
            columns += [np.sin(wave * angle), np.cos(wave * angle)]
    return np.column_stack(columns)


WORKLOAD = Workload(
    name="per_group.forecast",
    summary="A seasonal model on lagged labels, one per group; each group's latest fifth is held out",
    pattern=PER_GROUP,
    quality=GROUPED,
    params=ForecastParams(),
    engines=engines_for(SeasonalRidge),
)
