"""Records as JSON and CSV."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest

from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.present.export import export
from tests.builders import record

RECORDS = [record("a"), record("b")]


def test_json_reads_back_as_the_same_records() -> None:
    text = export(RECORDS, "json", None)
    assert text is not None
    assert [RunRecord.model_validate(content) for content in json.loads(text)] == RECORDS


def test_csv_has_a_column_per_field() -> None:
    frame = pd.read_csv(io.StringIO(export(RECORDS, "csv", None) or ""))
    assert list(frame["id"]) == ["a", "b"]
    assert frame["seconds.fit"].tolist() == [1.25, 1.25]
    assert json.loads(frame["case.params"][0])["arguments"] == {"x": 1}


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        export(RECORDS, "json", tmp_path / "absent" / "records.json")


def test_an_export_without_records_is_an_empty_array() -> None:
    assert json.loads(export([], "json", None) or "") == []
