"""CSV as people have it: encodings, separators, and numbers that are written for readers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import DatasetError
from workloads.datasets.table import Table
from workloads.datasets.table_files import column_names
from workloads.io.filesystem import read_parquet
from workloads.libraries.tasks import Here

ROWS = 600
DRAW = np.random.default_rng(0)
A = DRAW.normal(size=ROWS)
AMOUNT = np.round(np.exp(7 + 2 * A), 2)
Y = (A + DRAW.logistic(size=ROWS) > 0).astype(int)
UNCLEAR = "a comma or point in it may be decimal or may separate thousands"


def prepared(folder: Path, *texts: bytes, label: str = "y", name: str = "t.csv") -> PreparedDataset:
    path = folder / name
    if len(texts) > 1:
        path.mkdir()
        for number, text in enumerate(texts):
            (path / f"part-{number}.csv").write_bytes(text)
    else:
        path.write_bytes(texts[0])
    return Table(path=str(path), label=label).prepare(str(folder / "storage"), Here())


def rows(values: list[str], separator: str = ",", x: list[str] | None = None) -> str:
    """A table of a number x, a whole one if no other is given, these values of v, and a label y."""
    numbers = x or [f"{1000 * a:.0f}" for a in A]
    lines = (separator.join((numbers[k], value, str(Y[k]))) for k, value in enumerate(values))
    return "\n".join([separator.join(("x", "v", "y")), *lines]) + "\n"


def numbers(data: PreparedDataset) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    (column,) = [column.name for column in data.columns if column.source == "v"]
    paths = [*data.train_paths(1.0, 0), data.holdout_path]
    table = pa.concat_tables([read_parquet([path], ["row", column]) for path in paths]).sort_by("row")
    return np.asarray(table[column].to_numpy())


def note(data: PreparedDataset) -> str:
    (column,) = [column for column in data.profile["columns"] if column["name"] == "v"]
    return str(column["note"])


def german(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


POINT, COMMA = "v: its numbers are read with a decimal point.", "v: its numbers are read with a decimal comma."
WHOLE = "v: its numbers are read without the separators between thousands."
WRITTEN: list[tuple[str, Callable[[float], str], str]] = [
    ("commas between thousands", "{:,.2f}".format, POINT),
    ("a decimal comma and points between thousands", german, COMMA),
    ("a decimal comma", lambda value: f"{value:.2f}".replace(".", ","), COMMA),
    ("blanks between thousands", lambda value: f"{value:,.2f}".replace(",", " "), POINT),
    ("narrow blanks and a comma", lambda value: f"{value:,.2f}".replace(",", "\u202f").replace(".", ","), COMMA),
    ("apostrophes between thousands", lambda value: f"{value:,.2f}".replace(",", "’"), POINT),
    ("a minus", lambda value: f"-{value:,.2f}", POINT),
    ("a plus", lambda value: f"+{value:,.2f}", POINT),
    ("a plus and no thousands", lambda value: f"+{value:.2f}".replace(".", ","), COMMA),
]


@pytest.mark.parametrize(("write", "note"), [found[1:] for found in WRITTEN], ids=[found[0] for found in WRITTEN])
def test_numbers_that_can_be_read_in_one_way_are_read(
    tmp_path: Path, write: Callable[[float], str], note: str
) -> None:
    data = prepared(tmp_path, rows([f'"{write(value)}"' for value in AMOUNT]).encode())
    assert np.abs(numbers(data)) == pytest.approx(AMOUNT.astype(np.float32))
    assert data.profile["notes"] == [note]


@pytest.mark.parametrize("blank", [" ", "'", "\u00a0"])
def test_whole_numbers_with_blanks_between_thousands_are_no_texts(tmp_path: Path, blank: str) -> None:
    whole = DRAW.integers(1, 9_999_999, ROWS)
    data = prepared(tmp_path, rows([f"{number:,}".replace(",", blank) for number in whole]).encode())
    assert numbers(data) == pytest.approx(whole)
    assert data.profile["notes"] == [WHOLE]


def test_a_table_is_written_in_one_style(tmp_path: Path) -> None:
    """Beside a decimal comma a point stands between thousands, though Arrow takes it for a decimal point; where that
    cannot be, it is one.
    """
    whole = DRAW.integers(1, 999_999, ROWS)
    lines = [
        f"{AMOUNT[k]:.2f}".replace(".", ",") + f";{whole[k]:,}".replace(",", ".") + f";{A[k]:.4f};{Y[k]}"
        for k in range(ROWS)
    ]
    data = prepared(tmp_path, "\n".join(["price;v;share;y", *lines]).encode())
    assert numbers(data) == pytest.approx(whole)
    (share,) = [column for column in data.columns if column.source == "share"]
    assert share.std == pytest.approx(1.0, abs=0.2)
    assert data.profile["notes"] == ["price, v: its numbers are read with a decimal comma."]


@pytest.mark.parametrize(
    "values",
    [
        [f'"{number:,}"' for number in DRAW.integers(1000, 999_999, ROWS)],
        [f'"{number}"' for number in DRAW.choice(["1,234", "5,678", "12"], ROWS)],
    ],
    ids=["many", "few"],
)
def test_numbers_that_can_be_read_in_two_ways_stay_texts_and_it_is_said(tmp_path: Path, values: list[str]) -> None:
    """1,234 is 1234 to some and 1.234 to others."""
    data = prepared(tmp_path, rows(values).encode())
    assert UNCLEAR in note(data)
    assert not any(column.kind == "numeric" for column in data.columns if column.source == "v")


def test_beside_a_certain_decimal_point_a_comma_stands_between_thousands(tmp_path: Path) -> None:
    whole = DRAW.integers(1, 999_999, ROWS)
    data = prepared(tmp_path, rows([f'"{number:,}"' for number in whole], x=[f"{a:.6f}" for a in A]).encode())
    assert numbers(data) == pytest.approx(whole)
    assert data.profile["notes"] == [POINT]


def test_an_unclear_label_says_so(tmp_path: Path) -> None:
    text = rows([f'"{number:,}"' for number in DRAW.integers(1000, 999_999, ROWS)])
    with pytest.raises(DatasetError, match=f"classification needs two: .*Note about this column: {UNCLEAR}"):
        prepared(tmp_path, text.encode(), label="v")


def test_whole_numbers_with_a_plus_are_no_texts(tmp_path: Path) -> None:
    whole = DRAW.integers(-99, 99, ROWS)
    data = prepared(tmp_path, rows([f"{number:+d}" for number in whole]).encode())
    assert numbers(data) == pytest.approx(whole)


def test_blanks_around_numbers_beside_a_decimal_comma(tmp_path: Path) -> None:
    lines = [f"{AMOUNT[k]:.2f}".replace(".", ",") + f"; {A[k]:.4f};{Y[k]}" for k in range(ROWS)]
    data = prepared(tmp_path, "\n".join(["price;v;y", *lines]).encode())
    assert numbers(data) == pytest.approx(A, abs=1e-4)


@pytest.mark.parametrize(
    "value", ["1.2.3", "01 234", "2024-01-02", "12:30", "1,23,456", "+49 30 123", "A-1,000", "0,1,2"]
)
def test_other_texts_are_no_numbers(tmp_path: Path, value: str) -> None:
    values = [f'"{value}"' if number % 3 else "7" for number in range(ROWS)]
    data = prepared(tmp_path, rows(values).encode())
    assert [column.kind for column in data.columns if column.source == "v"] == ["categorical"]


def test_the_files_of_a_table_are_judged_together(tmp_path: Path) -> None:
    """What is unclear in one file is clear in another; small amounts are plain numbers."""
    small = rows([f"{number}" for number in DRAW.integers(1, 999, ROWS)])
    unclear = rows([f'"{number:,}"' for number in DRAW.integers(1000, 9999, ROWS)])
    clear = rows([f'"{value:,.1f}"' for value in AMOUNT + 1000])
    data = prepared(tmp_path, small.encode(), unclear.encode(), clear.encode())
    assert numbers(data)[ROWS : 2 * ROWS].min() >= 1000
    (tmp_path / "b").mkdir()
    with pytest.raises(DatasetError, match=r"The column 'v' is a number in .*part-0\.csv, and text in .*part-1\.csv"):
        prepared(tmp_path / "b", small.encode(), unclear.encode())


@pytest.mark.parametrize(
    ("name", "head", "line"),
    [
        ("t.tsv", "Street, City, Zip\tv\ty", "{a}\t{b}\t{y}"),
        ("t.csv", '"a;b;c;d",v,y', "{a},{b},{y}"),
        ("t.csv", "a|b,v,y", "{a},{b},{y}"),
    ],
)
def test_a_separator_in_a_name_is_none(tmp_path: Path, name: str, head: str, line: str) -> None:
    lines = [line.format(a=A[k], b=AMOUNT[k], y=Y[k]) for k in range(ROWS)]
    data = prepared(tmp_path, "\n".join([head, *lines]).encode(), name=name)
    assert len(data.columns) == 2


def test_utf_8_with_a_fault_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    text = rows(["Köln"] * (ROWS // 2)).encode() + b"1,\xff,0\n" + b"1,x,0\n" * 300
    with pytest.raises(DatasetError, match=r"t\.csv is UTF-8, except for a byte near position [\d,]+: correct it"):
        prepared(tmp_path, text)


def test_half_a_character_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"t\.csv is no valid CSV: .*truncated"):
        prepared(tmp_path, rows(["1"] * ROWS).encode("utf-16") + b"x")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_the_first_lines(tmp_path: Path, separator: str) -> None:
    data = prepared(tmp_path, rows([f'"{value:.2f}, {value}"' for value in AMOUNT], separator).encode())
    assert {column.source for column in data.columns} == {"x"}
    assert "an identifier" in note(data)


CITIES = ["Köln", "Århus", "Łódź"]


@pytest.mark.parametrize(
    ("encoding", "spoken"),
    [("utf-8", ""), ("utf-8-sig", ""), ("utf-16", "UTF-16"), ("cp1252", "Windows-1252"), ("latin-1", "Windows-1252")],
)
def test_an_encoding_that_is_not_utf_8_is_read_and_said(tmp_path: Path, encoding: str, spoken: str) -> None:
    cities = CITIES if encoding.startswith("utf") else CITIES[:2]
    text = rows([cities[number % len(cities)] for number in range(ROWS)]).replace("x,v,y", "größe,v,y")
    data = prepared(tmp_path, text.encode(encoding))
    vocabulary = next(column.vocabulary for column in data.columns if column.source == "v")
    assert set(cities) <= set(vocabulary)
    assert column_names(str(tmp_path / "t.csv")) == ["größe", "v", "y"]
    said = [f"Not all of it is UTF-8: {spoken} was read."] if spoken else []
    assert data.profile["notes"] == said


def test_a_label_may_be_such_a_number(tmp_path: Path) -> None:
    data = prepared(tmp_path, rows([f'"{value:,.2f}"' for value in AMOUNT]).encode(), label="v")
    assert data.task == "regression"
