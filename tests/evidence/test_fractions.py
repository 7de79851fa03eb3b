"""The answer to "is a sample enough?" is right or not resolved, and its confidence is calibrated, in simulations."""

import numpy as np
import pytest
from typer.testing import CliRunner

from sparkscale.cli.main import app
from sparkscale.evidence import fractions
from sparkscale.evidence.coverage import true_values
from sparkscale.evidence.fractions import CRITERION, LEVELS, MOST_WRONG, Truth, simulated

REPEATS = 40
TRUTHS = [truth for truth in fractions.truths() if truth.seeds == 8 and truth.units == 11]


@pytest.mark.parametrize("truth", fractions.truths(), ids=repr)
def test_the_true_smallest_fraction_is_the_stated_one(truth: Truth) -> None:
    given_up = {fraction: true_values(truth.hold_out, gap)[1] for fraction, gap in truth.gaps().items()}
    enough = [fraction for fraction, value in given_up.items() if value <= CRITERION.tolerance]
    assert min(enough, default=None) == truth.smallest


@pytest.mark.parametrize("truth", TRUTHS, ids=repr)
def test_few_answers_are_wrong_and_confidences_are_calibrated(truth: Truth) -> None:
    """A share may be three standard errors outside of the limits, by chance: 32 are tested here.

    `sparkscale evidence fractions` simulates all curves, more often.
    """
    found = simulated(truth, REPEATS)
    assert found.wrong <= MOST_WRONG + 3 * np.sqrt(MOST_WRONG * (1 - MOST_WRONG) / REPEATS)
    for level, below in zip(LEVELS, found.below, strict=True):
        assert abs(below - level) <= 3 * np.sqrt(level * (1 - level) / REPEATS) + 0.02


def test_the_command_prints_a_row_for_each_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fractions, "truths", lambda: [Truth(None, 11, 3, "units")])
    done = CliRunner().invoke(app, ["evidence", "fractions", "--repeats", "10", "--processes", "1"])
    assert done.exit_code == 0
    assert "How often the answer" in done.output
    assert "│ none" in done.output
