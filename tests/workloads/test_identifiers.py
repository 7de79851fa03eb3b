"""Numbers that tell rows apart: row counters and times since 1970 are left out and named, other numbers stay."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from sparkscale.contract.dataset import LABEL, PreparedDataset
from sparkscale.contract.errors import DatasetError
from sparkscale.contract.profile import not_used
from workloads.datasets import training_slices
from workloads.datasets.table import Table
from workloads.datasets.table_order import NEARLY_UNIQUE, SMALLEST_HASHES, OrderCounts
from workloads.io.filesystem import read_parquet
from workloads.libraries.tasks import Here

ROWS = 6000
COUNTS = "counts the rows"
DRAW = np.random.default_rng(7)


def made(folder: Path, columns: dict[str, Any], **said: Any) -> PreparedDataset:
    label = said.pop("label", "y")
    frame = pd.DataFrame({"a": np.random.default_rng(0).normal(size=ROWS), "y": np.arange(ROWS) % 2} | columns)
    frame.to_parquet(folder / "t.parquet", row_group_size=700)
    return Table(path=str(folder / "t.parquet"), label=label, **said).prepare(str(folder / "s"), Here())


def swapped(values: np.ndarray[Any, Any], pairs: int) -> np.ndarray[Any, Any]:
    """Some neighbours exchanged."""
    found = values.copy()
    places = 2 * DRAW.choice(len(values) // 2, pairs, replace=False)
    found[places], found[places + 1] = values[places + 1], values[places]
    return found


SECONDS = 1_600_000_000 + np.sort(DRAW.integers(0, 10**7, ROWS))
IDENTIFIERS: list[tuple[str, Any, str]] = [
    ("a row counter", np.arange(ROWS), COUNTS),
    ("one that falls", np.arange(ROWS, 0, -1), COUNTS),
    ("one in floats", np.arange(ROWS) * 1.0, COUNTS),
    ("one with nulls", pd.Series(np.arange(ROWS), dtype="Int64").mask(DRAW.random(ROWS) < 0.2), COUNTS),
    ("one with gaps", np.cumsum(DRAW.geometric(0.01, ROWS)), COUNTS),
    ("one with a few inversions", swapped(np.cumsum(DRAW.geometric(0.01, ROWS)), 150), COUNTS),
    ("one by another clock", np.argsort(np.arange(ROWS) + DRAW.normal(0, 20, ROWS)) * 1000, COUNTS),
    ("a permutation of the row numbers", DRAW.permutation(ROWS), COUNTS),
    ("ids beyond float32", 2**36 + np.cumsum(DRAW.geometric(0.01, ROWS)), COUNTS),
    ("unsigned ids beyond int64", np.uint64(2**63) + np.arange(ROWS, dtype=np.uint64) * np.uint64(2**45), COUNTS),
    ("epoch seconds", SECONDS, "a time in seconds since 1970"),
    ("in no order", DRAW.permutation(SECONDS), "a time in seconds since 1970"),
    ("with fractions", DRAW.permutation(SECONDS + 0.25), "a time in seconds since 1970"),
    ("blank ones", np.where(np.arange(ROWS) % 9 == 0, 0, SECONDS), "a time in seconds since 1970"),
    ("milliseconds", DRAW.permutation(SECONDS) * 1000, "a time in milliseconds since 1970"),
    ("microseconds", DRAW.permutation(SECONDS) * 10**6, "a time in microseconds since 1970"),
    ("nanoseconds", DRAW.permutation(SECONDS) * 10**9, "a time in nanoseconds since 1970"),
    ("coarse and sorted", SECONDS // 86_400 * 86_400, "a time in seconds since 1970"),
]
"""What a column holds, its values, and why it is left out."""
FEATURES: list[tuple[str, Any]] = [
    ("few levels, by which the table is sorted", np.arange(ROWS) // 100),
    ("many levels, by which the table is sorted", np.arange(ROWS) // 3),
    ("a sorted amount", np.sort(DRAW.gamma(2, 100, ROWS))),
    ("positions within groups", np.arange(ROWS) % 50),
    ("random integers", DRAW.integers(0, 2 * ROWS, ROWS)),
    ("nearly unique random integers", DRAW.integers(0, 10**9, ROWS)),
    ("amounts that pass for seconds here and there", DRAW.lognormal(21, 1, ROWS).astype(np.int64)),
    ("amounts between 1 and 2 thousand million", DRAW.integers(10**9, 2 * 10**9, ROWS)),
    ("a few times since 1970", DRAW.choice(SECONDS[:20], ROWS)),
    ("births since 1970", DRAW.integers(-(10**9), 10**9, ROWS)),
    ("yes and no", np.arange(ROWS) % 3 == 0),
]


@pytest.mark.parametrize(("values", "reason"), [found[1:] for found in IDENTIFIERS], ids=[i[0] for i in IDENTIFIERS])
def test_a_number_that_tells_rows_apart_is_left_out_and_named(tmp_path: Path, values: Any, reason: str) -> None:
    data = made(tmp_path, {"n": values})
    assert [column.source for column in data.columns] == ["a"]
    (column,) = [column for column in data.profile["columns"] if column["name"] == "n"]
    assert (column["role"], column["note"]) == ("not used", f"{reason}: an identifier")
    listed = made(tmp_path, {"n": values}, features=("a", "n"))
    assert [column.source for column in listed.columns][:2] == ["a", "n"]


@pytest.mark.parametrize("values", [found[1] for found in FEATURES], ids=[found[0] for found in FEATURES])
def test_a_number_that_only_looks_like_an_identifier_stays(tmp_path: Path, values: Any) -> None:
    data = made(tmp_path, {"n": values})
    assert [column.source for column in data.columns] == ["a", "n"]


def test_a_row_counter_no_longer_leaks_through_a_random_holdout(tmp_path: Path) -> None:
    """The label drifts in a random walk, and the only feature says nothing of it: all that is learned is leak."""
    generator = np.random.default_rng(4)
    drift = np.repeat(generator.normal(size=ROWS // 100), 100)
    label = (generator.random(ROWS) < 1 / (1 + np.exp(-drift))).astype(int)
    columns = {"y": label, "id": np.arange(ROWS)}

    def quality(data: PreparedDataset) -> float:
        train, out = (read_parquet(paths).to_pandas() for paths in (data.train_paths(1, 0), [data.holdout_path]))
        model = DecisionTreeClassifier(min_samples_leaf=20, random_state=0).fit(train[data.features], train[LABEL])
        return float(roc_auc_score(out[LABEL], model.predict_proba(out[data.features])[:, 1]))

    assert quality(made(tmp_path, columns, features=("a", "id"))) > 0.6
    assert quality(made(tmp_path, columns)) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("said", [{"group": "store"}, {"time": "when"}])
def test_identifiers_are_left_out_whatever_the_holdout(tmp_path: Path, said: dict[str, str]) -> None:
    columns = {
        "id": np.arange(ROWS),
        "store": np.arange(ROWS) % 60,
        "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(ROWS), unit="h"),
    }
    data = made(tmp_path, columns, **said)
    assert "id" not in {column.source for column in data.columns}
    assert "id (counts the rows: an identifier)" in not_used(data.profile["columns"])


def test_text_ids_are_named_too_and_not_all_of_many(tmp_path: Path) -> None:
    columns = {f"code {number}": [f"{number}-{row}" for row in range(ROWS)] for number in range(12)}
    text = not_used(made(tmp_path, columns).profile["columns"])
    assert text.startswith("Columns not used: code 0 (nearly every value is different: an identifier), code 1")
    assert "code 9 (nearly every value is different: an identifier) and 2 more." in text
    assert "code 10" not in text
    assert text.endswith("To use an identifier all the same, name the features in --features.")


def test_columns_that_were_not_asked_for_are_not_named(tmp_path: Path) -> None:
    data = made(tmp_path, {"b": np.arange(ROWS) % 7, "constant": np.ones(ROWS)}, features=("a", "constant"))
    assert not_used(data.profile["columns"]) == "Columns not used: constant (constant)."


def test_a_table_of_nothing_but_identifiers_says_how_to_use_them(tmp_path: Path) -> None:
    columns = {"a": 1.0, "id": np.arange(ROWS)}
    with pytest.raises(
        DatasetError, match=r"id: counts the rows: an identifier\)\. To use an identifier all the same"
    ):
        made(tmp_path, columns)


@pytest.mark.parametrize(
    "values", [np.arange(ROWS) // 3, np.sort(np.random.default_rng(2).gamma(2, 100, ROWS))], ids=["ties", "amounts"]
)
def test_a_table_sorted_by_a_feature_is_warned_of_under_a_random_holdout(tmp_path: Path, values: Any) -> None:
    columns = {"elapsed": values, "store": np.arange(ROWS) % 60}
    sentence = "the rows are in the order of the feature 'elapsed'"
    assert any(sentence in text for text in made(tmp_path, columns).profile["warnings"])
    assert not any(sentence in text for text in made(tmp_path, columns, group="store").profile["warnings"])


def test_many_parts_say_what_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter over several parts, which a counter that begins anew in each part is not."""
    monkeypatch.setattr(training_slices, "BLOCK_ROWS", 600)
    monkeypatch.setattr(training_slices, "PART_BLOCKS", 1)
    columns = {"id": np.arange(ROWS), "line": np.arange(ROWS) % 600, "t": DRAW.permutation(SECONDS)}
    data = made(tmp_path, columns)
    assert len(list(Path(data.holdout_path).iterdir())) == 10
    assert [column.source for column in data.columns] == ["a", "line"]
    reasons = {column["name"]: column["note"] for column in data.profile["columns"]}
    assert reasons["id"] == "counts the rows: an identifier"
    assert reasons["t"] == "a time in seconds since 1970: an identifier"


def test_a_directory_whose_files_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    """1, 10, 11, 2 …: the counter falls at a few borders only, and rises everywhere else."""
    (tmp_path / "d").mkdir()
    frame = pd.DataFrame({"a": DRAW.normal(size=ROWS), "y": np.arange(ROWS) % 2, "id": np.arange(ROWS) * 100})
    for number, start in enumerate(range(0, ROWS, 500), start=1):
        frame.iloc[start : start + 500].to_parquet(tmp_path / "d" / f"{number}.parquet")
    data = Table(path=str(tmp_path / "d"), label="y").prepare(str(tmp_path / "s"), Here())
    assert [column.source for column in data.columns] == ["a"]


@pytest.mark.parametrize("share", [1.0, 0.5, 0.05])
def test_different_values_are_counted_in_bounded_memory(share: float) -> None:
    """Merged over batches: within 6 % of the truth, with no more hashes than SMALLEST_HASHES."""
    rows = 200_000
    values = np.random.default_rng(5).permutation(rows) // int(1 / share)
    batches = [OrderCounts.of(pa.array(part)) for part in np.split(values, 5)]
    merged = batches[0]
    for batch in batches[1:]:
        merged = merged.add(batch)
    assert merged.known == rows
    assert len(merged.hashes) == SMALLEST_HASHES
    assert merged.distinct == pytest.approx(share * rows, rel=0.06)
    assert (merged.distinct > NEARLY_UNIQUE * rows) == (share == 1)


def test_no_known_values_change_nothing() -> None:
    some, none = OrderCounts.of(pa.array([3, 1, 2])), OrderCounts.of(pa.array([None, None], pa.int64()))
    assert none.add(some) is some
    assert some.add(none) is some
    assert none.identifies is None
