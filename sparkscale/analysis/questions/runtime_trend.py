"""The run time by size and scale-out, as fitted: the terms, and the correction of what they miss nearby."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparkscale.analysis.questions.runtime_residuals import Smoothness, deviations, likeliest
from sparkscale.analysis.questions.runtime_terms import Configuration, Curve, fitted, misfit
from sparkscale.analysis.statistics import Array

FEWEST_CONFIGURATIONS = 7
"""From fewer configurations, nobody can tell what the terms miss, and too few errors are known to rank them."""


@dataclass(frozen=True)
class Trend:
    """Fitted seconds by size and scale-out. `trend` makes it.

    `left_out` maps each term that the configurations cannot identify to the reason. `smoothness` says how what the
    terms miss varies.
    """

    curve: Curve
    left_out: dict[str, str]
    configurations: tuple[Configuration, ...]
    smoothness: Smoothness

    def seconds(self, size: float, scale_out: float) -> float:
        """Returns the predicted seconds."""
        return self.by_terms(size, scale_out) * self._factor(size, scale_out)

    def by_terms(self, size: float, scale_out: float) -> float:
        """Returns the seconds that the terms predict, without the correction."""
        return float(self.curve.seconds(np.array([size]), np.array([scale_out]))[0])

    def misfit(self, size: float, scale_out: float, seconds: Sequence[float]) -> Array:
        """Returns the misfits of new runs at one size and scale-out, in units of the doubt there. Shape (runs,)."""
        factor, doubt = self._factor(size, scale_out), self._doubt(size, scale_out)
        of, by_terms = misfit(self.configurations), self.by_terms(size, scale_out)
        return np.array([of(size, scale_out, each / factor, by_terms) / doubt for each in seconds])

    def distance(self, size: float, scale_out: float, reach: float) -> float:
        """Returns how far from the prediction the misfit is `reach`, as the logarithm of a ratio."""
        reach *= self._doubt(size, scale_out)
        return misfit(self.configurations).distance(size, scale_out, self.by_terms(size, scale_out), reach)

    def without(self, place: Configuration) -> "Trend":
        """Returns the trend of all other configurations, with the same smoothness."""
        return trend([each for each in self.configurations if each is not place], self.smoothness)

    def _factor(self, size: float, scale_out: float) -> float:
        ratios = deviations(self.curve, self.configurations)
        return self.smoothness.correction(self.configurations, ratios, Configuration(size, scale_out, ()))

    def _doubt(self, size: float, scale_out: float) -> float:
        return self.smoothness.doubt(self.configurations, Configuration(size, scale_out, ()))


def trend(configurations: Sequence[Configuration], smoothness: Smoothness | None = None) -> Trend:
    """Fits a trend. If `smoothness` is None, returns the one with the largest likelihood."""
    curve, left_out = fitted(configurations)
    if smoothness is None:
        few = len(configurations) < FEWEST_CONFIGURATIONS
        smoothness = Smoothness() if few else likeliest(configurations, deviations(curve, configurations))
    return Trend(curve, left_out, tuple(configurations), smoothness)
