"""Plans judged on stored records: known truths, and the records of the documentation."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sparkscale.evidence.own_forecasts import (
    HIGH_ERROR,
    MEDIAN_ERROR,
    PROTOCOLS,
    QUALITY_ERROR,
    Judged,
    is_accepted,
    own_qualities,
    own_times,
    summary,
)
from sparkscale.store.store import Store
from tests.analysis.plan.measured import Measured
from tests.calling import called

RECORDS = Path(__file__).parents[2] / "docs" / "results" / "records"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as opened:
        yield opened


def imported(folder: Path, archive: str) -> Path:
    assert called("import", str(RECORDS / f"{archive}.parquet"), "--out", str(folder)).returncode == 0
    return folder


def test_known_times_are_predicted_by_each_protocol(store: Store) -> None:
    Measured(cores=(1, 2, 4, 8, 16)).into(store)
    made = own_times(store)
    for protocol, places in zip(PROTOCOLS, (5, 7, 1), strict=True):
        of_protocol = [one for one in made if one.what == protocol]
        assert len(of_protocol) == 2 * places, "both engines"
        found = summary(of_protocol)
        assert found.refused == 0
        assert found.median <= MEDIAN_ERROR
        assert found.high <= HIGH_ERROR


def test_few_numbers_of_cores_are_counted_as_refused(store: Store) -> None:
    Measured(cores=(1, 2)).into(store)
    found = summary([one for one in own_times(store) if one.what == "cores"])
    assert (found.predicted, found.refused) == (0, 14)
    assert np.isnan(found.median)


def test_a_known_learning_curve_is_forecast(store: Store) -> None:
    Measured(engines=("xgboost",), noise=lambda _, fraction: 0.1 + 0.2 * fraction**-0.4).into(store)
    (made,) = own_qualities(store)
    assert made.error is not None
    assert abs(made.error) <= 0.01


@pytest.mark.parametrize(("archive", "largest_error"), [("crossover-forest", 0.20), ("crossover-boosting", 0.25)])
def test_the_largest_size_of_stored_records_is_predicted(tmp_path: Path, archive: str, largest_error: float) -> None:
    with Store.existing(imported(tmp_path, archive)) as stored:
        made = own_times(stored)
    assert {one.what for one in made} == {"size"}, "only two cores were measured"
    errors = [abs(one.error) for one in made if one.error is not None]
    assert len(errors) == len(made)
    assert max(errors) <= largest_error


def test_the_quality_of_stored_records_is_forecast_from_a_quarter(tmp_path: Path) -> None:
    with Store.existing(imported(tmp_path, "crossover-forest")) as stored:
        found = summary(own_qualities(stored))
    assert found.predicted == 3
    assert found.median <= QUALITY_ERROR


def test_acceptance_needs_known_and_small_errors() -> None:
    def errors(*values: float) -> list[Judged]:
        return [Judged("w", "e", "size", value, 1.0) for value in values]

    good, slow, poor = summary(errors(0.05, -0.05)), summary(errors(0.05, 0.05, 0.05, 0.9)), summary(errors(0.01))
    fine = summary(errors(0.001))
    assert is_accepted(good, fine)
    assert not is_accepted(slow, fine), "the 90th percentile is too large"
    assert not is_accepted(good, poor)
    assert not is_accepted(good, summary([]))
