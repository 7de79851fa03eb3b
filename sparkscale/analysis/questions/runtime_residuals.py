"""What the terms of the run time miss: a Gaussian process over size and scale-out.

A job may take 8 % longer on 4 nodes than the terms say, at every size. Runs at other sizes then tell how much longer
the next run on 4 nodes takes. Far from all measured sizes and scale-outs, nothing is known, and the correction
is 1.

The logarithms of the ratios between measured and fitted seconds have three parts: one that is smooth in the size, one
that is smooth in the scale-out, and noise. Their variances and lengths have the largest likelihood (Rasmussen and
Williams: Gaussian Processes for Machine Learning, 2006, sections 2.7 and 5.4.1).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from sparkscale.analysis.questions.runtime_terms import Configuration, Curve, coordinates
from sparkscale.analysis.statistics import Array

LENGTHS = (0.2, 0.5)
"""How far a deviation reaches, in natural logarithms: sizes or scale-outs that differ by 22 or 65 %."""
SHARES = (0.0, 0.3, 0.6, 0.9)
"""The shares of the variance that are tried for the part by size and for the part by scale-out."""
LEAST_VARIANCE = 1e-12


@dataclass(frozen=True)
class Smoothness:
    """How the deviations from the terms vary. All of `variance` that is neither by size nor by scale-out is noise."""

    variance: float = LEAST_VARIANCE
    by_size: float = 0.0
    by_scale_out: float = 0.0
    size_length: float = LENGTHS[0]
    scale_out_length: float = LENGTHS[0]

    def shared(self, left: Sequence[Configuration], right: Sequence[Configuration]) -> Array:
        """Returns the covariance of the smooth parts, in units of the variance, of shape (left, right)."""
        sizes, scale_outs = (
            np.log(first)[:, None] - np.log(second)[None]
            for first, second in zip(coordinates(left)[:2], coordinates(right)[:2], strict=True)
        )
        smooth: Array = self.by_size * np.exp(-0.5 * (sizes / self.size_length) ** 2)
        smooth += self.by_scale_out * np.exp(-0.5 * (scale_outs / self.scale_out_length) ** 2)
        return smooth

    def covariance(self, places: Sequence[Configuration]) -> Array:
        """Returns the covariance of measured deviations, in units of the variance, of shape (places, places)."""
        noise = 1 - self.by_size - self.by_scale_out
        result: Array = self.shared(places, places) + noise * np.eye(len(places))
        return result

    def correction(self, places: Sequence[Configuration], deviations: Array, place: Configuration) -> float:
        """Returns the factor by which a run takes longer than the terms say. `deviations` has shape (places,)."""
        if not self.by_size + self.by_scale_out:
            return 1.0
        weights = np.linalg.solve(self.covariance(places), self.shared(places, [place])[:, 0])
        return math.exp(float(weights @ deviations))

    def doubt(self, places: Sequence[Configuration], place: Configuration) -> float:
        """Returns the standard deviation that remains after the correction, as a share of that without one."""
        if not self.by_size + self.by_scale_out:
            return 1.0
        shared = self.shared(places, [place])[:, 0]
        known = float(shared @ np.linalg.solve(self.covariance(places), shared))
        return math.sqrt(max(1 - known, 1 - self.by_size - self.by_scale_out))


def deviations(curve: Curve, configurations: Sequence[Configuration]) -> Array:
    """Returns the logarithm of measured over fitted seconds, of shape (configurations,)."""
    sizes, scale_outs, _ = coordinates(configurations)
    result: Array = np.log([each.median for each in configurations])
    return result - np.log(curve.seconds(sizes, scale_outs))


def likeliest(configurations: Sequence[Configuration], logarithms: Array) -> Smoothness:
    """Returns the smoothness under which the deviations are most likely. If several are, returns the simplest."""
    variance = max(float(np.mean(logarithms**2)), LEAST_VARIANCE)
    return max(_candidates(variance), key=lambda each: _likelihood(each, configurations, logarithms))


def _candidates(variance: float) -> Iterator[Smoothness]:
    """Yields what is tried, the simplest first."""
    for by_size, by_scale_out in product(SHARES, SHARES):
        if by_size + by_scale_out < 1:
            for lengths in product(LENGTHS if by_size else LENGTHS[:1], LENGTHS if by_scale_out else LENGTHS[:1]):
                yield Smoothness(variance, by_size, by_scale_out, *lengths)


def _likelihood(smoothness: Smoothness, places: Sequence[Configuration], logarithms: Array) -> float:
    """Returns the logarithm of the likelihood, without its constant."""
    covariance = smoothness.variance * smoothness.covariance(places)
    _, determinant = np.linalg.slogdet(covariance)
    return -float(determinant + logarithms @ np.linalg.solve(covariance, logarithms))
