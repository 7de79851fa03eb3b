"""Makes one schema for all files of a user's table, although a column may have different types in different files.

Types are combined if there is only one way to do so. Integers and floats become numbers, categories become texts, and
times of different zones become UTC. All other combinations raise an error.
"""

import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from sparkscale.contract.errors import DatasetError
from workloads.datasets.table_values import plain, use_of

OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?")
"""A time zone that is written as an offset from UTC."""
WORDS = {"number": "a number", "text": "text", "date": "a date", "timestamp": "a timestamp"}


def common_schema(schemas: Iterable[tuple[str, pa.Schema]]) -> pa.Schema:
    """Returns a schema with all columns of these schemas, in the order in which they first occur.

    `schemas` holds pairs of a file's name and its schema. Raises DatasetError if the types of a column do not fit
    together, or if this machine does not know a time zone.
    """
    types: dict[str, tuple[str, pa.DataType]] = {}
    for file, schema in schemas:
        for field in schema:
            kind = _readable(file, field)
            if field.name not in types or pa.types.is_null(types[field.name][1]):
                types[field.name] = file, kind
            elif not pa.types.is_null(kind):
                first, before = types[field.name]
                types[field.name] = first, _together(field.name, (first, before), (file, kind))
    return pa.schema([pa.field(name, kind) for name, (_, kind) in types.items()])


def converted(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Converts values to the type that `common_schema` chose for their column.

    Only digits that a float cannot hold, and fractions of a microsecond, may be lost.
    """
    if values.type == kind:
        return values
    values = plain(values)
    if pa.types.is_boolean(values.type) and pa.types.is_floating(kind):
        values = values.cast(pa.int8())
    return values.cast(kind, safe=False)


def _readable(file: str, field: pa.Field) -> pa.DataType:
    """Returns the type with which a column is read. Half floats become floats, and zones get names that Arrow knows.

    Raises DatasetError if this machine does not know the time zone.
    """
    kind = field.type
    if pa.types.is_float16(kind):
        return pa.float32()
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        return kind
    zone = _zone(kind.tz)
    try:
        pc.hour(pa.array([0], pa.timestamp(kind.unit, zone)))
    except pa.ArrowException:
        raise DatasetError(
            f"{file}: the column '{field.name}' has the time zone '{kind.tz}', which this machine does not know: "
            "write it in UTC."
        ) from None
    return pa.timestamp(kind.unit, zone)


def _zone(name: str) -> str:
    """Returns the name of a time zone in Arrow's spelling."""
    offset = OFFSET.fullmatch(name)
    if offset:
        return f"{offset[1]}{int(offset[2]):02d}:{offset[3] or '00'}"
    return "UTC" if name == "Z" else name


def _together(name: str, earlier: tuple[str, pa.DataType], later: tuple[str, pa.DataType]) -> pa.DataType:
    """Returns the type that can hold the values of both types. Raises DatasetError if there is no such type.

    `earlier` and `later` are pairs of a file's name and the type of the column in that file.
    """
    (first, before), (second, after) = earlier, later
    if before == after:
        return before
    uses = use_of(before), use_of(after)
    if uses == ("none", "none"):
        return before  # such columns are not read
    if uses == ("number", "number"):
        both = _numbers(before, after)
    elif uses == ("text", "text"):
        both = pa.string()
    elif "timestamp" in uses and set(uses) <= {"date", "timestamp"}:
        both = _moments(before, after)
    else:
        both = pa.date32() if uses == ("date", "date") else None
    if both is None:
        raise DatasetError(
            f"The column '{name}' is {_words(before)} in {first}, and {_words(after)} in {second}: write both files "
            "with the same type."
        )
    return both


def _numbers(before: pa.DataType, after: pa.DataType) -> pa.DataType | None:
    """Returns the number type that can hold the values of both types.

    Returns None if one is a time of day or a duration, and the other is of another kind.
    """
    before, after = (kind.value_type if pa.types.is_dictionary(kind) else kind for kind in (before, after))
    spans = [pa.types.is_time(kind) or pa.types.is_duration(kind) for kind in (before, after)]
    if any(spans):
        if pa.types.is_time(before) and pa.types.is_time(after):
            return pa.time64("us")
        return pa.duration("us") if pa.types.is_duration(before) and pa.types.is_duration(after) else None
    whole = [pa.types.is_integer(kind) and not pa.types.is_uint64(kind) for kind in (before, after)]
    return pa.int64() if all(whole) else pa.float64()


def _moments(before: pa.DataType, after: pa.DataType) -> pa.DataType | None:
    """Returns a timestamp type in microseconds; None if only one of the types has a zone.

    If both types have the same zone, the result has this zone. If their zones differ, it has UTC.
    """
    before, after = (kind.value_type if pa.types.is_dictionary(kind) else kind for kind in (before, after))
    zones = [getattr(kind, "tz", None) for kind in (before, after)]
    if None in zones and zones != [None, None]:
        return None
    return pa.timestamp("us", zones[0] if zones[0] == zones[1] else "UTC")


def _words(kind: pa.DataType) -> str:
    """Returns words for a type that fit into a message, such as "a number"."""
    use = use_of(kind)
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return "a time of day" if pa.types.is_time(kind) else "a duration"
    if use == "timestamp":
        return f"a timestamp {'of the zone ' + kind.tz if getattr(kind, 'tz', None) else 'without a zone'}"
    return WORDS.get(use, f"of the type {kind}")
