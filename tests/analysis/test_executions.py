"""The work that an engine does in a second, and its advantage over another engine as part of a sentence."""

import math

import pytest

from sparkscale.analysis.executions import Executions, Margin, margin
from sparkscale.analysis.metrics import rows_per_second
from tests.builders import case, record


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


def test_a_timeout_did_less_work_than_any_other_execution() -> None:
    measured = case("sklearn", 1.0)
    ok = [
        record(f"r{number}").model_copy(
            update={"case": measured, "round": number, "seconds": {"load": 0.0, "fit": float(number)}}
        )
        for number in (1, 2, 4)
    ]
    late = [
        ok[0].model_copy(update={"id": f"r{number}", "round": number, "outcome": "timeout", "seconds": {}})
        for number in (5, 6)
    ]
    found = Executions(measured, [*ok, *late]).rate(rows_per_second)
    assert found is not None
    assert (found.high, found.median, found.low) == (64_000, 16_000, -math.inf)
    assert (found.known, found.count, found.executions) == (3, 5, 5)
