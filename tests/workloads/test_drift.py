"""Files of one table whose types differ, folders that are no plain tables, and keys that are written in two ways."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkscale.contract.dataset import LABEL, ROW, PreparedDataset
from sparkscale.contract.errors import DatasetError
from workloads.datasets.table import Table
from workloads.io.filesystem import read_parquet
from workloads.libraries.tasks import Here

ROWS = 600
HOURS = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=hour) for hour in range(ROWS)]


def two_parts(folder: Path, name: str, one: Any, other: Any, ending: str = "parquet") -> Path:
    """A directory of two files that have this column in two types."""
    folder.mkdir()
    for number, values in enumerate((one, other)):
        generator = np.random.default_rng(number)
        a, b = generator.normal(size=(2, ROWS))
        table = pa.table({"a": a, "b": b, name: values, "y": (a - b > 0).astype(int)})
        if ending == "csv":
            table.to_pandas().to_csv(folder / f"part-{number}.csv", index=False)
        else:
            pq.write_table(table, folder / f"part-{number}.parquet")
    return folder


def made(path: Path, **said: Any) -> PreparedDataset:
    return Table(path=str(path), label="y", **said).prepare(str(path.parent / "store"), Here())


def rows(data: PreparedDataset) -> pd.DataFrame:
    """Every row, in the order of the files."""
    read = read_parquet([*data.train_paths(1, 0), data.holdout_path]).to_pandas()
    found: pd.DataFrame = read.set_index(ROW).sort_index()
    return found


def column(data: PreparedDataset, source: str, ending: str = "") -> str:
    (found,) = [one.name for one in data.columns if one.source == source and one.name.endswith(ending)]
    return found


def stamps(unit: str, zone: str | None = None, values: list[dt.datetime] = HOURS) -> pa.Array:
    return pa.array(values, pa.timestamp(unit, zone))


def test_integers_beside_floats_are_numbers(tmp_path: Path) -> None:
    big = np.random.default_rng(1).integers(2**60, 2**61, ROWS)
    with_nulls = pa.array(np.where(np.arange(ROWS) % 9 == 0, np.nan, big.astype(float)), from_pandas=True)
    data = made(two_parts(tmp_path / "t", "user", big, with_nulls), features=("user", "a"))
    found = rows(data)[column(data, "user", "user")].to_numpy()
    assert found[:ROWS] == pytest.approx(big.astype(np.float32))
    known = np.arange(ROWS) % 9 != 0
    assert found[ROWS:][known] == pytest.approx(big[known].astype(np.float32))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([True, False] * 300), pa.array([0.0, 2.0] * 300)),
        (pa.array([1, 2] * 300, pa.int8()), pa.array([3, 4] * 300, pa.uint64())),
        (pa.array([1.5, 2.5] * 300, pa.float16()), pa.array([3, 4] * 300, pa.int32())),
        (pa.array([1, 2] * 300).dictionary_encode(), pa.array([3, 4] * 300)),
    ],
    ids=["boolean", "unsigned", "half", "category"],
)
def test_any_two_kinds_of_numbers_fit_together(tmp_path: Path, one: pa.Array, other: pa.Array) -> None:
    data = made(two_parts(tmp_path / "t", "n", one, other))
    expected = [float(value) for array in (one, other) for value in array.to_pylist()]
    assert rows(data)[column(data, "n")].tolist() == expected


def test_categories_and_texts_are_texts(tmp_path: Path) -> None:
    one = pa.array(["u", "v"] * 300).dictionary_encode()
    data = made(two_parts(tmp_path / "t", "city", one, pa.array(["w", "u"] * 300, pa.large_string())))
    found = next(found for found in data.columns if found.source == "city")
    values = [found.vocabulary[code] for code in rows(data)[found.name]]
    assert values == ["u", "v"] * 300 + ["w", "u"] * 300


def test_units_of_time_may_differ(tmp_path: Path) -> None:
    late = [dt.datetime(9999, 12, 31) if hour % 3 == 0 else HOURS[hour] for hour in range(ROWS)]
    data = made(two_parts(tmp_path / "t", "until", stamps("ms", values=late), stamps("ns")))
    days = rows(data)[column(data, "until", "days")]
    assert days.iloc[0] == (dt.date(9999, 12, 31) - dt.date(1970, 1, 1)).days
    assert days.iloc[ROWS] == (dt.date(2024, 1, 1) - dt.date(1970, 1, 1)).days


def test_instants_of_several_zones_are_read_in_utc(tmp_path: Path) -> None:
    data = made(two_parts(tmp_path / "t", "when", stamps("us", "UTC"), stamps("us", "Europe/Berlin")))
    hour = next(found for found in data.columns if found.source == "when" and found.name.endswith("hour"))
    table = rows(data)
    assert [hour.vocabulary[code] for code in table[hour.name].to_numpy()[[0, 5, ROWS, ROWS + 5]]] == [
        "0",
        "5",
        "0",
        "5",
    ]


@pytest.mark.parametrize(("zone", "hours"), [("UTC+09:00", 9), ("Z", 0), ("+05:30", 5), ("GMT-3", -3)])
def test_a_zone_may_be_written_as_an_offset(tmp_path: Path, zone: str, hours: int) -> None:
    table = pa.table({"a": np.arange(ROWS) % 7, "when": stamps("us", zone), "y": np.arange(ROWS) % 2})
    pq.write_table(table, tmp_path / "t.parquet")
    data = made(tmp_path / "t.parquet")
    hour = next(found for found in data.columns if found.source == "when" and found.name.endswith("hour"))
    assert hour.vocabulary[rows(data)[hour.name].iloc[0]] == str(hours % 24)


def test_day_weekday_and_hour_are_of_the_same_zone(tmp_path: Path) -> None:
    """At 16:00 UTC of a Sunday it is Monday in Tokyo."""
    sunday = dt.datetime(2024, 1, 7, 16)
    moments = [sunday + dt.timedelta(days=hour % 3, hours=hour % 5) for hour in range(ROWS)]
    table = pa.table(
        {"a": np.arange(ROWS) % 7, "when": stamps("us", "Asia/Tokyo", moments), "y": np.arange(ROWS) % 2}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    data = made(tmp_path / "t.parquet")
    first = rows(data).iloc[0]
    assert first[column(data, "when", "days")] == (dt.date(2024, 1, 8) - dt.date(1970, 1, 1)).days
    for part, expected in (("weekday", "0"), ("hour", "1")):
        found = next(one for one in data.columns if one.name.endswith(part))
        assert found.vocabulary[int(first[found.name])] == expected


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (stamps("us", "UTC"), stamps("us"), r"a timestamp of the zone UTC in .*0\.parquet, and a timestamp without"),
        (pa.array([1] * ROWS), pa.array(["x"] * ROWS), r"a number in .*part-0\.parquet, and text in .*part-1\.parq"),
        (
            pa.array([dt.time(8)] * ROWS),
            pa.array([8] * ROWS),
            r"a time of day in .*part-0\.parquet, and a number in .*part-1\.parquet",
        ),
        (pa.array([1] * ROWS), pa.array([[1]] * ROWS), r"a number in .*, and of the type list<.*> in "),
    ],
)
def test_what_does_not_fit_together_is_one_sentence(tmp_path: Path, one: Any, other: Any, words: str) -> None:
    with pytest.raises(DatasetError, match=rf"^The column 'c' is {words}.*: write both files with the same type\.$"):
        made(two_parts(tmp_path / "t", "c", one, other))


def test_csv_files_fit_together_as_parquet_files_do(tmp_path: Path) -> None:
    data = made(two_parts(tmp_path / "t", "n", pa.array([1, 2] * 300), pa.array([3.5, 4.5] * 300), "csv"))
    assert rows(data)[column(data, "n")].tolist() == [1.0, 2.0] * 300 + [3.5, 4.5] * 300
    with pytest.raises(DatasetError, match=r"The column 'n' is a number in .*, and text in .*: write both files"):
        made(two_parts(tmp_path / "u", "n", pa.array([1, 2] * 300), pa.array(["x", "y"] * 300), "csv"))


def test_an_unknown_zone_is_named(tmp_path: Path) -> None:
    table = pa.table({"a": np.arange(ROWS) % 7, "when": stamps("us", "Mars/Olympus"), "y": np.arange(ROWS) % 2})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(DatasetError, match=r"the column 'when' has the time zone 'Mars/Olympus', which this machine"):
        made(tmp_path / "t.parquet")


def test_a_half_float_is_a_label(tmp_path: Path) -> None:
    y = np.arange(ROWS) % 2
    pq.write_table(pa.table({"a": np.arange(ROWS) % 7, "y": y.astype(np.float16)}), tmp_path / "t.parquet")
    assert rows(made(tmp_path / "t.parquet"))[LABEL].tolist() == y.tolist()


def test_sparks_own_timestamps_are_read_to_the_year_9999(tmp_path: Path) -> None:
    """Spark writes INT96 by default. As nanoseconds the year 9999 is 1816, and the hold-out another."""
    when = [dt.datetime(9999, 12, 31) if hour % 5 == 0 else HOURS[hour] for hour in range(ROWS)]
    table = pa.table({"a": np.arange(ROWS) % 7, "when": stamps("us", values=when), "y": np.arange(ROWS) % 2})
    pq.write_table(table, tmp_path / "micros.parquet")
    int96 = {"use_deprecated_int96_timestamps": True, "store_schema": False}
    pq.write_table(table, tmp_path / "spark.parquet", **int96)
    for said in ({}, {"time": "when"}):
        one, other = (rows(made(tmp_path / f"{name}.parquet", **said)) for name in ("micros", "spark"))
        pd.testing.assert_frame_equal(one, other)


def lake(folder: Path) -> Path:
    """What a compaction of Delta leaves: the same rows in one file, and in those that are removed."""
    (folder / "_delta_log").mkdir(parents=True)
    table = pa.table({"a": np.arange(ROWS) % 7, "y": np.arange(ROWS) % 2})
    pq.write_table(table, folder / "old.parquet")
    pq.write_table(table, folder / "new.parquet")
    log = [{"add": {"path": "new.parquet"}}, {"remove": {"path": "old.parquet"}}]
    (folder / "_delta_log" / f"{0:020d}.json").write_text("\n".join(map(json.dumps, log)))
    return folder


@pytest.mark.parametrize("named", ["", "date=1", "date=1/hour=2"])
def test_a_table_of_delta_is_refused_from_any_of_its_folders(tmp_path: Path, named: str) -> None:
    place = lake(tmp_path / "lake") / named
    place.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"a": np.arange(ROWS) % 7, "y": np.arange(ROWS) % 2}), place / "part.parquet")
    with pytest.raises(
        DatasetError, match=r"is a table of Delta \(.*_delta_log lists its files\), .* export it to Par"
    ):
        made(place)


@pytest.mark.parametrize(
    ("log", "name", "place"),
    [
        (".hoodie/hoodie.properties", "Hudi", ""),
        ("metadata/v1.metadata.json", "Iceberg", ""),
        ("metadata/v1.metadata.json", "Iceberg", "data"),
        ("metadata/00000-0f3b1c5e-6d0a-4f5e-9c53-2a1d1f6f7b11.metadata.json", "Iceberg", "data/day=1"),
    ],
)
def test_other_table_formats_are_refused(tmp_path: Path, log: str, name: str, place: str) -> None:
    for path in (tmp_path / "lake" / log, tmp_path / "lake" / place / "part.parquet"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    pq.write_table(pa.table({"a": np.arange(ROWS) % 7, "y": np.arange(ROWS) % 2}), path)
    with pytest.raises(DatasetError, match=f"is a table of {name}"):
        made(tmp_path / "lake" / place)


def test_any_other_folder_of_metadata_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "project" / "metadata").mkdir(parents=True)
    (tmp_path / "project" / "metadata" / "about.metadata.json").write_text("{}")
    (tmp_path / "project" / "table").mkdir()
    rows_ = pa.table({"a": np.arange(ROWS) % 7, "y": np.arange(ROWS) % 2})
    pq.write_table(rows_, tmp_path / "project" / "table" / "part.parquet")
    (tmp_path / "project" / "table" / ".#locked.parquet").symlink_to("nobody@nowhere")
    assert len(rows(made(tmp_path / "project" / "table"))) == ROWS


def test_several_links_that_go_round_are_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    for name in ("one", "two"):
        (tmp_path / "t" / name).symlink_to(tmp_path / "t")
    with pytest.raises(DatasetError, match="a link to a folder that contains it"):
        made(tmp_path / "t")


def test_a_file_is_counted_once_however_many_ways_lead_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    (folder / "real").mkdir(parents=True)
    table = pa.table({"a": np.arange(ROWS) % 7, "y": np.arange(ROWS) % 2})
    pq.write_table(table, folder / "real" / "part.parquet")
    (folder / "again.parquet").symlink_to(folder / "real" / "part.parquet")
    (folder / "alias").symlink_to(folder / "real")
    assert len(rows(made(folder))) == ROWS


@pytest.mark.parametrize(
    ("link", "target", "words"),
    [
        ("gone.parquet", "nowhere.parquet", "a link to .*nowhere.parquet, which does not exist"),
        ("round", ".", "a link to a folder that contains it"),
    ],
)
def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path, link: str, target: str, words: str) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    pq.write_table(pa.table({"a": np.arange(ROWS) % 7, "y": np.arange(ROWS) % 2}), folder / "part.parquet")
    (folder / link).symlink_to(folder / target)
    with pytest.raises(DatasetError, match=words):
        made(folder)


def test_nan_is_a_missing_key_and_minus_zero_is_zero(tmp_path: Path) -> None:
    keys = [None, float("nan"), 0.0, -0.0, 1.0]
    site = pa.array([keys[row % 5] for row in range(ROWS)], pa.float64(), from_pandas=False)
    a = np.random.default_rng(0).normal(size=ROWS)
    pq.write_table(pa.table({"a": a, "site": site, "y": (a > 0).astype(int)}), tmp_path / "t.parquet")
    data = made(tmp_path / "t.parquet", group="site", holdout="random")
    (grouping,) = data.groupings
    assert grouping.groups == 3
    assert any("240" in warning and "site" in warning for warning in data.profile["warnings"])


def test_a_mistyped_name_is_answered_with_the_closest_of_many(tmp_path: Path) -> None:
    columns = {f"feature_{number:04d}": np.arange(ROWS) % 7 for number in range(300)}
    pq.write_table(pa.table({**columns, "labelled": np.arange(ROWS) % 2}), tmp_path / "t.parquet")
    with pytest.raises(DatasetError, match=r"has no column 'y', which --label names: the most similar of its 301"):
        made(tmp_path / "t.parquet")
    with pytest.raises(DatasetError, match=r"of its 301 columns are labelled, \w+, \w+, \w+, \w+\.$"):
        Table(path=str(tmp_path / "t.parquet"), label="lebelled").prepare(str(tmp_path / "store"), Here())
