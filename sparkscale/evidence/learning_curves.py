"""Judges forecasts of learning curves on measured curves that others published, such as those of LCDB 1.1.

Each curve is cut at a part of its largest size. The forecast for the largest size is then compared with the error
rate that was measured there. One half of the data sets calibrates the width of the intervals, and the other half
judges them.
"""

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparkscale.analysis.questions import learning_curve
from sparkscale.analysis.questions.learning_curve import Curve
from sparkscale.analysis.statistics import SEED, Array
from sparkscale.contract.errors import ConfigError

COLUMNS = ("dataset", "learner", "rows", "error_rate", "standard_error")
SIZES = {4: 5, 2: 6}
"""Maps each multiple to the number of fitted sizes. A forecast is for this multiple of the largest fitted size.

Each size is twice the one before. The smallest is 1/64 of the size that is forecast.
"""
DRAWS = 200
LEAST_ERROR = 1e-4
"""Smaller standard errors are replaced by this one, because the file has four decimals."""
FACTORS = np.arange(1.0, 6.0, 0.05)
"""The factors that are tried in a calibration."""


@dataclass(frozen=True)
class Measured:
    """A published curve: arrays of shape (sizes,), ascending in `rows`."""

    dataset: str
    learner: str
    rows: Array
    error_rate: Array
    standard_error: Array


@dataclass(frozen=True)
class Judged:
    """The forecasts for one multiple of the largest fitted size, over many curves.

    All arrays have shape (curves,). `low` and `high` are the limits of the bootstrap's interval, which is not yet
    widened. `calibrates` is true for curves of the half that calibrates.
    """

    multiple: int
    calibrates: Array
    measured: Array
    forecast: Array
    low: Array
    high: Array
    last: Array
    """The quality for the largest fitted size."""
    refused: int
    """The number of curves that are ill-behaved."""

    def covered(self, factor: float, half: bool) -> float:
        """Returns the share of intervals, widened by `factor`, that contain the measured quality.

        `half` is true for the calibrating half of the data sets, false for the other half.
        """
        _, low, high = learning_curve.widened(self.forecast, self.low, self.high, factor)
        contains = (low <= self.measured) & (self.measured <= high)
        return float(contains[self.calibrates == half].mean())

    @property
    def factor(self) -> float:
        """The smallest of FACTORS that widens the intervals enough. NaN if none does.

        It is enough if the coverage in the calibrating half of the data sets is at least `learning_curve.LEVEL`.
        """
        enough = (factor for factor in FACTORS if self.covered(factor, True) >= learning_curve.LEVEL)
        return float(next(enough, np.nan))

    def errors(self, forecast: Array) -> tuple[float, float]:
        """Returns the median and the 90th percentile of the distance between `forecast` and the measured quality."""
        distance = np.abs(forecast - self.measured)
        return float(np.median(distance)), float(np.quantile(distance, 0.9))


def read(path: Path) -> list[Measured]:
    """Reads a CSV file with the COLUMNS. Raises ConfigError if it cannot be read, or if a value is no number."""
    points: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    try:
        with path.open(newline="") as file:
            for number, line in enumerate(csv.DictReader(file), start=2):
                try:
                    values = float(line["rows"]), float(line["error_rate"]), float(line["standard_error"])
                except (KeyError, TypeError, ValueError):
                    raise ConfigError(
                        f"{path}, line {number}: the columns {', '.join(COLUMNS)} are needed, and the last three as "
                        "numbers."
                    ) from None
                points[line["dataset"], line["learner"]].append(values)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The learning curves {path} cannot be read: {error}.") from error
    curves = []
    for (dataset, learner), found in points.items():
        rows, error_rate, standard_error = np.array(sorted(found)).T
        curves.append(Measured(dataset, learner, rows, error_rate, np.maximum(standard_error, LEAST_ERROR)))
    return curves


def judged(curves: Sequence[Measured], multiple: int) -> Judged:
    """Returns the forecasts for the largest size of each curve, from its sizes up to 1/multiple of it."""
    datasets = sorted({curve.dataset for curve in curves})
    calibrating = set(np.random.default_rng(SEED).permutation(datasets)[: len(datasets) // 2])
    found = []
    refused = 0
    for curve in curves:
        chosen = _fitted_sizes(curve, multiple)
        if chosen is None:
            continue
        part = _curve(curve, chosen)
        if learning_curve.ill_behaved(part):
            refused += 1
            continue
        made = learning_curve.bootstrapped(part, float(curve.rows[-1]))
        found.append((curve.dataset in calibrating, curve.error_rate[-1], *made, part.quality[-1]))
    calibrates, measured, forecast, low, high, last = np.array(found).T
    return Judged(multiple, calibrates.astype(bool), measured, forecast, low, high, last, refused)


def _fitted_sizes(curve: Measured, multiple: int) -> list[int] | None:
    """Returns the positions of the sizes that are fitted, ascending. None if the curve has too few sizes."""
    wanted = curve.rows[-1] / multiple / 2.0 ** np.arange(SIZES[multiple])
    nearest = sorted({int(np.abs(np.log(curve.rows / size)).argmin()) for size in wanted})
    return nearest if len(nearest) == SIZES[multiple] else None


def _curve(measured: Measured, chosen: list[int]) -> Curve:
    """Returns the part of a measured curve with the sizes at the positions `chosen`.

    The draws of its error rates are from normal distributions.
    """
    quality, errors = measured.error_rate[chosen], measured.standard_error[chosen]
    noise = np.random.default_rng(SEED).standard_normal((DRAWS, len(chosen)))
    return Curve(measured.rows[chosen], quality, quality + errors * noise, is_better=-1)
