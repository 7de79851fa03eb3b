"""Reads the CSV file of measurements that others published: one row per measurement."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from sparkscale.contract.case import Device, Placement, Task
from sparkscale.contract.declared import Direction
from sparkscale.contract.errors import ConfigError, plain
from sparkscale.contract.phrases import count

REQUIRED = ("engine", "rows", "seconds")
RESERVED = ("set", "arguments", "capacity")
"""Names that the parameters of cases already use. No column may have one of these names."""
MEMORY = ("memory_gb", "ram_gb")
LIMIT = 1e15
"""Larger numbers are mistakes. Whole numbers below it are exact as floats."""
QUALITY = "quality"
"""The column of a quality without a known name. A higher value may be better or worse, so it is not judged."""


@dataclass(frozen=True)
class KnownQuality:
    """A quality that a column's name states. Its values lie between `least` and `most`."""

    heading: str
    direction: Direction
    task: Task
    least: float = -math.inf
    most: float = math.inf


KNOWN_QUALITIES = {
    "auc": KnownQuality("AUC", "higher", "classification", 0.0, 1.0),
    "accuracy": KnownQuality("accuracy", "higher", "classification", 0.0, 1.0),
    "log_loss": KnownQuality("log-loss", "lower", "classification", 0.0),
    "rmse": KnownQuality("RMSE", "lower", "regression", 0.0),
    "r2": KnownQuality("R²", "higher", "regression", most=1.0),
}


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value) or "_" in text:
        raise ValueError(f"{text!r} is no number: write digits with a decimal point, or nothing if it is not known")
    return value


def _positive(text: str | None) -> float | None:
    if text is None:
        return None
    value = _number(text)
    if not 0 < value < LIMIT:
        raise ValueError(f"{text} must be above 0 and below {LIMIT:g}")
    return value


def _whole(text: str) -> int:
    value = _number(text)
    if not value.is_integer() or value >= LIMIT:
        raise ValueError(f"{text} is no whole number below {LIMIT:g}")
    return int(value)


def _whole_from_1(text: str) -> int:
    value = _whole(text)
    if value < 1:
        raise ValueError(f"{text} must be 1 or more")
    return value


def _whole_from_0(text: str) -> int:
    value = _whole(text)
    if value < 0:
        raise ValueError(f"{text} must be 0 or more")
    return value


def _qualities(texts: Mapping[str, str]) -> dict[str, float]:
    """Returns the numbers in the quality columns. Raises ValueError for a value that is not possible."""
    values = {}
    for name, text in texts.items():
        try:
            value = _number(text)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error
        known = KNOWN_QUALITIES.get(name)
        if known and known.least == 0 and known.most == 1 < value <= 100:
            raise ValueError(f"{name} {text} must be from 0 to 1: divide percentages by 100")
        if math.isinf(value) or (known and not known.least <= value <= known.most):
            raise ValueError(f"{name} {text} is not possible")
        values[name] = value
    return values


def _parameter(text: str) -> int | float | str:
    """Returns a whole number, another number, or a text. Equal numbers, such as 10 and 10.0, give equal results."""
    try:
        value = _number(text)
    except ValueError:
        return text
    if math.isinf(value):
        return text
    return int(value) if value.is_integer() else value


Positive = Annotated[float | None, BeforeValidator(_positive)]
Count = Annotated[int, BeforeValidator(_whole_from_1)]


class Measurement(BaseModel):
    """One row of the file. A value that the row does not have is None."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: int
    engine: str = Field(min_length=1)
    rows: Count
    seconds: Positive = None
    outcome: Literal["ok", "oom", "timeout", "failed"] = "ok"
    cores: Count | None = None
    workers: Count | None = None
    hardware: str | None = None
    where: str | None = None
    placement: Placement | None = None
    device: Device = "cpu"
    workload: str | None = None
    dataset: str | None = None
    round: Annotated[int, BeforeValidator(_whole_from_0)] = 0
    memory_gb: Positive = None
    quality: Annotated[dict[str, float], BeforeValidator(_qualities)] = {}
    params: dict[str, int | float | str] = {}

    @model_validator(mode="after")
    def _has_seconds(self) -> "Measurement":
        if self.outcome == "ok" and self.seconds is None:
            raise ValueError("seconds is empty, although the outcome is ok")
        return self

    @property
    def runs_on(self) -> Placement:
        """The stated placement, or `spark` if the engine's name contains "spark" or "mllib" in any case."""
        is_spark = any(word in self.engine.lower() for word in ("spark", "mllib"))
        return self.placement or ("spark" if is_spark else "node")

    @property
    def cluster(self) -> str:
        """The machines in words, such as "r4.8xlarge, cluster, 10 workers, 320 cores"."""
        workers = count(self.workers, "worker") if self.workers else None
        cores = count(self.cores, "core") if self.cores else "cores not stated"
        return ", ".join(filter(None, (self.hardware, self.where, workers, cores)))


@dataclass(frozen=True)
class Table:
    """The measurements of a file, and the number of skipped rows, which have no measurement."""

    measurements: tuple[Measurement, ...]
    skipped: int


def read(path: Path, content: bytes) -> Table:
    """Returns the measurements in the content of a CSV file. `path` names the file in messages.

    Raises ConfigError, with the number of the line, if the content does not have the documented format.
    """
    lines = _lines(path, content)
    _, header = next(lines, (0, []))
    if not header:
        raise ConfigError(f"{path} is empty: its first line must name the columns, such as {','.join(REQUIRED)}.")
    _check_header(path, header)
    measurements, skipped = [], 0
    for line, values in lines:
        if len(values) != len(header):
            raise ConfigError(f"{path}, line {line} has {count(len(values), 'value')}, its header has {len(header)}.")
        row = {name: value for name, value in zip(header, values, strict=True) if value}
        if "seconds" not in row and "outcome" not in row:
            skipped += 1
        else:
            measurements.append(_measurement(path, line, row))
    if not measurements:
        raise ConfigError(f"{path} has no measurement: no row has seconds or an outcome.")
    return Table(tuple(measurements), skipped)


def _lines(path: Path, content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yields the line number and the values of each row, without spaces around values. Skips blank lines."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line} is not UTF-8: save the file as CSV in UTF-8.") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for values in reader:
            if values:
                yield reader.line_num, [value.strip() for value in values]
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num} is not valid CSV: {error}.") from error


def _check_header(path: Path, header: Sequence[str]) -> None:
    where = f"{path}, line 1"
    for character, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and character in header[0]:
            raise ConfigError(f"{where}: columns are separated by {name}: separate them by commas.")
    for name in REQUIRED:
        if name not in header:
            raise ConfigError(f"{where}: the column '{name}' is missing: the columns are {', '.join(header)}.")
    for number, name in enumerate(header, 1):
        if not name:
            raise ConfigError(f"{where}: column {number} has no name.")
        if name in header[: number - 1]:
            raise ConfigError(f"{where}: two columns have the name '{name}'.")
        if name in RESERVED:
            raise ConfigError(f"{where}: a column cannot have the name '{name}': choose another name.")
    if all(name in header for name in MEMORY):
        raise ConfigError(f"{where}: {' and '.join(MEMORY)} mean the same: keep one of them.")


def _measurement(path: Path, line: int, row: Mapping[str, str]) -> Measurement:
    """Returns the measurement of a row. `row` maps columns to texts. Raises ConfigError if a value is wrong."""
    own = Measurement.model_fields.keys() - {"line", "quality", "params", "memory_gb"}
    qualities = (QUALITY, *KNOWN_QUALITIES)
    values: dict[str, Any] = {name: text for name, text in row.items() if name in own}
    values["memory_gb"] = next((row[name] for name in MEMORY if name in row), None)
    values["quality"] = {name: text for name, text in row.items() if name in qualities}
    others = {name: text for name, text in row.items() if name not in (*own, *MEMORY, *qualities)}
    values["params"] = {name: _parameter(text) for name, text in others.items()}
    try:
        return Measurement(line=line, **values)
    except ValidationError as error:
        raise ConfigError(f"{path}, line {line}: {_reason(error, row)}.") from error


def _reason(error: ValidationError, row: Mapping[str, str]) -> str:
    """Returns the first fault of a row as a sentence without a full stop."""
    fault = error.errors()[0]
    names = [str(part) for part in fault["loc"]]
    column = next((name for name in MEMORY if name in row), "") if names[:1] == ["memory_gb"] else "".join(names[:1])
    if fault["type"] == "missing":
        return f"{column} is empty"
    if fault["type"] == "literal_error":
        return f"{column} is {row[column]!r}: choose {fault['ctx']['expected']}"
    reason = plain(fault["msg"])
    return reason if column in ("", QUALITY) else f"{column} {reason}"
