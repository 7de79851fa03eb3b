"""Exports records as JSON or CSV."""

import json
from pathlib import Path
from typing import Literal

from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.store.record_file import flat

Format = Literal["json", "csv"]


def export(records: list[RunRecord], form: Format, to: Path | None) -> str | None:
    """Writes records to `to`, or returns them as text if `to` is None.

    JSON is an array of whole records. CSV has one column per field, with nested names joined by dots. Raises
    ConfigError if the file cannot be written.
    """
    if form == "json":
        text = json.dumps([record.model_dump(mode="json") for record in records], indent=1)
    else:
        import pandas as pd

        text = pd.DataFrame([flat(record) for record in records]).to_csv(index=False)
    if to is None:
        return text
    try:
        to.write_text(text)
    except OSError as error:
        raise ConfigError(f"{to} cannot be written: {error.strerror}.") from error
    return None
