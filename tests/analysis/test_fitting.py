"""Curves of time that are fitted to rounds of measurements."""

import numpy as np
import pytest

from sparkscale.analysis.questions.fitting import expanded_percentiles, is_too_far, non_negative

ROWS = np.array([1e3, 4e3, 1.6e4, 6.4e4])
TERMS = np.stack([np.ones(4), ROWS, ROWS * np.log(ROWS)], axis=1)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6, 1e12])
def test_a_fit_does_not_depend_on_the_unit(unit: float) -> None:
    """Peaks in bytes gave 0, and 60,000 s were off by a percent."""
    truth = np.array([3.0, 2e-4, 0.0])
    found = non_negative(TERMS, (TERMS @ truth)[None] * unit)
    assert found[0] @ TERMS.T == pytest.approx(TERMS @ truth * unit, rel=1e-6)


def test_no_coefficient_is_below_0() -> None:
    found = non_negative(TERMS[:, :2], (10.0 - ROWS / 1e4)[None])
    assert (found >= 0).all()
    assert found[0, 1] == 0


def test_percentiles_are_expanded_for_few_rounds() -> None:
    """By hand, for 5 rounds: Student's t of 4 degrees is -2.13185 at 5 %, times √(5/4) it is -2.38348, and a normal
    variable is below that with a probability of 0.0085750.
    """
    found = expanded_percentiles(np.arange(1.0, 1_000_001), 5, 0.90)
    assert (found.low, found.high) == pytest.approx((8_575, 991_425), abs=1)


@pytest.mark.parametrize(("value", "expected"), [(1_600_000, False), (1_615_000, False), (1_620_000, True)])
def test_a_hold_out_of_odd_size_is_no_reason_against_a_forecast(value: float, expected: bool) -> None:
    assert is_too_far(value, 159_970) is expected
