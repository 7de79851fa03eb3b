"""The smallest of many amounts that is enough, from few tries."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Bracket:
    """`enough` was tried, or taken to be so; `too_little` likewise. The smallest that is enough lies between."""

    too_little: int
    enough: int

    @property
    def ratio(self) -> float:
        """How much larger the upper end is."""
        return self.enough / self.too_little


def smallest(is_enough: Callable[[int], bool], too_little: int, enough: int, ratio: float) -> Bracket:
    """Halves the bracket on a logarithmic scale until its ends differ by at most `ratio`.

    Takes the response to be monotone: where it is not, the result is a place at which it changes. Tries neither end.
    Each of the ⌈log₂(log(enough/too_little) / log(ratio))⌉ tries is a whole number strictly between the ends.
    """
    found = Bracket(too_little, enough)
    while found.ratio > ratio and found.enough - found.too_little > 1:
        middle = min(max(round(sqrt(found.too_little * found.enough)), found.too_little + 1), found.enough - 1)
        found = Bracket(found.too_little, middle) if is_enough(middle) else Bracket(middle, found.enough)
    return found
