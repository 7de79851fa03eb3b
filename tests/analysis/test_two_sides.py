"""The comparison of two sides: exact values, and simulations with a known truth."""

import math
import time
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from sparkscale.analysis.questions import two_sides
from sparkscale.analysis.questions.two_sides import change, difference, holm, median_interval, p_value, rounds_needed
from sparkscale.analysis.statistics import Interval

NOISE = 0.08
"""The standard deviation of the logarithm of a time."""


def side(generator: np.random.Generator, rounds: int, ratio: float = 1.0, noise: float = NOISE) -> list[float]:
    values: list[float] = (ratio * np.exp(generator.normal(0, noise, rounds))).tolist()
    return values


@pytest.mark.parametrize(("base", "head"), [(3, 3), (4, 6), (8, 8), (12, 5)])
def test_without_equal_values_p_is_that_of_scipy(base: int, head: int) -> None:
    generator = np.random.default_rng(base)
    for shift in (0.0, 0.1, 1.0):
        own, other = side(generator, base), side(generator, head, 1 + shift)
        assert p_value(own, other) == pytest.approx(mannwhitneyu(own, other, method="exact").pvalue)


def test_with_equal_values_p_is_the_share_of_all_divisions() -> None:
    base, head = [1.0, 2.0, 2.0, 3.0], [2.0, 3.0, 3.0, 4.0]
    ranks = np.array([1, 3, 3, 6, 3, 6, 6, 8])  # midranks
    centre = 4 * 9 / 2
    sums = [ranks[list(chosen)].sum() for chosen in combinations(range(8), 4)]
    observed = abs(ranks[:4].sum() - centre)
    assert p_value(base, head) == pytest.approx(np.mean([abs(one - centre) >= observed for one in sums]))


def test_few_rounds_cannot_have_a_small_p() -> None:
    assert [round(two_sides.smallest_p(rounds, rounds), 5) for rounds in (3, 4, 6, 8)] == [
        0.1,
        0.02857,
        0.00216,
        0.00016,
    ]
    assert p_value([1.0, 1.1, 1.2], [9.0, 9.1, 9.2]) == pytest.approx(0.1)
    assert difference([1.0, 1.1, 1.2], [9.0, 9.1, 9.2]).interval is None
    assert change(difference([1.0, 1.1, 1.2], [9.0, 9.1, 9.2]), 0.1) == "not resolved"


def test_the_interval_of_a_median_needs_six_rounds() -> None:
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None
    assert median_interval([6.0, 2.0, 3.0, 4.0, 5.0, 1.0]) == Interval(1.0, 6.0)
    assert median_interval([float(one) for one in range(1, 13)]) == Interval(3.0, 10.0)  # Conover, table A3


def test_p_is_adjusted_by_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("rounds", [5, 8, 12])
def test_intervals_of_the_ratio_contain_it(rounds: int) -> None:
    generator = np.random.default_rng(rounds)
    truth, runs, contained = 1.3, 800, 0
    for _ in range(runs):
        bounds = difference(side(generator, rounds), side(generator, rounds, truth)).interval
        assert bounds is not None
        contained += bounds.low <= truth <= bounds.high
    assert contained / runs >= 0.935  # 0.95, less two standard errors


@pytest.mark.parametrize("rounds", [3, 5, 8, 12])
def test_equal_sides_are_rarely_called_different(rounds: int) -> None:
    """Twenty cases are compared together, with noise that is different for each."""
    generator = np.random.default_rng(100 + rounds)
    runs, wrong = 200, 0
    for _ in range(runs):
        found = []
        for noise in np.geomspace(0.01, 0.3, 20):
            found.append(difference(side(generator, rounds, noise=noise), side(generator, rounds, noise=noise)))
        adjusted = holm([one.p for one in found])
        wrong += any(change(one, p) in ("better", "worse") for one, p in zip(found, adjusted, strict=True))
    assert wrong / runs <= two_sides.ALPHA


@pytest.mark.parametrize(("ratio", "expected"), [(1.15, "worse"), (1 / 1.15, "better"), (1.0, "same")])
def test_a_difference_is_found_with_enough_rounds(ratio: float, expected: str) -> None:
    generator = np.random.default_rng(7)
    runs, found = 100, 0
    for _ in range(runs):
        measured = difference(side(generator, 8, noise=0.02), side(generator, 8, ratio, noise=0.02))
        found += change(measured, min(1.0, 10 * measured.p)) == expected
    assert found / runs > 0.9


def test_a_higher_rate_is_better() -> None:
    measured = difference([1.0, 1.01, 1.02, 1.03, 1.04, 1.05], [2.0, 2.01, 2.02, 2.03, 2.04, 2.05])
    assert change(measured, measured.p) == "worse"
    assert change(measured, measured.p, is_lower_better=False) == "better"


@pytest.mark.parametrize(
    ("compared", "alpha", "expected"), [(1, 0.05, 4), (2, 0.05, 5), (20, 0.05, 6), (60, 0.05, 7), (20, 0.01, 8)]
)
def test_the_fewest_rounds_are_the_first_with_which_p_can_be_small_enough(
    compared: int, alpha: float, expected: int
) -> None:
    rounds = two_sides.fewest_rounds(compared, alpha)
    assert rounds == expected
    base, head = [1.0 + one / 100 for one in range(rounds)], [9.0 + one / 100 for one in range(rounds)]
    assert compared * p_value(base, head) <= alpha < compared * p_value(base[1:], head[1:])


def test_a_stricter_level_gives_a_wider_interval_and_fewer_verdicts() -> None:
    generator = np.random.default_rng(3)
    base, head = side(generator, 8, noise=0.02), side(generator, 8, 1.1, noise=0.02)
    usual, strict = difference(base, head), difference(base, head, alpha=0.001)
    assert usual.interval is not None and strict.interval is not None
    assert strict.interval.low < usual.interval.low and usual.interval.high < strict.interval.high
    assert change(usual, usual.p) == "worse"
    assert change(strict, strict.p, alpha=0.001) == "not resolved"
    assert difference(base, head, alpha=1e-5).interval is None


@pytest.mark.parametrize(("ratio", "spread"), [(1.0, 0.01), (1.0, 0.03), (1.1, 0.01), (1.1, 0.03), (1.3, 0.03)])
@pytest.mark.parametrize("compared", [1, 20])
def test_the_rounds_that_are_proposed_resolve_the_difference(ratio: float, spread: float, compared: int) -> None:
    """The first rounds, from which the number is proposed, are others than those that are then judged."""
    generator = np.random.default_rng([5, compared, round(100 * ratio), round(100 * spread)])
    judged, resolved, resolved_by_half = 0, 0, 0
    for _ in range(60):
        needed = rounds_needed(
            side(generator, 5, noise=spread), side(generator, 5, ratio, noise=spread), compared=compared
        )
        if needed is None:
            continue
        for _ in range(3):
            judged += 1
            for rounds in (needed, needed // 2):
                measured = difference(
                    side(generator, rounds, noise=spread), side(generator, rounds, ratio, noise=spread)
                )
                verdict = change(measured, min(1.0, compared * measured.p))
                resolved += rounds == needed and verdict != "not resolved"
                resolved_by_half += rounds != needed and verdict != "not resolved"
    assert judged >= 120
    assert resolved / judged >= 0.7
    assert resolved_by_half / judged <= resolved / judged - 0.2


def test_rounds_are_proposed_for_a_shift() -> None:
    base, head = [-0.02, 0.0, 0.01, 0.0], [0.9, 1.0, 1.1, 1.2]
    assert rounds_needed(base, head) == 5
    assert rounds_needed(base, head, compared=20) == 6


@pytest.mark.parametrize(
    ("base", "head"),
    [([1.0], [2.0]), ([1.0, 1.001, 1.002], [1.05, 1.051, 1.052]), ([1.0, 2.0], [1.0, math.inf])],
    ids=["one round", "at the threshold", "a timeout"],
)
def test_no_number_of_rounds_is_proposed_if_none_is_known(base: list[float], head: list[float]) -> None:
    assert rounds_needed(base, head) is None


def test_rounds_are_proposed_fast_enough_for_a_long_table() -> None:
    generator = np.random.default_rng(11)
    sides = [(side(generator, 5, noise=0.03), side(generator, 5, noise=0.03)) for _ in range(300)]
    start = time.process_time()
    for base, head in sides:
        rounds_needed(base, head, compared=60)
    assert (time.process_time() - start) / len(sides) < 0.02


EIGHT = [1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07]


def test_values_that_are_not_all_positive_are_compared_by_their_shift() -> None:
    base = [-0.1, 0.0, 0.1, 0.2, 0.3, 0.1, 0.1, 0.2]
    measured = difference(base, [value + 5 for value in base])
    assert measured.ratio is None
    assert measured.shift == pytest.approx(5)
    assert measured.interval is not None and 4.8 < measured.interval.low <= 5 <= measured.interval.high < 5.2
    assert change(measured, measured.p) == "worse"
    assert change(measured, measured.p, is_lower_better=False) == "better"


@pytest.mark.parametrize(("added", "expected"), [(0.02, "same"), (0.3, "worse"), (-0.3, "better")])
def test_a_shift_is_judged_as_a_share_of_the_base(added: float, expected: str) -> None:
    base = [-value for value in EIGHT]
    measured = difference(base, [value + added for value in base])
    assert measured.ratio is None
    assert change(measured, measured.p, threshold=0.1) == expected


def test_any_shift_of_a_base_of_zero_counts() -> None:
    base = [0.0] * 8
    assert change(difference(base, base), 1.0) == "same"
    measured = difference(base, [0.001] * 8)
    assert change(measured, measured.p) == "worse"


def test_a_timeout_is_longer_than_any_time() -> None:
    measured = difference(EIGHT, [*EIGHT[:2], *[math.inf] * 6])
    assert measured.ratio == measured.shift == math.inf
    assert measured.p == p_value(EIGHT, [*EIGHT[:2], *[100.0] * 6])
    always = difference(EIGHT, [math.inf] * 8)
    assert always.interval == Interval(math.inf, math.inf)
    assert change(always, always.p) == "worse"
    assert change(difference([math.inf] * 8, EIGHT), always.p) == "better"


def test_one_timeout_does_no_harm() -> None:
    slower = [2 * value for value in EIGHT]
    measured = difference([*EIGHT[:-1], math.inf], [*slower[:-1], math.inf])
    assert measured.ratio == pytest.approx(1.99, abs=0.05)
    assert change(measured, measured.p) == "worse"


def test_two_sides_that_always_time_out_are_not_resolved() -> None:
    measured = difference([math.inf] * 8, [math.inf] * 8)
    assert (measured.ratio, measured.shift, measured.interval, measured.p) == (None, None, None, 1.0)
    assert change(measured, measured.p) == "not resolved"


def test_the_threshold_is_symmetric_in_logarithms() -> None:
    factor = 1.0499
    slower = difference([1.0] * 8, [factor] * 8)
    faster = difference([1.0] * 8, [1 / factor] * 8)
    assert change(slower, slower.p) == change(faster, faster.p) == "same"
    beyond = difference([1.0] * 8, [1 / 1.0501] * 8)
    assert change(beyond, beyond.p) == "better"


@pytest.mark.parametrize("side", [[], [1.0, -math.inf], [math.nan]])
def test_a_value_that_cannot_be_ranked_is_refused(side: list[float]) -> None:
    with pytest.raises(ValueError, match="no value may be NaN or minus infinity"):
        difference([1.0], side)
