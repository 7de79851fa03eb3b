"""The advantage of one engine over another, as part of a sentence."""

import pytest

from sparkscale.analysis.executions import Margin, margin


@pytest.mark.parametrize(
    ("ratios", "verdicts", "expected"),
    [
        ([1.1, 0.9, 1.2, 0.85, 1.05], 1, Margin("is 1.05 (0.85–1.20) times as fast as joblib (not resolved)", False)),
        ([1.5, 1.6, 1.4, 1.5, 1.6], 1, Margin("is 1.50 (1.40–1.60) times as fast as joblib", True)),
        ([1.1, 1.3, 1.2, 1.4, 1.1], 1, Margin("is 1.20 (1.10–1.40) times as fast as joblib", True)),
        ([1.1, 1.3, 1.2, 1.4, 1.1], 50, Margin("is 1.20 (1.10–1.40) times as fast as joblib (not resolved)", False)),
        ([1.5, 1.6, 1.4, 1.5], 1, Margin("is 1.50 (1.40–1.60) times as fast as joblib (not resolved)", False)),
        ([], 1, Margin("has no time to compare with joblib in some rounds", False)),
    ],
)
def test_a_margin_is_resolved_only_if_all_rounds_together_show_it(
    ratios: list[float], verdicts: int, expected: Margin
) -> None:
    assert margin(ratios, "is {} times as fast as", "joblib", verdicts) == expected
