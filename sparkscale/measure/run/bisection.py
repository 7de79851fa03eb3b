"""Searches by bisection for the smallest amount that is enough, such as the smallest heap."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Bracket:
    """The two ends of a search. The smallest amount that is enough is above `too_little` and at most `enough`.

    Each end was tried, or was given at the start.
    """

    too_little: int
    enough: int

    @property
    def ratio(self) -> float:
        """Returns `enough` divided by `too_little`."""
        return self.enough / self.too_little


def smallest(is_enough: Callable[[int], bool], too_little: int, enough: int, ratio: float) -> Bracket:
    """Halves a bracket on a logarithmic scale until `enough` / `too_little` is at most `ratio`.

    Returns the last bracket. `is_enough` tries one amount. If an amount is enough, larger amounts are assumed to
    be enough, too. If this is wrong, the bracket holds one of several places where the answer changes. The two
    given ends are not tried. About ⌈log₂(log(enough/too_little) / log(ratio))⌉ amounts are tried. Each is a
    whole number strictly between the ends. The search ends earlier if no such number is left.
    """
    bracket = Bracket(too_little, enough)
    while bracket.ratio > ratio and bracket.enough - bracket.too_little > 1:
        middle = min(
            max(round(sqrt(bracket.too_little * bracket.enough)), bracket.too_little + 1), bracket.enough - 1
        )
        bracket = Bracket(bracket.too_little, middle) if is_enough(middle) else Bracket(middle, bracket.enough)
    return bracket
