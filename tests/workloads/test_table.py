"""The user's own table: every kind of column, every rule of hold-out, and every fault that a table can have."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.session import SparkRuntime
from sparkscale.contract.dataset import LABEL, ROW, TIME, UNIT, Column, PreparedDataset
from sparkscale.contract.errors import ConfigError, DatasetError
from tests.builders import frame
from workloads.datasets import source, table_files, training_slices
from workloads.datasets.table import Table
from workloads.io.filesystem import read_parquet
from workloads.libraries.tasks import Here, Processes, SparkTasks, Tasks

ROWS = 5000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "my table.v1.parquet"
    frame().to_parquet(path, row_group_size=700)
    return path


def made(storage: Path, **said: Any) -> PreparedDataset:
    return Table(**{key: str(value) if key == "path" else value for key, value in said.items()}).prepare(
        str(storage), Here()
    )


def everything(data: PreparedDataset) -> pd.DataFrame:
    rows: pd.DataFrame = read_parquet([*data.train_paths(1, 0)]).to_pandas()
    return rows.set_index(ROW).sort_index()


def held(data: PreparedDataset) -> pd.DataFrame:
    rows: pd.DataFrame = read_parquet([data.holdout_path]).to_pandas()
    return rows.set_index(ROW).sort_index()


def column(data: PreparedDataset, source: str, ending: str = "") -> Column:
    (found,) = [c for c in data.columns if c.source == source and c.name.endswith(ending)]
    return found


def test_every_kind_of_column_is_encoded_as_documented(path: Path, tmp_path: Path) -> None:
    data = made(tmp_path, path=path, label="label")
    raw, train = frame(), everything(data)
    assert (data.name, data.task, data.holdout) == ("my-table", "classification", "random")
    assert len(train) + data.holdout_rows == ROWS
    assert (train[LABEL] == (raw["label"].loc[train.index] == "yes")).all()
    own = raw.loc[train.index]

    amount = column(data, "Amount (€)", "amount____")
    median = own["Amount (€)"].median()
    expected = own["Amount (€)"].fillna(median).astype("float32")
    np.testing.assert_allclose(train[amount.name], expected, rtol=1e-2)
    assert (train[column(data, "Amount (€)", "missing").name] == own["Amount (€)"].isna()).all()
    assert (amount.mean, amount.std) == pytest.approx((expected.mean(), expected.std(ddof=0)), rel=1e-3)

    city = column(data, "City")
    assert city.vocabulary == ("Bergen", "Oslo", "Tromsø", "(other)", "(missing)")
    assert (train[city.name].map(dict(enumerate(city.vocabulary))) == own["City"].fillna("(missing)")).all()

    assert (train[column(data, "row").name] == own["row"]).all()
    assert (train[column(data, "price in NOK").name] == own["price in NOK"].astype(float)).all()
    assert column(data, "kind").vocabulary == ("a", "b", "c", "(other)")
    days = (own["when"] - pd.Timestamp(0)).dt.days
    assert (train[column(data, "when", "days").name] == days).all()
    for part, expected_part in (("hour", own["when"].dt.hour), ("month", own["when"].dt.month)):
        found = column(data, "when", part)
        assert (train[found.name].map(dict(enumerate(found.vocabulary))).astype(int) == expected_part).all()
    assert column(data, "when", "hour").vocabulary == (*map(str, range(24)), "(other)")
    assert not [c for c in data.columns if c.source in ("constant", "nothing", "code", "label")]
    assert (train[column(data, "a.b `c`").name] == own["a.b `c`"].astype("float32")).all()


def test_names_are_safe_whatever_the_users_are(path: Path, tmp_path: Path) -> None:
    data = made(tmp_path, path=path, label="label")
    assert all(name.isidentifier() and name == name.lower() for name in data.features)
    assert len(set(data.features)) == len(data.features)
    assert not {ROW, UNIT, LABEL, TIME} & set(data.features)


@pytest.mark.spark
def test_processes_and_spark_encode_alike(path: Path, tmp_path: Path, spark: SparkRuntime) -> None:
    source = Table(path=str(path), label="target", time="when")
    ways: dict[str, Tasks] = {"here": Here(), "processes": Processes(2), "spark": SparkTasks(spark.spark)}
    hashes = {source.prepare(str(tmp_path / name), tasks).content_hash for name, tasks in ways.items()}
    assert len(hashes) == 1


def test_parts_do_not_change_what_is_in_them(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table in many parts: counts, medians, vocabularies are merged over them."""
    whole = made(tmp_path / "whole", path=path, label="target", group="device")
    monkeypatch.setattr(training_slices, "BLOCK_ROWS", 600)
    monkeypatch.setattr(training_slices, "PART_BLOCKS", 1)
    parts = made(tmp_path / "parts", path=path, label="target", group="device")
    assert len(list(Path(parts.holdout_path).iterdir())) == 9
    assert parts.groupings == whole.groupings
    assert parts.slice_rows == whole.slice_rows
    for ours, theirs in zip(parts.columns, whole.columns, strict=True):
        assert (ours.name, ours.vocabulary) == (theirs.name, theirs.vocabulary)
        assert (ours.mean, ours.std) == pytest.approx((theirs.mean, theirs.std), rel=1e-3, abs=1e-9)
    same = [c.name for c in whole.columns if "amount" not in c.name]  # the median is merged from quantiles
    pd.testing.assert_frame_equal(everything(parts)[same], everything(whole)[same])


def test_csv_parquet_a_directory_and_a_uri_are_the_same_table(tmp_path: Path) -> None:
    raw = frame().drop(columns=["nothing"])
    raw.to_csv(tmp_path / "t.csv", index=False)
    raw.to_csv(tmp_path / "t.tsv.gz", index=False, sep="\t")
    raw.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "d").mkdir()
    for number, start in enumerate(range(0, ROWS, 1300)):
        raw.iloc[start : start + 1300].to_parquet(tmp_path / "d" / f"{number}.parquet")
    (tmp_path / "d" / "_SUCCESS").touch()
    places = [tmp_path / "t.csv", tmp_path / "t.tsv.gz", tmp_path / "t.parquet", tmp_path / "d"]
    found = [made(tmp_path / "s", path=place, label="label") for place in places]
    found.append(made(tmp_path / "u", path=(tmp_path / "t.parquet").as_uri(), label="label"))
    assert len({data.content_hash for data in found}) == 1
    assert not list((tmp_path / "s").rglob("_staged"))


def test_a_partitioned_directory_has_its_folders_names_as_columns(tmp_path: Path) -> None:
    raw = frame()[["a.b `c`", "City", "target", "device"]].assign(device=lambda rows: rows["device"] % 4)
    raw.to_parquet(tmp_path / "p", partition_cols=["device"])
    data = made(tmp_path / "s", path=tmp_path / "p", label="target", group="device")
    assert data.groupings[0].groups == 4
    assert read_parquet([f"{data.root}/groups"])["key"].to_pylist() == ["0", "1", "2", "3"]


def test_the_identity_is_the_content_not_the_place_or_the_time(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other" / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    first, second = (made(tmp_path / "s", path=where, label="label") for where in (path, copy))
    assert first.dataset_id == second.dataset_id
    frame(ROWS - 1).to_parquet(copy)
    assert made(tmp_path / "s", path=copy, label="label").dataset_id != first.dataset_id


def test_a_new_format_of_ours_is_another_data_set(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(tmp_path, path=path, label="label")
    monkeypatch.setattr(source, "FORMAT", source.FORMAT + 1)
    assert made(tmp_path, path=path, label="label").dataset_id != first.dataset_id


def test_an_unchanged_file_is_hashed_once(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, path=path, label="label")
    monkeypatch.setattr(table_files, "sha256_of", lambda *_: pytest.fail("hashed again"))
    made(tmp_path, path=path, label="label")


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({}, "random"),
        ({"group": "device"}, "group"),
        ({"time": "when"}, "time"),
        ({"time": "day", "group": "device"}, "time"),
        ({"time": "when", "group": "device", "holdout": "group"}, "group"),
        ({"time": "when", "holdout": "random"}, "random"),
    ],
)
def test_the_hold_out_follows_the_rule(path: Path, tmp_path: Path, said: dict[str, Any], rule: str) -> None:
    data = made(tmp_path, path=path, label="target", **said)
    train, out, raw = everything(data), held(data), frame()
    assert data.holdout == rule
    assert not set(train.index) & set(out.index)
    assert len(train) + len(out) == ROWS
    assert 0.15 < len(out) / ROWS < 0.25
    if rule == "time":
        assert raw[said["time"]].loc[train.index].max() < raw[said["time"]].loc[out.index].min()
        assert out[TIME].is_monotonic_increasing
        assert 10 < out[UNIT].nunique() <= 25
    if rule == "group":
        assert not set(raw["device"].loc[train.index]) & set(raw["device"].loc[out.index])
        assert out[UNIT].nunique() == raw["device"].loc[out.index].nunique()
    used = {c.source for c in data.columns}
    assert not {said.get("group"), said.get("time"), "target"} & used
    assert bool(data.groupings) == ("group" in said)


def test_features_are_those_that_are_named(path: Path, tmp_path: Path) -> None:
    data = made(tmp_path, path=path, label="target", features=("City", "device", "City"), group="device")
    assert [c.source for c in data.columns] == ["City", "device"]


@pytest.mark.parametrize(
    ("label", "asked", "task"),
    [
        ("label", None, "classification"),
        ("row", None, "classification"),
        ("target", None, "regression"),
        ("device", None, "regression"),
        ("whole", "regression", "regression"),
    ],
)
def test_the_task_is_what_fits_the_label(
    path: Path, tmp_path: Path, label: str, asked: str | None, task: str
) -> None:
    data = made(tmp_path, path=path, label=label, task=asked)
    assert data.task == task
    expected = frame()[label].dropna()
    assert sum(data.slice_rows) + data.holdout_rows == len(expected)
    if task == "regression":
        assert (everything(data)[LABEL] == expected.loc[everything(data).index].astype(float)).all()


def test_a_csv_with_an_index_has_a_column_without_a_name(tmp_path: Path) -> None:
    frame()[["City", "target"]].to_csv(tmp_path / "t.csv")
    data = made(tmp_path / "s", path=tmp_path / "t.csv", label="target")
    assert [c.source for c in data.columns] == ["City"]
    assert {c["name"]: c["note"] for c in data.profile["columns"]}[""] == "has no name"


def test_a_column_named_like_a_part_of_another_is_its_own(tmp_path: Path) -> None:
    raw = frame()[["when", "target"]].assign(when_days=np.arange(ROWS), when_month="m" + frame()["kind"].astype(str))
    raw.to_parquet(tmp_path / "t.parquet")
    features = ("when", "when_days", "when_month")
    data = made(tmp_path / "s", path=tmp_path / "t.parquet", label="target", features=features)
    assert [(c.source, c.kind) for c in data.columns] == [
        *[("when", kind) for kind in ("numeric", "categorical", "categorical", "categorical")],
        ("when_days", "numeric"),
        ("when_month", "categorical"),
    ]
    rows = everything(data)
    assert (rows[data.columns[4].name] == rows.index).all()
    assert data.columns[5].vocabulary == ("ma", "mb", "mc", "(other)")


def test_scales_come_from_training_rows_only(tmp_path: Path) -> None:
    raw = frame()[["when", "target"]].assign(x=np.where(np.arange(ROWS) >= ROWS // 2, np.nan, 0.5 * np.arange(ROWS)))
    raw.to_parquet(tmp_path / "t.parquet")
    data = made(tmp_path / "s", path=tmp_path / "t.parquet", label="target", time="when")
    rows = everything(data)
    scaled = [c for c in data.columns if c.source == "x"]
    assert len(scaled) == 2
    for c in scaled:
        assert (c.mean, c.std) == pytest.approx((rows[c.name].mean(), rows[c.name].std(ddof=0)), rel=1e-5)


def test_the_profile_says_what_was_found(path: Path, tmp_path: Path) -> None:
    profile = made(tmp_path, path=path, label="label").profile
    columns = {found["name"]: found for found in profile["columns"]}
    assert profile["rows"] == ROWS
    assert profile["bytes"] == path.stat().st_size
    assert profile["label"]["positive"] == "yes"
    assert profile["label"]["positive_share"] == pytest.approx((frame()["label"] == "yes").mean())
    assert columns["Amount (€)"]["missing_share"] == pytest.approx(frame()["Amount (€)"].isna().mean())
    assert columns["City"]["levels"] == 3
    assert columns["label"]["role"] == "label"
    assert columns["code"]["note"] == "nearly every value is different: an identifier"
    assert columns["constant"]["note"] == "constant"
    assert columns["nothing"]["note"] == "null in every training row"
    listed = made(tmp_path, path=path, label="target", features=["City"]).profile["columns"]
    assert {c["name"]: c["note"] for c in listed}["Amount (€)"] == "not among the features asked for"
    grouped = made(tmp_path, path=path, label="target", group="device").profile["group"]
    sizes = frame()["device"].value_counts()
    assert (grouped["groups"], grouped["rows"]) == (100, [sizes.min(), int(sizes.median()), sizes.max()])


@pytest.mark.parametrize(
    ("said", "warning"),
    [
        ({}, "the hold-out is random, but 'when' is a time"),
        ({"group": "device", "holdout": "random"}, "rows come in groups of 'device'"),
        ({"time": "day", "holdout": "random"}, "Consider --time day --holdout time"),
    ],
)
def test_a_hold_out_that_may_leak_is_warned_of(
    path: Path, tmp_path: Path, said: dict[str, Any], warning: str
) -> None:
    warnings = made(tmp_path, path=path, label="target", **said).profile["warnings"]
    assert any(warning.lower() in text.lower() for text in warnings), warnings


def test_a_suggested_option_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    frame().rename(columns={"when": "seen at"}).drop(columns="day").to_parquet(tmp_path / "t.parquet")
    warnings = made(tmp_path / "s", path=tmp_path / "t.parquet", label="target").profile["warnings"]
    assert any("--time 'seen at' --holdout time" in text for text in warnings), warnings


def test_no_warning_where_there_is_nothing_to_warn_of(path: Path, tmp_path: Path) -> None:
    features = tuple(name for name in frame() if name not in ("code", "target", "when"))
    assert not made(tmp_path, path=path, label="target", time="when", features=features).profile["warnings"]


def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path) -> None:
    raw = frame()
    raw.loc[raw.index % 10 == 0, "target"] = np.nan
    raw.to_parquet(tmp_path / "t.parquet")
    data = made(tmp_path / "s", path=tmp_path / "t.parquet", label="target")
    assert sum(data.slice_rows) + data.holdout_rows == ROWS * 9 // 10
    assert data.profile["rows_without_label"] == ROWS // 10
    assert any("500 of 5,000 rows have no label" in text for text in data.profile["warnings"])


def test_what_float32_cannot_hold_is_missing(tmp_path: Path) -> None:
    raw = frame()[["target"]].assign(x=np.where(np.arange(ROWS) % 20 == 0, 1e300, np.arange(ROWS)))
    raw.loc[1::20, "x"] = np.inf
    raw.to_parquet(tmp_path / "t.parquet")
    data = made(tmp_path / "s", path=tmp_path / "t.parquet", label="target")
    rows = everything(data)
    assert np.isfinite(rows[data.features]).all().all()
    assert rows[column(data, "x", "missing").name].mean() == pytest.approx(0.1, abs=0.02)


def test_a_text_with_many_values_keeps_the_most_frequent(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    words = [f"w{number:04d}" for number in generator.zipf(1.3, ROWS) % 2000]
    frame()[["target"]].assign(word=words).to_parquet(tmp_path / "t.parquet")
    data = made(tmp_path / "s", path=tmp_path / "t.parquet", label="target")
    vocabulary = column(data, "word").vocabulary
    assert len(vocabulary) == 256
    assert list(vocabulary[:-1]) == sorted(vocabulary[:-1])
    training = pd.Series(words).loc[everything(data).index].value_counts()
    assert set(training.index[:100]) <= set(vocabulary)


def one_column(**columns: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        pd.DataFrame({"x": np.arange(300.0), **columns}).to_parquet(path)

    return write


def text(content: str | bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def duplicated(path: Path) -> None:
    arrays = [pa.array(range(300)), pa.array(range(300)), pa.array([0.5] * 300)]
    pq.write_table(pa.Table.from_arrays(arrays, names=["x", "x", "y"]), path)


TWO = np.arange(300) % 2
FAULTS = [
    ("t.parquet", one_column(y=TWO), {"label": "z"}, r"has no column 'z', which --label names: it has x, y\."),
    ("t.parquet", one_column(y=TWO), {"label": "y", "group": "g"}, "has no column 'g', which --group names"),
    ("t.parquet", one_column(y=TWO), {"label": "y", "features": ("q",)}, "has no column 'q', which --features names"),
    ("t.parquet", one_column(y=np.ones(300)), {"label": "y"}, r"the label column 'y' is constant: 1\.0 in every row"),
    ("t.parquet", one_column(y=np.full(300, np.nan)), {"label": "y"}, "the label column 'y' is null in all 300 rows"),
    ("t.parquet", one_column(y=[None] * 300), {"label": "y"}, "the label column 'y' is null in all 300 rows"),
    (
        "t.parquet",
        one_column(y=list("abc") * 100),
        {"label": "y"},
        r"has 3 different values, but classification needs",
    ),
    (
        "t.parquet",
        one_column(y=np.arange(300)),
        {"label": "y", "task": "classification"},
        r"\(int64\) has 300 different values, but classification needs two: make it binary or use --task regression",
    ),
    ("t.parquet", one_column(y=list("ab") * 150), {"label": "y", "task": "regression"}, "regression needs a number"),
    ("t.parquet", one_column(y=[[1]] * 300), {"label": "y"}, "the label column 'y' has the type list"),
    (
        "t.parquet",
        one_column(y=np.r_[np.inf, np.arange(299)]),
        {"label": "y"},
        r"is infinite, or beyond ±1e\+100, in 1 rows",
    ),
    (
        "t.parquet",
        one_column(y=TWO, g=np.arange(300) // 2 * 2 + (np.arange(300) > 290)),
        {"label": "y", "group": "x"},
        "has 300 groups in 300 rows, more than one for every two: it identifies rows, not groups",
    ),
    ("t.parquet", one_column(y=TWO, g=1), {"label": "y", "group": "g"}, "the group column 'g' has a single group"),
    (
        "t.parquet",
        one_column(y=TWO, g=(np.arange(300) > 5).astype(int)),
        {"label": "y", "group": "g"},
        "too few or too uneven to hold out whole ones with 5% to 40% of the rows: the largest has 98.0%",
    ),
    (
        "t.parquet",
        lambda path: pd.DataFrame({"y": TWO, "c": 1, "id": [f"k{i}" for i in range(300)]}).to_parquet(path),
        {"label": "y"},
        r"has no usable feature besides 'y' \(c: constant; id: nearly every value is different: an identifier\)",
    ),
    ("t.parquet", lambda path: pd.DataFrame({"y": TWO}).to_parquet(path), {"label": "y"}, "has no usable feature"),
    ("t.parquet", lambda path: frame(0).to_parquet(path), {"label": "label"}, "is empty: it has no rows"),
    ("t.csv", text("x,y\n"), {"label": "y"}, "is empty: it has no rows"),
    ("t.csv", text(""), {"label": "y"}, r"t\.csv is no valid CSV: Empty CSV file"),
    ("t.parquet", duplicated, {"label": "y"}, "has the column 'x' more than once: rename one"),
    ("t.csv", text("x,y,x\n1,2,3\n"), {"label": "y"}, "has the column 'x' more than once: rename one"),
    (
        "t.csv",
        text("x,y\n1,2\n3\n5,6\n"),
        {"label": "y"},
        r"t\.csv is no valid CSV: CSV parse error: Row #3: Expected 2 columns, got 1: 3",
    ),
    ("t.csv", text(b"x,y\n\xff\xfe,1\n"), {"label": "z"}, "has no column 'z'"),
    (
        "t.parquet",
        one_column(y=TWO, t=["2024"] * 300),
        {"label": "y", "time": "t"},
        "'t', which --time names, has the",
    ),
    ("t.parquet", one_column(y=TWO), {"label": "y", "time": "x"}, "type double, but must be a date or timestamp"),
    (
        "t.parquet",
        one_column(y=TWO, t=dt.date(2024, 1, 1)),
        {"label": "y", "time": "t"},
        "every row has the same time 't', 2024-01-01, so no latest part can be held out",
    ),
    ("t.parquet", text("PAR1 and then nonsense"), {"label": "y"}, "cannot be read as Parquet"),
    ("t.txt", text("hello"), {"label": "y"}, "which is no Parquet file: name files of one format"),
    ("t.parquet", lambda path: frame(50).to_parquet(path), {"label": "label"}, "has only 50 rows with a label"),
    (
        "t.parquet",
        one_column(y=(np.arange(300) > 290).astype(int), t=pd.date_range("2024", periods=300)),
        {"label": "y", "time": "t"},
        "have only one value of 'y': choose another rule",
    ),
]


@pytest.mark.parametrize(("name", "write", "said", "message"), FAULTS)
def test_a_bad_table_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, name: str, write: Callable[[Path], None], said: dict[str, Any], message: str
) -> None:
    write(tmp_path / name)
    with pytest.raises((DatasetError, ConfigError), match=message) as raised:
        made(tmp_path / "s", path=tmp_path / name, **said)
    assert "\n" not in str(raised.value)
    left = [found for found in (tmp_path / "s").rglob("*") if found.is_file() and ".hashes" not in found.parts]
    assert left == []
    assert not list((tmp_path / "s").glob("datasets/t-*"))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"label": "label", "holdout": "time"}, "--holdout time needs --time COLUMN"),
        ({"label": "label", "holdout": "group"}, "--holdout group needs --group COLUMN"),
        ({"label": "label", "features": ("label",)}, "cannot be the label and something else at once"),
        ({"label": "label", "time": "label"}, "cannot be the label and something else at once"),
    ],
)
def test_a_contradiction_is_refused(path: Path, tmp_path: Path, said: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(tmp_path, path=path, **said)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/no/such/table.parquet", "/no/such/table.parquet does not exist: name a Parquet or CSV file"),
        ("ftp://host/table.parquet", "the scheme 'ftp' is not supported"),
    ],
)
def test_a_place_that_is_none(tmp_path: Path, place: str, message: str) -> None:
    with pytest.raises((DatasetError, ConfigError), match=message):
        made(tmp_path, path=place, label="y")


def test_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(DatasetError, match="contains no Parquet or CSV file that is not empty"):
        made(tmp_path / "s", path=tmp_path / "d", label="y")


def test_csv_that_does_not_fit_into_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame().to_csv(tmp_path / "t.csv")
    monkeypatch.setattr(table_files, "CSV_MEMORY", 10**9)
    with pytest.raises(DatasetError, match=r"too much to read into .* convert it to Parquet"):
        made(tmp_path / "s", path=tmp_path / "t.csv", label="label")


@pytest.mark.parametrize("spread", [1000.0, 30.0, 1e-4])
def test_a_label_far_from_zero_is_centred_for_every_engine(tmp_path: Path, spread: float) -> None:
    """float32, in which some compute, would cut seconds since 1970 to steps of 128; MLlib's float64 would not."""
    near = frame()[["City", "a.b `c`"]].assign(y=spread * np.random.default_rng(2).normal(size=ROWS))
    far = near.assign(y=near["y"] + spread * 1.7e6)
    labels = {}
    for name, table in (("near", near), ("far", far)):
        table.to_parquet(tmp_path / f"{name}.parquet")
        data = made(tmp_path / "s", path=tmp_path / f"{name}.parquet", label="y")
        labels[name] = everything(data)[LABEL].to_numpy()
        assert any("subtracted from every" in note for note in data.profile["notes"]) == (name == "far")
    shift = labels["far"] - labels["near"]
    assert abs(shift.mean()) < spread
    assert shift.std() < 1e-6 * spread


def test_classes_are_not_centred(tmp_path: Path) -> None:
    table = frame()[["a.b `c`"]].assign(y=np.arange(ROWS) % 2 + 10**9)
    table.to_parquet(tmp_path / "t.parquet")
    data = made(tmp_path / "s", path=tmp_path / "t.parquet", label="y")
    assert set(everything(data)[LABEL]) == {0, 1}
    assert data.profile["notes"] == []


def test_a_sentinel_too_large_for_a_square_is_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(3).normal(size=ROWS)
    values[::500] = -1.7e308
    frame()[["a.b `c`"]].assign(y=values).to_parquet(tmp_path / "t.parquet", row_group_size=700)
    with pytest.raises(DatasetError, match=r"'y' is infinite, or beyond ±1e\+100, in 10 rows: remove them"):
        made(tmp_path / "s", path=tmp_path / "t.parquet", label="y")
