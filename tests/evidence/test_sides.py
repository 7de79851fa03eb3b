"""The simulation of `sparkscale compare` on real rounds: few false verdicts, and large differences are found."""

from pathlib import Path

import numpy as np
import pytest

from sparkscale.analysis.statistics import Array
from sparkscale.evidence import sides
from tests.conftest import Call

RECORDS = Path(__file__).parents[2] / "docs" / "results" / "records"


@pytest.fixture(scope="module")
def pool() -> Array:
    return sides.read(sorted(RECORDS.glob("*.parquet")))


@pytest.mark.parametrize("rounds", sides.ROUNDS)
def test_equal_sides_have_few_false_verdicts(pool: Array, rounds: int) -> None:
    """400 comparisons of 20 cases each: a bootstrap of medians alone had 9.8 % of false verdicts at 3 rounds."""
    found = sides.found(pool, rounds, 1.0, 400)
    assert found.false <= 0.05
    assert found.false_cases <= 0.01
    assert found.detected == 0


def test_more_rounds_find_smaller_differences(pool: Array) -> None:
    few, many = sides.found(pool, 8, 1.15, 100), sides.found(pool, 12, 1.15, 100)
    assert 0 < few.detected < many.detected
    assert sides.found(pool, 12, 1.3, 100).detected > 0.9
    assert max(few.false, many.false) <= 0.05


def test_a_verdict_without_its_test_would_be_caught(pool: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "change", lambda one, _: "worse" if one.ratio > 1.05 else "same")
    assert sides.found(pool, 3, 1.0, 50).false > 0.5


def test_noise_is_that_around_the_median_of_each_case(pool: Array) -> None:
    assert len(pool) > 200
    assert abs(np.median(pool)) < 1e-9
    assert 0.02 < pool.std() < 0.3


def test_the_table_has_a_row_for_each_number_of_rounds(sparkscale: Call) -> None:
    done = sparkscale("evidence", "sides", str(RECORDS / "inference-speed.parquet"), "--comparisons", "10")
    assert done.returncode == 0, done.stderr
    assert "Each row rests on 10 comparisons of equal sides" in " ".join(done.stdout.split())


def test_too_few_rounds_are_one_sentence(sparkscale: Call) -> None:
    done = sparkscale("evidence", "sides", str(RECORDS / "quick.parquet"))
    assert done.returncode == 2
    assert done.stderr.startswith(
        "Error: These records have 0 rounds of cases with 5 rounds or more, and 24 are needed"
    )
