"""Writes reports as one HTML page that needs no network: its styles, scripts and data are in the file."""

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from sparkscale.analysis.blocks import Block, Cell, Chart, Grid, Heading
from sparkscale.contract.record import SHORT
from sparkscale.present import cells, chart_rows, charts
from sparkscale.present.writing import write_whole

EMBED = "window.vegaEmbed = vegaEmbed;"
"""The script that is bundled with Vega: it makes the function that draws a chart known to the page."""

FILTERS = ("engine", "fraction", "cluster")
"""The headings of the columns by which a page's tables and charts are filtered."""

MOST_EVIDENCE = 200
"""The largest number of records that a page lists below an answer."""


@dataclass
class Section:
    """A heading and the blocks below it. `anchor` is the section's id in the page."""

    heading: Heading
    anchor: str
    blocks: list[Block] = field(default_factory=list)


def write(blocks: Sequence[Block], file: Path) -> Path:
    """Writes the page with a report to `file` and returns its path.

    An existing file is replaced when the page is complete. Raises ConfigError if the file cannot be written.
    """
    write_whole(written(blocks), file)
    return file


def written(blocks: Sequence[Block]) -> str:
    """Returns the page with a report, which begins with a heading.

    All texts are escaped, so that names from a user's data are shown as they are.
    """
    from vl_convert import javascript_bundle

    sections = list(_sections(blocks))
    environment = Environment(
        loader=PackageLoader("sparkscale.present", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"inline": inline, "pieces": cells.pieces, "answer": cells.answer}
    drawn = [specification(block) for one in sections for block in one.blocks if isinstance(block, Chart)]
    return environment.get_template("page.html.jinja").render(
        title=sections[0].heading.text,
        sections=sections,
        choices=choices(sections),
        columns=",".join(chart_rows.CSV),
        most_evidence=MOST_EVIDENCE,
        short=SHORT,
        kind=lambda block: type(block).__name__.lower(),
        style=_source("page.css"),
        script=_source("page.js"),
        vega=compressed(javascript_bundle(EMBED)) if drawn else "",
        figures=compressed(json.dumps(drawn, separators=(",", ":"), allow_nan=False)) if drawn else "",
        keys=keys,
        left_out=chart_rows.left_out,
    )


def _sections(blocks: Sequence[Block]) -> Iterator[Section]:
    numbers = count(1)
    section: Section | None = None
    for block in blocks:
        if isinstance(block, Heading):
            if section:
                yield section
            section = Section(block, f"part-{next(numbers)}")
        elif section:
            section.blocks.append(_uncrowded(block))
        else:
            raise ValueError("A report must begin with a heading.")
    if section:
        yield section


def _uncrowded(block: Block) -> Block:
    """Returns the block unchanged, but a chart with more series than a reader can tell apart as a table."""
    if isinstance(block, Chart) and len(chart_rows.names(block)) > charts.MOST:
        return cells.as_grid(block)
    return block


def choices(sections: Sequence[Section]) -> dict[str, list[str]]:
    """Returns the values by which the page can be filtered, for each of FILTERS with several values.

    They are in the order of their first appearance.
    """
    found: dict[str, dict[str, None]] = {name: {} for name in FILTERS}
    for section in sections:
        found["cluster"] |= dict.fromkeys([section.heading.cluster] if section.heading.cluster else [])
        for block in section.blocks:
            if isinstance(block, Chart) and block.kind != "waterfall":  # its rows are steps, not engines
                found["engine"] |= dict.fromkeys(series.name for series in block.series)
                found["engine"] |= dict.fromkeys(one.series for one in block.failed)
                found["fraction"] |= dict.fromkeys(one for series in block.series for one in series.fractions)
            elif isinstance(block, Grid):
                for row in block.rows:
                    for name, value in keys(block, row).items():
                        found[name][value] = None
    return {name: list(values) for name, values in found.items() if len(values) > 1}


def keys(grid: Grid, row: Sequence[Cell]) -> dict[str, str]:
    """Returns the engine, fraction and cluster of a table's row, as far as the table has these columns."""
    cells_by_heading = zip(grid.columns, row, strict=True)
    return {
        column.heading: cell
        for column, cell in cells_by_heading
        if column.heading in FILTERS and isinstance(cell, str)
    }


def inline(text: str) -> Markup:
    """Returns a sentence as HTML. Text between backticks becomes code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without a second one
        return escape(text)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


def specification(chart: Chart) -> dict[str, Any]:
    """Returns the chart's specification for the page, with a description in words.

    It is as wide as its place, and has the page's colours.
    """
    specified = charts.specification(chart, width="container", background=None)
    return {**specified, "description": chart_rows.summary(chart)}


def _source(name: str) -> Markup:
    from importlib.resources import files

    return Markup(files(__name__).joinpath(name).read_text("utf-8"))


def compressed(text: str) -> str:
    """Returns a text compressed by gzip, in base64. It makes reports small, and equal texts stay equal."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode("ascii")
