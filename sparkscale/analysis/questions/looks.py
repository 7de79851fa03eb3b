"""Plans at which rounds a gate looks at its data, and decides there which comparisons need no more rounds.

A test after every round finds a difference sooner or later, even if there is none. So each look spends a part of the
significance level, and the parts add up to the level. They follow the spending function of Lan and DeMets (Biometrika
70, 1983) that resembles the boundary of O'Brien and Fleming (Biometrics 35, 1979). It leaves most of the level to the
last look. A false verdict at any look is at most as probable as the sum of the parts (Bonferroni). This needs no
joint distribution of the looks, so it holds for the exact test, and for Holm's method at each look.
"""

import math
from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from scipy.special import ndtr, ndtri

from sparkscale.analysis.questions.two_sides import (
    ALPHA,
    THRESHOLD,
    Change,
    Difference,
    change,
    difference,
    holm,
    smallest_p,
)

SHARES = (0.5, 0.75, 1.0)
"""The gate looks after these shares of its rounds, rounded down.

Earlier looks could decide little, because a few rounds have no small p. More looks would leave less of the level to
each.
"""

Key = TypeVar("Key", bound=Hashable)


def looks(rounds: int, alpha: float = ALPHA, compared: int = 1) -> dict[int, float]:
    """Returns the level that each look may spend, by the number of rounds after which it takes place.

    The levels add up to `alpha`. A look is left out if p, adjusted for the number of comparisons (`compared`), cannot
    be as small as its level. The next look then has its level, too. So there may be only one look, after all rounds.
    """
    planned: dict[int, float] = {}
    spent = 0.0
    for share in SHARES[:-1]:
        after = math.floor(share * rounds)
        level = _spent_until(after / rounds, alpha) - spent if after else 0.0
        if compared * smallest_p(after, after) <= level:
            planned[after] = level
            spent += level
    return {**planned, rounds: alpha - spent}


def _spent_until(share: float, alpha: float) -> float:
    """Returns the level that is spent after this share of all rounds."""
    return float(2 * ndtr(ndtri(alpha / 2) / math.sqrt(share)))


def fewest_planned(compared: int, alpha: float = ALPHA) -> int:
    """Returns the fewest rounds of a gate with which its last look can call each of `compared` comparisons different.

    The looks before take their part of the level, so these may be more rounds than those of a single comparison.
    """
    return next(
        rounds
        for rounds in count(1)
        if compared * smallest_p(rounds, rounds) <= looks(rounds, alpha, compared)[rounds]
    )


@dataclass(frozen=True)
class Verdict:
    """The verdict on one comparison after `rounds` rounds, at a look with the level `alpha`.

    `adjusted_p` is p, adjusted for all comparisons of the gate. `measured` has the interval at the level 1 - `alpha`.
    """

    change: Change
    measured: Difference
    adjusted_p: float
    rounds: int
    alpha: float

    @property
    def is_decided(self) -> bool:
        return self.change != "not resolved"


@dataclass
class Sequential(Generic[Key]):
    """The verdicts of a gate that plans `rounds` rounds. A verdict other than "not resolved" is final.

    At each look, Holm's method adjusts p for all comparisons. A comparison that an earlier look decided counts there
    as what it is: p is 0 for a difference, and 1 for the same. So no old p of an ended comparison is used again. If
    no earlier verdict was false, the differences are real ones, and Holm's method holds for the others.
    """

    rounds: int
    threshold: float = THRESHOLD
    alpha: float = ALPHA
    verdicts: dict[Key, Verdict] = field(default_factory=dict)
    spent: float = 0.0
    """The level that the looks so far have spent."""

    def decide(
        self,
        samples: Mapping[Key, tuple[Sequence[float], Sequence[float]]],
        rounds: int,
        higher_is_better: Container[Key] = (),
        is_last: bool = False,
    ) -> Mapping[Key, Verdict]:
        """Looks at the values of base and head, if a look is planned after `rounds` rounds. Returns all verdicts.

        `samples` has all comparisons of the gate that are not decided. Values of decided comparisons are not read,
        and may be left out. Set `is_last` if the gate ends here, before all its rounds, such as at a time limit.
        This look then spends all that is left of the level. The end must not depend on the verdicts.
        """
        family = list(dict.fromkeys((*self.verdicts, *samples)))
        planned = looks(self.rounds, self.alpha, len(family))
        if not is_last and rounds not in planned:
            return self.verdicts
        left = max(0.0, self.alpha - self.spent)
        level = left if is_last else min(left, planned[rounds])
        self.spent += level
        measured = {key: difference(*samples[key], level) for key in samples if not self._is_decided(key)}
        p_values = [measured[key].p if key in measured else self._known_p(key) for key in family]
        for key, adjusted in zip(family, holm(p_values), strict=True):
            if key in measured:
                verdict = change(measured[key], adjusted, key not in higher_is_better, self.threshold, level)
                self.verdicts[key] = Verdict(verdict, measured[key], adjusted, rounds, level)
        return self.verdicts

    def _is_decided(self, key: Key) -> bool:
        return key in self.verdicts and self.verdicts[key].is_decided

    def _known_p(self, key: Key) -> float:
        return 0.0 if self.verdicts[key].change in ("worse", "better") else 1.0

    @property
    def is_decided(self) -> bool:
        """True if there are verdicts, and no comparison needs more rounds."""
        return bool(self.verdicts) and all(verdict.is_decided for verdict in self.verdicts.values())
