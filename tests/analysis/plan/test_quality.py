"""Quality of options: measured differences, forecasts, and engines without scores."""

import pytest

from sparkscale.analysis.questions import learning_curve
from sparkscale.analysis.questions.plan.basis import Basis
from sparkscale.analysis.questions.plan.quality import Qualities, qualities
from sparkscale.store.store import Store
from tests.analysis.plan.measured import ROWS, measured


def noise(engine: str, fraction: float) -> float:
    """Scores become better with more rows. MLlib's are worse than XGBoost's."""
    return float(0.3 * fraction**-0.4 + (0.4 if engine == "mllib" else 0.0))


def reached(found: Basis, rows: float) -> Qualities:
    made = qualities(found, rows)
    assert made is not None
    return made


@pytest.fixture
def found(store: Store) -> Basis:
    return measured(store, noise=noise)


def test_a_measured_loss_is_paired(found: Basis) -> None:
    made = reached(found, ROWS)
    assert made.best == ("xgboost", "cpu")
    whole, half = made.given("xgboost", "cpu", 1.0), made.given("xgboost", "cpu", 1 / 2)
    assert whole.loss == 0.0
    assert half.loss is not None and half.quality is not None and whole.quality is not None
    assert half.loss == pytest.approx(whole.quality - half.quality, abs=1e-9)
    assert half.interval is not None
    assert half.interval.low < half.loss < half.interval.high
    assert half.interval.high - half.interval.low < 0.01, "much narrower than that of a quality by itself"


def test_the_loss_is_against_the_best_engine(found: Basis) -> None:
    made = reached(found, ROWS)
    own, best = made.given("mllib", "cpu", 1.0), made.given("xgboost", "cpu", 1.0)
    assert own.loss is not None and own.quality is not None and best.quality is not None
    assert own.loss == pytest.approx(best.quality - own.quality, abs=1e-9)
    assert own.loss > 0.01


def test_losses_are_forecast_beyond_the_measured_rows(found: Basis) -> None:
    made = reached(found, 4 * ROWS)
    losses = [made.given("xgboost", "cpu", fraction) for fraction in (1.0, 1 / 2, 1 / 4, 1 / 64)]
    values = [one.loss for one in losses if one.loss is not None]
    assert values == sorted(values)
    assert len(values) == 4
    last = losses[-1]
    assert last.interval is not None and last.loss is not None
    assert last.interval.low < last.loss < last.interval.high


def test_a_joint_draw_cancels_what_two_models_share(found: Basis) -> None:
    made = reached(found, 2 * ROWS)
    given = made.given("xgboost", "cpu", 1 / 2)
    curve = made.learners["xgboost", "cpu"].curve
    assert curve is not None
    alone = learning_curve.forecast(curve, 2 * ROWS).interval
    assert given.interval is not None and alone is not None
    assert given.interval.high - given.interval.low < (alone.high - alone.low) / 3


def test_few_sizes_are_not_forecast(store: Store) -> None:
    made = reached(measured(store, noise=noise, fractions=(1 / 4, 1 / 2, 1.0)), 2 * ROWS)
    assert made.best is None
    assert made.given("xgboost", "cpu", 1.0).why_none == "3 sizes were measured, and 5 are needed"
    half = made.given("xgboost", "cpu", 1 / 2)
    assert half.quality is not None, "as many rows were measured"
    assert half.why_none == "with all rows, 3 sizes were measured, and 5 are needed"


def test_forecasts_end_at_ten_times_the_rows_and_at_the_smallest_size(found: Basis) -> None:
    far = reached(found, 11 * ROWS).given("xgboost", "cpu", 1.0)
    assert far.why_none.startswith("more than 10 times the largest measured size (64,00")
    near = reached(found, ROWS / 4).given("xgboost", "cpu", 1 / 64)
    assert near.why_none.startswith("fewer rows than the smallest measured size (1,00")


def test_an_engine_without_scores_has_no_loss(store: Store) -> None:
    made = reached(measured(store), ROWS)
    assert made.given("xgboost", "cpu", 1 / 2).why_none == "no scores are stored"
    assert made.unknown() == dict.fromkeys(("xgboost", "mllib"), "no scores are stored")
