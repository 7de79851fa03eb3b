"""The limits below which a hold-out gives no valid interval of a quality."""

from collections.abc import Iterable

FEWEST_UNITS = 4
"""With fewer effective units there is no interval: see `sparkscale evidence coverage`."""
FEWEST_OF_A_CLASS = 30
"""With fewer rows of the rarer class, a difference has no interval, because the interval would be too wide."""


def kish(sizes: Iterable[float]) -> float:
    """Returns the effective number of units: (Σn)²/Σn² (Kish: Survey Sampling, 1965). It is 0 without rows."""
    known = [float(size) for size in sizes]
    squares = sum(size * size for size in known)
    return sum(known) ** 2 / squares if squares else 0.0
