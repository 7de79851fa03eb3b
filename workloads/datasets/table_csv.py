"""Reads CSV files with any common encoding, separator or way to write numbers.

Examples are encodings other than UTF-8, semicolons, and numbers written for people, such as 1,234.50.

A text is read as a number if it can mean only one value. Otherwise it stays a text. In both cases the user sees a
note in the data set's description.
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
from workloads.io.filesystem import as_dataset_error

CHUNK = 2**24
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UNDEFINED = b"\x81\x8d\x8f\x90\x9d"
"""The bytes that have no meaning in Windows-1252."""
ENCODING_NAMES = {"cp1252": "Windows-1252", "latin-1": "Latin-1", "utf-16": "UTF-16"}
SEPARATORS = (",", "\t", ";", "|")

POINT = r"^[+-]?(?:[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d*|0)(?:\.\d*)?$"
"""Matches numbers with a decimal point and, perhaps, commas between thousands."""
COMMA = r"^[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})+|[1-9]\d*|0)(?:,\d*)?$"
"""Matches numbers with a decimal comma and, perhaps, points between thousands."""
BLANKS = r"[ '’\x{a0}\x{202f}]"
SPACED = rf"^[+-]?[1-9]\d{{0,2}}(?:{BLANKS}\d{{3}})+(?:[.,]\d+)?$"
"""Matches numbers with blanks or apostrophes between thousands."""
WHOLE, UNSIGNED = r"^[+-]?\d+$", r"^-?\d+$"

NOTES = {
    "point": "its numbers are read with a decimal point",
    "comma": "its numbers are read with a decimal comma",
    "whole": "its numbers are read without the separators between thousands",
    "unclear": "a comma or point in it may be decimal or may separate thousands: write numbers as 1234.5",
}
"""The notes about columns. The key is the way in which a column's numbers are written."""
HEAD_LINES = 20


@dataclass(frozen=True)
class Style:
    """The encoding and the separator of a CSV file."""

    encoding: str
    separator: str

    @property
    def read_options(self) -> csv.ReadOptions:
        return csv.ReadOptions(encoding=self.encoding)

    @property
    def parse_options(self) -> csv.ParseOptions:
        return csv.ParseOptions(delimiter=self.separator, newlines_in_values=True)


def style_of(system: fs.FileSystem, path: str) -> Style:
    """Returns the style of a file. All bytes decide about the encoding, the first lines about the separator."""
    encoding = _encoding(system, path)
    with system.open_input_stream(path) as stream:
        head = stream.read(CHUNK).decode(encoding, errors="ignore")
    return Style(encoding, _separator(head, "\t" if ".tsv" in path.lower() else ","))


def _encoding(system: fs.FileSystem, path: str) -> str:
    """Returns the encoding of a file: UTF-8 if possible, otherwise UTF-16, Windows-1252 or Latin-1.

    Raises DatasetError if the file is UTF-8 except for a wrong byte.
    """
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
                            f"{path} is UTF-8, except for a byte near position {read + error.start:,}: correct it."
                        ) from error
            read += len(chunk)
            is_windows = is_windows and not any(byte in chunk for byte in UNDEFINED)
            if not chunk or not (is_utf_8 or is_windows):
                break
            chunk = stream.read(CHUNK)
    return "utf-8" if is_utf_8 else "cp1252" if is_windows else "latin-1"


def _separator(text: str, usual: str) -> str:
    """Returns the separator of a file that begins with `text`.

    This is `usual` if the first line contains it. Otherwise it is the most frequent of those separators that occur
    equally often in each of the first lines; `usual` if there is none.
    """
    bare = re.sub(r'"[^"]*"', "", text.lstrip("\ufeff"))
    lines = [line for line in bare.splitlines()[: HEAD_LINES + 1] if line][:HEAD_LINES]
    if not lines or usual in lines[0]:
        return usual
    counts = {separator: [line.count(separator) for line in lines] for separator in SEPARATORS}
    fitting = [separator for separator, per_line in counts.items() if per_line[0] and len(set(per_line)) == 1]
    return max(fitting, key=lambda separator: counts[separator][0], default=usual)


def names(system: fs.FileSystem, path: str) -> list[str]:
    """Returns the names of a file's columns. Raises DatasetError if the file cannot be read."""
    with as_dataset_error(path, "is no valid CSV"):
        style = style_of(system, path)
        with system.open_input_stream(path) as stream:
            reader = csv.open_csv(stream, read_options=style.read_options, parse_options=style.parse_options)
            return list(reader.schema.names)


def read(system: fs.FileSystem, path: str, style: Style, as_text: Sequence[str] = ()) -> pa.Table:
    """Reads a file. The types of columns are inferred from all rows.

    If `as_text` names columns, only these columns are read, as text. Empty fields, NA, NaN and null are missing
    values, even in text columns. Raises DatasetError if the file cannot be read.
    """
    converting = csv.ConvertOptions(
        strings_can_be_null=True,
        column_types=dict.fromkeys(as_text, pa.string()),
        include_columns=as_text or None,
    )
    read_options = style.read_options
    try:
        with system.open_input_stream(path) as stream:
            table = csv.read_csv(stream, read_options, style.parse_options, converting)
    except (OSError, UnicodeError, pa.ArrowInvalid):
        # read the file again on one thread: only then are rows counted, so that the error names the row
        read_options.use_threads = False
        with as_dataset_error(path, "is no valid CSV"), system.open_input_stream(path) as stream:
            table = csv.read_csv(stream, read_options, style.parse_options, converting)
    check_names(path, table.column_names)
    return table


def read_all(system: fs.FileSystem, paths: Sequence[str]) -> tuple[list[pa.Table], dict[str, str], set[str]]:
    """Reads all files. Returns a table per file, notes about columns, and the names of encodings other than UTF-8.

    A note says how the numbers of a column were read. A column is read in the same way in all files.

    The whole table is assumed to use one way to write numbers. If one column certainly has a decimal comma, points
    in other columns are read as separators between thousands, even if Arrow read these points as decimal points.
    If one column certainly has a decimal point, commas are read as separators between thousands.

    Raises DatasetError if a file cannot be read.
    """
    styles = []
    for path in paths:
        with as_dataset_error(path, "cannot be read"):
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
    encodings = {ENCODING_NAMES[style.encoding] for style in styles if style.encoding in ENCODING_NAMES}
    return [_read_numbers(table, kinds) for table in tables], {n: NOTES[k] for n, k in kinds.items()}, encodings


def check_names(path: str, columns: Sequence[str]) -> None:
    """Raises DatasetError if two columns have the same name."""
    duplicates = [name for name, count in Counter(columns).items() if count > 1]
    if duplicates:
        raise DatasetError(f"{path} has the column '{duplicates[0]}' more than once: rename one.")


def _kinds(tables: Sequence[pa.Table]) -> dict[str, str]:
    """Returns how the numbers of each column are written: `point`, `comma`, `whole` or `unclear` (see NOTES).

    The keys are the names of columns. The result has only columns that Arrow reads as text in some file, although
    all their values are numbers.
    """
    columns: dict[str, list[pa.ChunkedArray]] = {}
    for table in tables:
        for name, column in zip(table.column_names, table.columns, strict=True):
            if not pa.types.is_null(column.type):
                columns.setdefault(name, []).append(column)
    kinds = {name: _kind(parts) for name, parts in columns.items()}
    return {name: kind for name, kind in kinds.items() if kind}


def _kind(columns: Sequence[pa.ChunkedArray]) -> str:
    """Returns how a column's numbers are written: `point`, `comma`, `whole` or `unclear` (see NOTES).

    `columns` has the column of each file. Returns "" if some value is not a number, if no file has the column as
    text, or if the texts are only digits with, perhaps, a minus sign.
    """
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
    """Returns the names of the columns that Arrow reads as numbers in all files, and as floats in at least one."""
    kinds: dict[str, list[pa.DataType]] = {}
    for field in (field for table in tables for field in table.schema):
        if not pa.types.is_null(field.type):
            kinds.setdefault(field.name, []).append(field.type)
    return {
        name
        for name, types in kinds.items()
        if any(map(pa.types.is_floating, types))
        and all(pa.types.is_floating(kind) or pa.types.is_integer(kind) for kind in types)
    }


def _has_decimal_point(tables: Sequence[pa.Table]) -> bool:
    """True if some number has a point that cannot separate thousands.

    A point cannot separate thousands if more than three digits follow it, or if the number lies between -1 and 1.
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
    """Returns the table, in which `columns` replace the columns with the same names."""
    for name, column in columns.items():
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _texts(table: pa.Table, names: Collection[str]) -> dict[str, pa.ChunkedArray]:
    """Returns those of the named columns that are texts, by name."""
    columns = zip(table.column_names, table.columns, strict=True)
    return {name: column for name, column in columns if name in names and pa.types.is_string(column.type)}


def _as_numbers(table: pa.Table, names: Collection[str]) -> pa.Table:
    """Returns the table with these columns converted back to numbers, after they were read as text."""
    texts = _texts(table, names)
    return _with(table, {name: pc.utf8_trim_whitespace(text).cast(pa.float64()) for name, text in texts.items()})


def _all_match(column: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(column, pattern), min_count=0).as_py())


def _unspaced(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Removes blanks and apostrophes between thousands. Other texts are only trimmed."""
    trimmed = pc.utf8_trim_whitespace(column)
    return pc.if_else(
        pc.match_substring_regex(trimmed, SPACED), pc.replace_substring_regex(trimmed, BLANKS, ""), trimmed
    )


def _read_numbers(table: pa.Table, kinds: Mapping[str, str]) -> pa.Table:
    """Converts text columns to numbers. `kinds` is the result of `_kinds`. Columns of kind `unclear` stay text."""
    clear = {name for name, kind in kinds.items() if kind != "unclear"}
    return _with(table, {name: _numbers(text, kinds[name]) for name, text in _texts(table, clear).items()})


def _numbers(texts: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """Converts texts with numbers to float64. `kind` says how the numbers are written (see NOTES)."""
    values = pc.utf8_ltrim(_unspaced(texts), "+")
    values = pc.replace_substring(values, "." if kind == "comma" else ",", "")
    return pc.replace_substring(values, ",", ".").cast(pa.float64())
