"""The charts of a report as files, and the Markdown that shows them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from sparkscale.analysis.blocks import Block, Chart, Heading, Series, Text
from sparkscale.contract.errors import ConfigError
from sparkscale.present import figures, markdown
from tests.present.example import WITH_ALL

CROWDED = Chart("Many", "x", "y", tuple(Series(str(number), (1.0,), (1.0,)) for number in range(30)))


def test_each_chart_is_three_files_and_an_image_in_markdown(tmp_path: Path) -> None:
    blocks: list[Block] = [
        Heading("Report", 1),
        WITH_ALL,
        Text("between"),
        replace(WITH_ALL, title="../Up & <away>", note="A note."),
    ]
    written = figures.write(blocks, tmp_path / "deep" / "figures")
    names = sorted(file.name for file in (tmp_path / "deep" / "figures").iterdir())
    assert names == [
        f"{stem}.{form}"
        for stem in ("01-report-time-against-rows", "02-report-up-away")
        for form in ("csv", "png", "svg")
    ]
    assert {position: path.name for position, path in written.items()} == {
        1: "01-report-time-against-rows.svg",
        3: "02-report-up-away.svg",
    }
    text = markdown.written(blocks, {position: f"my figures/{path.name}" for position, path in written.items()})
    assert "](my%20figures/01-report-time-against-rows.svg)" in text
    assert "![Time against rows. seconds, over rows: xgboost from 0.1 to 10" in text
    assert "*A note.*" in text
    assert "| xgboost |" not in text


def test_a_chart_with_too_many_series_is_data_and_a_table(tmp_path: Path) -> None:
    assert figures.write([CROWDED], tmp_path) == {}
    assert [file.name for file in tmp_path.iterdir()] == ["01-many.csv"]
    assert "| 29 | 1 | 1 |" in markdown.written([CROWDED], {})


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^.*/file cannot be written: File exists\.$"):
        figures.write([WITH_ALL], tmp_path / "file")


def test_cases_without_a_result_are_in_the_table_of_a_chart() -> None:
    text = markdown.written([WITH_ALL], {})
    assert "| mllib | 20,000 | – | – | – | oom: no memory |" in text


def test_a_text_of_a_user_is_no_image_and_no_link() -> None:
    hostile = "![x](http://evil.example/t.png) [y][z] a\\| b"
    for written in (markdown.written([Text(hostile)]), markdown.written([replace(WITH_ALL, title=hostile)], {})):
        assert re.search(r"(?<!\\)\][(\[]", written) is None
    assert "a\\\\\\| b" in markdown.written([Text(hostile)])
