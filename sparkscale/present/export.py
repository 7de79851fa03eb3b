"""Exports records as JSON, CSV or Parquet."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord

Format = Literal["json", "csv", "parquet"]


def export(records: list[RunRecord], form: Format, to: Path | None) -> str | None:
    """Writes records to `to`, or returns them as text if `to` is None.

    JSON is an array of whole records. CSV and Parquet have one column per field, with nested names joined by dots.
    Raises ConfigError if the file cannot be written, or for Parquet without `to`, because it is binary.
    """
    if form == "parquet":
        if to is None:
            raise ConfigError("Parquet is binary: name a file with --to FILE.parquet.")
        _frame(records).to_parquet(_writable(to), index=False)
        return None
    if form == "json":
        text = json.dumps([record.model_dump(mode="json") for record in records], indent=1)
    else:
        text = _frame(records).to_csv(index=False)
    if to is None:
        return text
    _writable(to).write_text(text)
    return None


def _writable(path: Path) -> Path:
    try:
        path.open("ab").close()
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _frame(records: list[RunRecord]) -> Any:
    import pandas as pd

    return pd.DataFrame([_flat(record.model_dump(mode="json")) for record in records])


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns a flat mapping with nested names joined by dots.

    Parameters differ by case, so they become one JSON text.
    """
    flat: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if name == "case.params":
            flat[name] = json.dumps(item, sort_keys=True)
        elif isinstance(item, Mapping):
            flat |= _flat(item, f"{name}.")
        else:
            flat[name] = item
    return flat
