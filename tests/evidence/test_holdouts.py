"""Fresh hold-outs of flights: periods are whole, and printed values are compared with the spread of draws."""

import numpy as np
import pytest

from sparkscale.analysis.statistics import Interval
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.evidence import holdouts
from sparkscale.evidence.holdouts import Claim, Draw, Rows, Study
from workloads.libraries.xgboost import BoostedTrees


@pytest.fixture(scope="module")
def rows(data: PreparedDataset) -> Rows:
    return Rows.of(data)


def test_all_rows_of_the_year_have_their_day(rows: Rows) -> None:
    assert len(rows.row) == 327_346
    assert sorted(np.unique(rows.day)) == list(range(365))


def test_a_study_draws_anew(data: PreparedDataset) -> None:
    params = BoostedTrees(trees=3, learning_rate=0.3)
    (study,) = holdouts.studies(data, [7], 2, 1, params, 1 / 4, 2, lambda _: None)
    first, second = study.draws
    assert study.periods == "11"
    assert first.after.value != second.after.value
    assert first.after.value == first.before.value  # one seed on the same hold-out: only the units differ
    assert first.after.standard_error != first.before.standard_error


def test_claims_are_compared_with_the_spread_of_draws() -> None:
    draws = [
        Draw(Claim(x, 0.001, Interval(x - 0.002, x + 0.002)), Claim(x, 0.01, Interval(x - 0.02, x + 0.02)), 10)
        for x in (0.0, 0.01, 0.02)
    ]
    study = Study(7, tuple(draws))
    assert study.spread("before") == pytest.approx(0.01)
    assert study.claimed("before") == pytest.approx(0.001)
    assert study.covered("before", 0.01) == pytest.approx(1 / 3)
    assert study.covered("after", 0.01) == 1.0
