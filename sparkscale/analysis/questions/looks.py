"""Plans after which rounds a gate tests its comparisons, and at which level each time.

A test after every round finds a difference sooner or later, even if there is none. So each look spends a part of the
significance level, and the parts add up to the level. They follow the spending function of Lan and DeMets (Biometrika
70, 1983) that resembles the boundary of O'Brien and Fleming (Biometrics 35, 1979). It leaves most of the level to the
last look. A false verdict at any look is at most as probable as the sum of the parts (Bonferroni). This needs no
joint distribution of the looks, so it holds for the exact test, and for Holm's method at each look.
"""

import math
from collections.abc import Mapping
from itertools import count

from scipy.special import ndtr, ndtri

from sparkscale.analysis.questions.two_sides import ALPHA, smallest_p

SHARES = (0.5, 0.75, 1.0)
"""The gate looks after these shares of its rounds, rounded down.

Earlier looks could decide little, because a few rounds have no small p. More looks would leave less of the level to
each.
"""


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


def until(planned: Mapping[int, float], complete: int, is_last: bool, alpha: float = ALPHA) -> dict[int, float]:
    """Returns the level of each look that takes place in the first `complete` rounds.

    `planned` is the plan of `looks`. Set `is_last` if the gate ends here, such as at a time limit. The last look then
    has all of the level that is left. The end must not depend on the verdicts.
    """
    levels = {after: level for after, level in planned.items() if after <= complete}
    if is_last:
        before = {after: level for after, level in levels.items() if after < complete}
        levels = {**before, complete: alpha - sum(before.values())}
    return levels
