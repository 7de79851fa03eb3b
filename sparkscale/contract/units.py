"""What a hold-out needs so that an interval of a quality can hold."""

from collections.abc import Iterable

FEWEST_UNITS = 4
"""With fewer effective units no interval is given: see `sparkscale evidence coverage`."""
FEWEST_OF_A_CLASS = 30
"""Rows of the rarer class without which a difference has no interval: it would cover more than it says."""


def kish(sizes: Iterable[float]) -> float:
    """The effective number of units of these sizes: (Σn)²/Σn² (Kish: Survey Sampling, 1965); 0 without rows."""
    known = [float(size) for size in sizes]
    squares = sum(size * size for size in known)
    return sum(known) ** 2 / squares if squares else 0.0
