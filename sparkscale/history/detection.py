"""Splits the series of a metric into segments with asv's solver, for `sparkscale.analysis.steps` to test.

asv's own penalty for a step (`detect_steps`) is made for long series. It misses most steps of 20 % in ten commits
that vary by 3 %, and in six commits it sees steps in noise. So the solver gets a range of penalties here, and the
test decides which steps are changes.
"""

import math
from collections.abc import Sequence

import numpy as np

from sparkscale.analysis.steps import FEWEST, Segments

PENALTIES = tuple(float(one) for one in np.geomspace(0.02, 1, 20))
"""The penalties for a step, as shares of the summed distances of all commits from their median."""


def candidates(rounds: Sequence[Sequence[float]]) -> list[Segments]:
    """Returns ways to split a series into segments of FEWEST commits or more: the best split for each penalty.

    `rounds` holds the values of each commit's rounds. A commit's value is their median. As in asv, its weight is the
    inverse of the width of its interval.
    """
    from asv.step_detect import get_mu_dist, solve_potts_approx

    values, weights = _values(rounds), _relative_weights(rounds)
    distances = get_mu_dist(values, weights)
    whole = distances.dist(0, len(values) - 1) or 1.0
    splits: dict[Segments, None] = {}
    for penalty in PENALTIES:
        ends, _, _ = solve_potts_approx(values, weights, gamma=whole * penalty, mu_dist=distances, min_size=FEWEST)
        splits[tuple(zip([0, *ends[:-1]], ends, strict=True))] = None
    return list(splits)


def steps_of_asv(rounds: Sequence[Sequence[float]]) -> Segments:
    """Returns the segments that asv itself would show in its graphs."""
    from asv.step_detect import detect_steps

    return tuple((first, end) for first, end, *_ in detect_steps(_values(rounds), _relative_weights(rounds)))


def _values(rounds: Sequence[Sequence[float]]) -> list[float]:
    return [float(np.median(one)) for one in rounds]


def _relative_weights(rounds: Sequence[Sequence[float]]) -> list[float]:
    """Returns the weights of all commits, relative to their median. A commit without a weight gets the median."""
    weights = [_weight(one) for one in rounds]
    median = float(np.median([one for one in weights if one is not None] or [1.0]))
    return [1.0 if one is None else one / median for one in weights]


def _weight(samples: Sequence[float]) -> float | None:
    """Returns the weight that asv gives these samples. None if their interval is infinite or has no width."""
    from asv_runner.statistics import compute_stats

    _, stats = compute_stats(list(samples), 1)
    width = abs(stats["ci_99_b"] - stats["ci_99_a"])
    return 2 / width if 0 < width < math.inf else None
