"""Parts of sentences that a user reads."""

import pytest

from sparkscale.contract.phrases import certainty


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [
        (0.0, "under 1 %"),
        (0.004, "under 1 %"),
        (0.2, "20 %"),
        (0.5, "50 %"),
        (0.974, "97 %"),
        (0.996, "over 99 %"),
        (1.0, "over 99 %"),
    ],
)
def test_a_confidence_is_in_percent_and_never_certain(confidence: float, expected: str) -> None:
    assert certainty(confidence) == expected
