"""Finds the smallest amount that is enough, with few tries."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Bracket:
    """The limits of a search. The smallest amount that is enough lies between them.

    Each limit was tried, or was assumed at the start.
    """

    too_little: int
    enough: int

    @property
    def ratio(self) -> float:
        """Returns the upper limit divided by the lower."""
        return self.enough / self.too_little


def smallest(is_enough: Callable[[int], bool], too_little: int, enough: int, ratio: float) -> Bracket:
    """Halves the bracket on a logarithmic scale until its ends differ by at most `ratio`.

    The function assumes that more never hurts. If that is wrong, the result is one amount at which the answer
    changes. The two given ends are not tried. Each of the ⌈log₂(log(enough/too_little) / log(ratio))⌉ tries is a
    whole number strictly between the ends.
    """
    bracket = Bracket(too_little, enough)
    while bracket.ratio > ratio and bracket.enough - bracket.too_little > 1:
        middle = min(
            max(round(sqrt(bracket.too_little * bracket.enough)), bracket.too_little + 1), bracket.enough - 1
        )
        bracket = Bracket(bracket.too_little, middle) if is_enough(middle) else Bracket(middle, bracket.enough)
    return bracket
