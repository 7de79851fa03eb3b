"""Estimates the noise of run times from few rounds, by pooling the cells that were measured in several rounds.

The noise is that of the logarithm of seconds. One cell with two or three rounds says little about its noise. So the
squared deviations from each cell's mean are added up over all cells of one profile and placement, and their degrees
of freedom, too (analysis of variance). A prior takes part with a few degrees (Smyth: Linear models and empirical
Bayes methods for assessing differential expression, Stat. Appl. Genet. Mol. Biol. 3, 2004). It is wide on purpose.

Deviations are those over rounds. Rounds are measured at different times, so a slow drift of the machine counts as
noise.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

PRIOR_DEVIATION = 0.15
"""The standard deviation of the logarithm of seconds that is assumed before any cell has a second round."""
PRIOR_DEGREES = 5.0
"""The number of degrees of freedom with which the prior counts."""


@dataclass(frozen=True)
class Noise:
    """The variance of the logarithm of one round's seconds, and the degrees of freedom of its estimate."""

    variance: float = PRIOR_DEVIATION**2
    degrees: float = PRIOR_DEGREES

    @classmethod
    def pooled(cls, cells: Iterable[Sequence[float]]) -> "Noise":
        """Returns the noise of cells. Each has its seconds in every round."""
        squares, degrees = PRIOR_DEGREES * PRIOR_DEVIATION**2, PRIOR_DEGREES
        for seconds in cells:
            if len(seconds) > 1:
                squares += float(np.log(seconds).var()) * len(seconds)
                degrees += len(seconds) - 1
        return cls(squares / degrees, degrees)

    def at_least(self, seconds: Sequence[float]) -> "Noise":
        """Returns the noise of a cell with these seconds: its own noise, if that is larger than the pooled one.

        The own noise needs three rounds.
        """
        if len(seconds) < 3:
            return self
        own = float(np.log(seconds).var(ddof=1))
        return self if own <= self.variance else Noise(own, len(seconds) - 1 + PRIOR_DEGREES)

    @property
    def deviation(self) -> float:
        return math.sqrt(self.variance)
