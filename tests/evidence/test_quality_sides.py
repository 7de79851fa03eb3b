"""The simulation of the AUC of two sides with real models: few false verdicts, and losses are found."""

from pathlib import Path

import numpy as np
import pytest

from sparkscale.analysis.questions.two_sides import ALPHA
from sparkscale.analysis.unit_quality import UnitAuc, value
from sparkscale.evidence import quality_sides
from sparkscale.evidence.quality_sides import TOLERANCE, judged, real_models
from sparkscale.evidence.show_verdicts import quality

RECORDS = Path(__file__).parents[2] / "docs" / "results" / "records"
COMPARISONS = 300


@pytest.fixture(scope="module")
def cases() -> list[list[UnitAuc]]:
    return real_models([RECORDS / "data-parallel.parquet", RECORDS / "quick.parquet"])


def most(rate: float) -> float:
    """Returns the largest share that this true rate lets expect, three standard errors above it."""
    return rate + 3 * float(np.sqrt(rate * (1 - rate) / COMPARISONS))


def test_cases_have_models_that_differ_on_one_hold_out(cases: list[list[UnitAuc]]) -> None:
    assert len(cases) > 20
    for models in cases:
        assert len({value(model) for model in models}) == len(models) >= 3
        assert {model.units for model in models} == {11}


@pytest.mark.parametrize("rounds", quality_sides.ROUNDS)
def test_equal_sides_have_few_false_verdicts(cases: list[list[UnitAuc]], rounds: int) -> None:
    equal = judged(cases, rounds, 0.0, COMPARISONS)
    assert equal.worse + equal.better <= most(ALPHA)
    at_the_tolerance = judged(cases, rounds, TOLERANCE, COMPARISONS)
    assert at_the_tolerance.worse <= most(ALPHA / 2)
    assert at_the_tolerance.same <= most(ALPHA / 2)


def test_more_rounds_find_more_losses(cases: list[list[UnitAuc]]) -> None:
    few, many = (judged(cases, rounds, 0.02, COMPARISONS) for rounds in (3, 12))
    assert 0.5 < few.worse < many.worse - 0.1
    assert many.worse > 0.9
    assert many.worse > judged(cases, 12, 0.01, COMPARISONS).worse + 0.1


def test_a_planted_loss_is_as_large_as_it_says(cases: list[list[UnitAuc]], monkeypatch: pytest.MonkeyPatch) -> None:
    losses = []

    class Spy:
        @staticmethod
        def estimate(pairs: list[tuple[UnitAuc, UnitAuc]], _: object) -> "Spy":
            losses.append(np.mean([value(base) - value(head) for base, head in pairs]))
            return Spy()

        interval = None

    monkeypatch.setattr(quality_sides, "crossed", Spy)
    for loss in (0.0, 0.02):
        losses.clear()
        judged(cases, 12, loss, COMPARISONS)
        assert np.mean(losses) == pytest.approx(loss, abs=0.001)


def test_the_table_has_a_row_for_each_number_of_rounds(cases: list[list[UnitAuc]]) -> None:
    grid, note = quality(quality_sides.simulated(cases[:2], 10), 2, 10)
    assert [row[0] for row in grid.rows] == [3, 5, 8, 12]  # type: ignore[union-attr]
    assert "Each share rests on 10 comparisons" in note.text  # type: ignore[union-attr]
    assert quality_sides.simulated([], 10) == []
