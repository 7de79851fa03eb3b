"""Reads CSV files that are not plain: in other encodings than UTF-8, with other separators, or with numbers that are
written for people, such as 1,234.50.

A number that can be read in one way only is read. One that can be read in several ways stays a text. A note of the
data set tells the user of both.
"""

import codecs
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, fs

from sparkscale.contract.errors import DatasetError
from workloads.io.filesystem import reported

CHUNK = 2**24
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UNDEFINED = b"\x81\x8d\x8f\x90\x9d"
"""Bytes that Windows-1252 does not use."""
SPOKEN = {"cp1252": "Windows-1252", "latin-1": "Latin-1", "utf-16": "UTF-16"}
SEPARATORS = (",", "\t", ";", "|")

POINT = r"^[+-]?(?:[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d*|0)(?:\.\d*)?$"
"""Numbers with a decimal point and, perhaps, commas between thousands."""
COMMA = r"^[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})+|[1-9]\d*|0)(?:,\d*)?$"
"""The same with points and comma exchanged."""
BLANKS = r"[ '’\x{a0}\x{202f}]"
SPACED = rf"^[+-]?[1-9]\d{{0,2}}(?:{BLANKS}\d{{3}})+(?:[.,]\d+)?$"
"""Blanks or apostrophes between thousands."""
WHOLE, UNSIGNED = r"^[+-]?\d+$", r"^-?\d+$"

NOTES = {
    "point": "its numbers are read with a decimal point",
    "comma": "its numbers are read with a decimal comma",
    "whole": "its numbers are read without what stands between thousands",
    "unclear": "a comma or point in it may be the decimal one or stand between thousands: write numbers as 1234.5",
}
"""The note about a column, by how its numbers are written."""
HEAD_LINES = 20


@dataclass(frozen=True)
class Style:
    """How a file is to be read."""

    encoding: str
    separator: str

    @property
    def reading(self) -> csv.ReadOptions:
        return csv.ReadOptions(encoding=self.encoding)

    @property
    def parsing(self) -> csv.ParseOptions:
        return csv.ParseOptions(delimiter=self.separator, newlines_in_values=True)


def style_of(system: fs.FileSystem, path: str) -> Style:
    """Looks at the whole file for its encoding, and at its first lines for its separator."""
    encoding = _encoding(system, path)
    with system.open_input_stream(path) as stream:
        head = stream.read(CHUNK).decode(encoding, errors="ignore")
    return Style(encoding, _separator(head, "\t" if ".tsv" in path.lower() else ","))


def _encoding(system: fs.FileSystem, path: str) -> str:
    """UTF-8, or what the file is if it is not. Raises DatasetError for UTF-8 with a fault in it."""
    with system.open_input_stream(path) as stream:
        chunk = stream.read(CHUNK)
        if chunk.startswith(UTF_16):
            return "utf-16"
        decoder = codecs.getincrementaldecoder("utf-8")()
        is_utf_8, is_windows, is_wide, read = True, True, False, 0
        while True:
            if is_utf_8:
                try:
                    is_wide |= not decoder.decode(chunk, final=not chunk).isascii()
                except UnicodeDecodeError as error:
                    is_utf_8 = False
                    if is_wide or not error.object[: error.start].decode().isascii():
                        raise DatasetError(
                            f"{path} is UTF-8, but for a byte near {read + error.start:,}: correct it."
                        ) from error
            read += len(chunk)
            is_windows = is_windows and not any(byte in chunk for byte in UNDEFINED)
            if not chunk or not (is_utf_8 or is_windows):
                break
            chunk = stream.read(CHUNK)
    return "utf-8" if is_utf_8 else "cp1252" if is_windows else "latin-1"


def _separator(text: str, usual: str) -> str:
    """The usual one if it stands in the first line; else one that stands there and equally often in the next ones."""
    bare = re.sub(r'"[^"]*"', "", text.lstrip("\ufeff"))
    lines = [line for line in bare.splitlines()[: HEAD_LINES + 1] if line][:HEAD_LINES]
    if not lines or usual in lines[0]:
        return usual
    counts = {separator: [line.count(separator) for line in lines] for separator in SEPARATORS}
    fitting = [separator for separator, found in counts.items() if found[0] and len(set(found)) == 1]
    return max(fitting, key=lambda separator: counts[separator][0], default=usual)


def names(system: fs.FileSystem, path: str) -> list[str]:
    """Returns the names of the columns. Raises DatasetError."""
    with reported(path, "is no valid CSV"):
        style = style_of(system, path)
        with system.open_input_stream(path) as stream:
            reader = csv.open_csv(stream, read_options=style.reading, parse_options=style.parsing)
            return list(reader.schema.names)


def read(system: fs.FileSystem, path: str, style: Style, as_text: Sequence[str] = ()) -> pa.Table:
    """Types are inferred from all rows; of the columns in `as_text`, if some are named, only these are read, as text.
    Empty fields and NA, NaN, null are missing, in text columns, too.

    Raises DatasetError.
    """
    converting = csv.ConvertOptions(
        strings_can_be_null=True,
        column_types=dict.fromkeys(as_text, pa.string()),
        include_columns=as_text or None,
    )
    reading = style.reading
    try:
        with system.open_input_stream(path) as stream:
            table = csv.read_csv(stream, reading, style.parsing, converting)
    except (OSError, UnicodeError, pa.ArrowInvalid):
        # again on one thread, which counts the rows and so can say where it is wrong
        reading.use_threads = False
        with reported(path, "is no valid CSV"), system.open_input_stream(path) as stream:
            table = csv.read_csv(stream, reading, style.parsing, converting)
    check_names(path, table.column_names)
    return table


def read_all(system: fs.FileSystem, paths: Sequence[str]) -> tuple[list[pa.Table], dict[str, str], set[str]]:
    """A table of each file; by column what is to be said of how its numbers were read; and the encodings other than
    UTF-8, as people call them.

    A column is judged by all files together, and the table is taken to be written in one style: where one column has
    a decimal comma for certain, points in another stand between thousands, though Arrow took them for decimal points;
    and where a decimal point is certain, commas stand between thousands.

    Raises DatasetError.
    """
    styles = []
    for path in paths:
        with reported(path, "cannot be read"):
            styles.append(style_of(system, path))
    tables = [read(system, path, style) for path, style in zip(paths, styles, strict=True)]
    kinds = _kinds(tables)
    decided = set(kinds.values()) - {"unclear", "whole"}
    if decided == {"comma"} and (floats := _floats(tables)):
        for number, (path, style) in enumerate(zip(paths, styles, strict=True)):
            names = [name for name in tables[number].column_names if name in floats]
            if names:
                texts = read(system, path, style, names)
                tables[number] = _with(tables[number], dict(zip(names, texts.columns, strict=True)))
        again = _kinds(tables)
        kinds |= {name: kind for name, kind in again.items() if name not in floats or kind in ("comma", "unclear")}
        plain = floats - kinds.keys()
        tables = [_as_numbers(table, plain) for table in tables]
    elif not decided and _has_decimal_point(tables):
        decided = {"point"}
    if len(decided) == 1:
        kinds = {name: kind if kind != "unclear" else next(iter(decided)) for name, kind in kinds.items()}
    encodings = {SPOKEN[style.encoding] for style in styles if style.encoding in SPOKEN}
    return [_read_numbers(table, kinds) for table in tables], {n: NOTES[k] for n, k in kinds.items()}, encodings


def check_names(path: str, columns: Sequence[str]) -> None:
    """Raises DatasetError for a column name that stands twice."""
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise DatasetError(f"{path} has the column '{twice[0]}' more than once: rename one.")


def _kinds(tables: Sequence[pa.Table]) -> dict[str, str]:
    """How the numbers of each column are written that is a text to Arrow and holds nothing else: a key of NOTES."""
    columns: dict[str, list[pa.ChunkedArray]] = {}
    for table in tables:
        for name, column in zip(table.column_names, table.columns, strict=True):
            if not pa.types.is_null(column.type):
                columns.setdefault(name, []).append(column)
    found = {name: _kind(parts) for name, parts in columns.items()}
    return {name: kind for name, kind in found.items() if kind}


def _kind(columns: Sequence[pa.ChunkedArray]) -> str:
    raw = [column for column in columns if pa.types.is_string(column.type)]
    others = [column.type for column in columns if not pa.types.is_string(column.type)]
    if not all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in others):
        return ""
    if not any(len(column.drop_null()) for column in raw):
        return ""
    written = [_unspaced(column) for column in raw]
    if all(_all_match(column, WHOLE) for column in written):
        return "" if all(_all_match(column, UNSIGNED) for column in raw) else "whole"
    point, comma = (all(_all_match(column, pattern) for column in written) for pattern in (POINT, COMMA))
    if any(pa.types.is_floating(kind) for kind in others):
        comma = False  # Arrow has read decimal points in another file
    if point and comma:
        return "unclear"
    return "point" if point else "comma" if comma else ""


def _floats(tables: Sequence[pa.Table]) -> set[str]:
    """Returns the columns that hold only numbers, and in some file numbers with a decimal point."""
    kinds: dict[str, list[pa.DataType]] = {}
    for field in (field for table in tables for field in table.schema):
        if not pa.types.is_null(field.type):
            kinds.setdefault(field.name, []).append(field.type)
    return {
        name
        for name, found in kinds.items()
        if any(map(pa.types.is_floating, found))
        and all(pa.types.is_floating(kind) or pa.types.is_integer(kind) for kind in found)
    }


def _has_decimal_point(tables: Sequence[pa.Table]) -> bool:
    """Tells whether a point cannot stand between thousands, because more than three digits follow it, or the number
    lies between -1 and 1.
    """
    for table in tables:
        for column in table.columns:
            if pa.types.is_floating(column.type):
                size = pc.abs(column)
                below = pc.and_(pc.greater(size, 0.0), pc.less(size, 1.0))
                longer = pc.not_equal(pc.round(size, 3), size)
                if pc.any(pc.or_(below, longer)).as_py():
                    return True
    return False


def _with(table: pa.Table, columns: Mapping[str, pa.ChunkedArray]) -> pa.Table:
    """The table with these columns in the place of its own of the same names."""
    for name, column in columns.items():
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _texts(table: pa.Table, names: Collection[str]) -> dict[str, pa.ChunkedArray]:
    """The columns of text among these names."""
    columns = zip(table.column_names, table.columns, strict=True)
    return {name: column for name, column in columns if name in names and pa.types.is_string(column.type)}


def _as_numbers(table: pa.Table, names: Collection[str]) -> pa.Table:
    """The table with these columns as the numbers that they were before they were read as text."""
    texts = _texts(table, names)
    return _with(table, {name: pc.utf8_trim_whitespace(text).cast(pa.float64()) for name, text in texts.items()})


def _all_match(column: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(column, pattern), min_count=0).as_py())


def _unspaced(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers without the blanks or apostrophes between their thousands; other texts as they are, but for blanks
    around them.
    """
    trimmed = pc.utf8_trim_whitespace(column)
    return pc.if_else(
        pc.match_substring_regex(trimmed, SPACED), pc.replace_substring_regex(trimmed, BLANKS, ""), trimmed
    )


def _read_numbers(table: pa.Table, kinds: Mapping[str, str]) -> pa.Table:
    """The table with numbers in the place of texts, each column read as its kind says."""
    read = {name for name, kind in kinds.items() if kind != "unclear"}
    return _with(table, {name: _numbers(text, kinds[name]) for name, text in _texts(table, read).items()})


def _numbers(texts: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    values = pc.utf8_ltrim(_unspaced(texts), "+")
    values = pc.replace_substring(values, "." if kind == "comma" else ",", "")
    return pc.replace_substring(values, ",", ".").cast(pa.float64())
