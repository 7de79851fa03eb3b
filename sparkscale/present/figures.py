"""Writes the charts of a report as files: each as SVG, PNG and CSV."""

import re
from collections.abc import Sequence
from pathlib import Path

from sparkscale.analysis.blocks import Block, Chart, Heading
from sparkscale.contract.errors import ConfigError
from sparkscale.present import chart_rows, charts

LONGEST = 60
"""The largest number of characters of a title in a file's name."""


def write(blocks: Sequence[Block], folder: Path) -> dict[int, Path]:
    """Writes each chart as SVG, PNG and CSV into a folder, which is made if it is missing.

    Names begin with a number, so that the charts are in the order of the report. Other files in the folder stay.
    Returns the path of each SVG file by the position of the chart among the blocks. A chart with more series than a
    reader can tell apart has only a CSV file, and no path. Raises ConfigError if a file cannot be written.
    """
    written: dict[int, Path] = {}
    part, drawn = "", []
    for position, block in enumerate(blocks):
        if isinstance(block, Heading):
            part = block.text.partition(" on ")[0].rpartition(".")[2]
        elif isinstance(block, Chart):
            drawn.append((position, part, block))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, (position, part, chart) in enumerate(drawn, 1):
            file = folder / "-".join(filter(None, (f"{number:02}", _slug(part), _slug(chart.title))))
            file.with_suffix(".csv").write_text(chart_rows.csv(chart), "utf-8", newline="")
            if len(chart_rows.names(chart)) <= charts.MOST:
                written[position] = file.with_suffix(".svg")
                written[position].write_text(charts.svg(chart), "utf-8")
                file.with_suffix(".png").write_bytes(charts.png(chart))
    except OSError as error:
        raise ConfigError(f"{error.filename or folder} cannot be written: {error.strerror}.") from error
    return written


def _slug(title: str) -> str:
    """Returns a title as a part of a file's name: lower case, with hyphens between the words."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower())[:LONGEST].strip("-")
