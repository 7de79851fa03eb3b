"""Hold-outs of a user's table: bounds on their size, honest units, and warnings where they can say little."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sparkscale.contract.dataset import ROW, UNIT, PreparedDataset
from sparkscale.contract.errors import DatasetError
from workloads.datasets import training_slices
from workloads.datasets.table import Table
from workloads.datasets.table_time import TIME_UNITS, Times, first_held_time, stretches
from workloads.datasets.table_values import QUANTILES
from workloads.io.filesystem import read_parquet
from workloads.libraries.tasks import Here

ROWS = 3000
CASES = Path(__file__).parents[3] / "shared/cases"


def table(folder: Path, rows: int = ROWS, **columns: Any) -> Path:
    """Two features and a label of about as many ones as zeros, with further columns."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, rows))
    y = (1.5 * a - b + generator.logistic(size=rows) > 0).astype(int)
    pd.DataFrame({"a": a, "b": b, "y": y} | columns).to_parquet(folder / "t.parquet", row_group_size=700)
    return folder / "t.parquet"


def made(path: Path, **said: Any) -> PreparedDataset:
    return Table(path=str(path), label="y", **said).prepare(str(path.parent / "store"), Here())


def held(data: PreparedDataset) -> pd.DataFrame:
    rows: pd.DataFrame = read_parquet([data.holdout_path]).to_pandas()
    return rows.set_index(ROW).sort_index()


def share(data: PreparedDataset) -> float:
    return data.holdout_rows / (data.holdout_rows + sum(data.slice_rows))


def hourly(rows: int = ROWS) -> pd.Series:
    return pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows), unit="h")).astype("datetime64[us]")


def years(*rows: int) -> pd.Series:
    starts = [f"{2015 + number}-01-01" for number in range(len(rows))]
    return pd.Series(pd.to_datetime(np.repeat(starts, rows)))


def warned(data: PreparedDataset, *texts: str) -> bool:
    return any(all(text in warning for text in texts) for warning in data.profile["warnings"])


def test_one_mistyped_date_does_not_put_the_holdout_into_one_unit(tmp_path: Path) -> None:
    when = hourly()
    when[17] = pd.Timestamp("2100-01-01")
    data = made(table(tmp_path, when=when), time="when")
    sizes = held(data)[UNIT].value_counts()
    assert len(sizes) == TIME_UNITS
    assert sizes.max() <= 2 * sizes.min()
    assert data.profile["holdout"]["units"] == TIME_UNITS
    assert TIME_UNITS - 1 < data.profile["holdout"]["effective_units"] <= TIME_UNITS
    assert warned(data, "jump from 2024-05-04 23:00:00 to 2100-01-01", "typing error")


@pytest.mark.parametrize("block", [65_536, 600])
def test_stretches_of_time_have_about_as_many_rows_and_are_contiguous(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows come in bursts, and several share a moment: equal times are in one stretch, whatever part they lie in."""
    monkeypatch.setattr(training_slices, "BLOCK_ROWS", block)
    monkeypatch.setattr(training_slices, "PART_BLOCKS", 1)
    generator = np.random.default_rng(1)
    hours = np.concatenate([np.arange(2000), 5000 + generator.integers(0, 100, 600), 9000 + np.arange(400)])
    when = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, unit="h")).sample(frac=1, random_state=0)
    data = made(table(tmp_path, when=when.to_numpy()), time="when")
    out = held(data)
    moments = when.reset_index(drop=True).loc[out.index]
    assert (out[UNIT].groupby(moments).nunique() == 1).all()
    assert out[UNIT].loc[moments.sort_values(kind="stable").index].is_monotonic_increasing
    assert sorted(out[UNIT].unique()) == list(range(out[UNIT].nunique()))
    sizes = out[UNIT].value_counts().to_numpy()
    effective = sizes.sum() ** 2 / (sizes**2).sum()
    assert effective > 20
    assert data.profile["holdout"]["effective_units"] == pytest.approx(effective)
    assert not data.profile["warnings"]


def test_stretches_of_many_times_are_about_equal_though_only_quantiles_are_kept() -> None:
    times = np.sort(np.random.default_rng(2).integers(0, 10**15, 50_000))
    kept = Times.of(times)
    assert len(kept.values) == QUANTILES
    starts = stretches(kept)
    sizes = np.diff(np.searchsorted(times, [*starts, 10**16]))
    assert len(starts) == TIME_UNITS
    assert sizes.sum() == len(times)
    assert sizes.max() < 1.2 * sizes.min()
    cut = first_held_time(kept, "when", "t")
    assert (times >= cut).mean() == pytest.approx(0.2, abs=0.002)


def test_late_times_are_kept_to_the_microsecond() -> None:
    """Beyond the year 2255 float64 has no microseconds left."""
    late = int(np.datetime64("9999-12-31T23:59:59.999999", "us").astype(np.int64))
    times = np.concatenate([np.arange(80), np.full(20, late)])
    assert first_held_time(Times.of(times), "when", "t") == late
    assert stretches(Times.of(times[80:])) == (late,)


def test_a_placeholder_date_that_is_the_whole_holdout_is_named(tmp_path: Path) -> None:
    when = hourly()
    when[np.arange(ROWS) % 5 == 0] = pd.Timestamp("9999-12-31")
    data = made(table(tmp_path, when=when), time="when")
    assert held(data)[UNIT].nunique() == 1
    assert data.profile["holdout"]["effective_units"] == 1
    assert warned(data, "to 9999-12-31", "placeholder")
    assert warned(data, "1 stretch of time", "no interval", "One time, 9999-12-31, has 100% of its rows")


def test_two_seasons_a_year_apart_are_no_mistake(tmp_path: Path) -> None:
    seasons = np.concatenate([np.arange(1600), 9000 + np.arange(1400)])
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(seasons, unit="h")
    assert not made(table(tmp_path, when=when), time="when").profile["warnings"]


@pytest.mark.parametrize(
    ("rows", "part"),
    [((300, 450, 600, 750, 900), 0.3), ((480, 600, 600, 600, 720), 0.24), ((1500, 600, 500, 100, 300), 0.1333)],
)
def test_a_time_holdout_is_as_near_to_a_fifth_as_its_times_allow(
    tmp_path: Path, rows: tuple[int, ...], part: float
) -> None:
    assert share(made(table(tmp_path, when=years(*rows)), time="when")) == pytest.approx(part, abs=0.001)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            (780, 2220),
            r"to hold out the latest 5% to 40% of the rows: the nearest cuts give 74\.0% from 2016-01-01 on",
        ),
        ((780, 2130, 90), r"74\.0% from 2016-01-01 on and 3\.0% from 2017-01-01 on\. Use --holdout random"),
        ((2940, 60), r"the nearest cuts give 2\.0% from 2016-01-01 on"),
    ],
)
def test_a_time_holdout_outside_its_bounds_is_refused(tmp_path: Path, rows: tuple[int, ...], message: str) -> None:
    with pytest.raises(DatasetError, match=message) as raised:
        made(table(tmp_path, when=years(*rows)), time="when")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("groups", "expected"), [(4, 1), (5, 2), (6, 2), (8, 3), (10, 4), (20, 8), (25, 10), (50, 10), (100, 19)]
)
def test_several_groups_are_held_out_even_where_groups_are_few(tmp_path: Path, groups: int, expected: int) -> None:
    data = made(table(tmp_path, store=np.arange(ROWS) % groups), group="store")
    assert held(data)[UNIT].nunique() == expected
    assert 0.05 <= share(data) <= 0.4
    facts = data.profile["holdout"]
    assert (facts["units"], facts["effective_units"]) == (expected, pytest.approx(expected, rel=0.01))
    assert warned(data, "the quality gets no interval, so no difference") == (expected < 4)
    assert warned(data, "corrected for this small number, and are wide") == (4 <= expected < 20)


def test_uneven_groups_stay_within_the_bounds_and_count_for_less(tmp_path: Path) -> None:
    """Whichever of them are held out; their effective number is Kish's."""
    generator = np.random.default_rng(3)
    for number in range(5):
        weights = generator.lognormal(0, 1, 12)
        store = generator.choice(12, ROWS, p=weights / weights.sum())
        (tmp_path / str(number)).mkdir()
        data = made(table(tmp_path / str(number), store=store), group="store")
        sizes = held(data)[UNIT].value_counts().to_numpy()
        effective = data.profile["holdout"]["effective_units"]
        assert 0.05 <= share(data) <= 0.4
        assert len(sizes) >= 2
        assert effective == pytest.approx(sizes.sum() ** 2 / (sizes**2).sum())
        if effective < 0.95 * len(sizes):
            assert warned(data, f"{len(sizes)} groups, which are worth {effective:.1f} of equal size")


def test_two_equal_groups_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"5% to 40% of the rows: the largest has 50\.0%"):
        made(table(tmp_path, store=np.arange(ROWS) % 2), group="store")


def test_few_held_out_rows_of_a_class_are_warned_of(tmp_path: Path) -> None:
    path = table(tmp_path, clicked=np.where(np.arange(ROWS) % 400 == 0, "yes", "no"))
    data = Table(path=str(path), label="clicked", features=("a", "b")).prepare(str(tmp_path / "s"), Here())
    counts = data.profile["holdout"]["class_rows"]
    labels = held(data)["label"].value_counts()
    assert counts == {"no": labels[0], "yes": labels[1]}
    assert warned(data, f"Only {counts['yes']:,} of {data.holdout_rows:,} held-out rows", "class 'yes'")
    assert not made(path, features=("a", "b")).profile["warnings"]


def test_a_regression_counts_no_classes(tmp_path: Path) -> None:
    data = Table(path=str(table(tmp_path)), label="a").prepare(str(tmp_path / "s"), Here())
    assert data.profile["holdout"]["class_rows"] == {}
    assert data.profile["holdout"]["units"] == held(data)[UNIT].nunique()


@pytest.mark.parametrize(
    ("case", "name", "said", "text"),
    [
        ("f01_one_unit_holdout", "four_sites", {"group": "site"}, "1 group: the quality gets no interval"),
        ("f01_one_unit_holdout", "moments", {"time": "when"}, "1 stretch of time: the quality gets no interval"),
        ("f12_rare_positives", "rare", {}, "held-out rows is of the class '1'"),
    ],
)
def test_the_recorded_cases_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, name: str, said: dict[str, Any], text: str
) -> None:
    script = CASES / f"{case}.py"
    if not script.exists():
        pytest.skip(f"{script} is not beside this checkout")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location(case, script)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert warned(made(tmp_path / f"{name}.parquet", **said), text)
