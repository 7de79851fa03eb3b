"""Writes reports as one HTML page that needs no network: its styles, scripts and data are in the file."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from sparkscale.analysis.blocks import Block, Cell, Chart, Column, Grid, Heading
from sparkscale.contract.errors import ConfigError
from sparkscale.present import cells, charts

EMBED = "window.vegaEmbed = vegaEmbed;"
"""The script that is bundled with Vega: it makes the function that draws a chart known to the page."""

ENGINE = "engine"
"""The heading of the column by which a page's tables are filtered."""


@dataclass
class Section:
    """A heading and the blocks below it. `anchor` is the section's id in the page."""

    heading: Heading
    anchor: str
    blocks: list[Block] = field(default_factory=list)


def write(reports: Sequence[Sequence[Block]], file: Path) -> Path:
    """Writes the page with these reports to `file` and returns its path.

    An existing file is replaced when the page is complete. Raises ConfigError if the file cannot be written.
    """
    text = written(reports)
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        aside.write_text(text, "utf-8")
        aside.replace(file)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise ConfigError(f"{file} cannot be written: {error.strerror}.") from error
    return file


def written(reports: Sequence[Sequence[Block]]) -> str:
    """Returns the page with one or more reports.

    Each report begins with a heading of level 1. All texts are escaped, so that names from a user's data are shown as
    they are.
    """
    from vl_convert import javascript_bundle

    numbers = count(1)
    parts = [list(_sections(blocks, numbers)) for blocks in reports]
    environment = Environment(
        loader=PackageLoader("sparkscale.present", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"inline": inline, "pieces": cells.pieces, "answer": cells.answer, "grid": cells.as_grid}
    charted = [block for sections in parts for section in sections for block in section.blocks]
    has_charts = any(isinstance(block, Chart) for block in charted)
    return environment.get_template("page.html.jinja").render(
        title=parts[0][0].heading.text,
        reports=parts,
        engines=engines(charted),
        kind=lambda block: type(block).__name__.lower(),
        style=_source("page.css"),
        script=_source("page.js"),
        vega=Markup(_safe_script(javascript_bundle(EMBED))) if has_charts else "",
        specification=specification,
        chart_number=count(1).__next__,
        engine_of=engine_of,
        summary=summary,
    )


def _sections(blocks: Sequence[Block], numbers: Iterator[int]) -> Iterator[Section]:
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
    if isinstance(block, Chart) and len(charts.names(block)) > charts.MOST:
        return cells.as_grid(block)
    return block


def engines(blocks: Sequence[Block]) -> list[str]:
    """Returns the names of all engines in tables and charts, in the order of their first appearance."""
    names: dict[str, None] = {}
    for block in blocks:
        if isinstance(block, Chart):
            names |= dict.fromkeys(series.name for series in block.series)
        elif isinstance(block, Grid):
            names |= dict.fromkeys(name for row in block.rows if (name := engine_of(block, row)))
    return list(names)


def engine_of(grid: Grid, row: Sequence[Cell]) -> str:
    """Returns the engine of a table's row. Empty if the table has no column of engines."""
    for column, cell in zip(grid.columns, row, strict=True):
        if column.heading == ENGINE and isinstance(cell, str):
            return cell
    return ""


def inline(text: str) -> Markup:
    """Returns a sentence as HTML. Text between backticks becomes code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without a second one
        return escape(text)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


def specification(chart: Chart) -> dict[str, Any]:
    """Returns the chart's specification for the page: as wide as its place, in the page's colours."""
    return charts.specification(chart, width="container", background=None)


def summary(chart: Chart) -> str:
    """Returns a chart in words: what it shows, and the range of each series."""
    column = Column("", ".3g")
    if chart.is_ranking:
        medians = [f"{series.name} {cells.number(series.x[0], column)}" for series in chart.series]
        without = [f"{one.series} has no result: {one.reason}" for one in chart.failed]
        return f"{chart.title}. {chart.x}: {'; '.join([*medians, *without])}."
    parts = [
        f"{series.name} from {cells.number(min(series.y), column)} to {cells.number(max(series.y), column)}"
        for series in chart.series
    ]
    failed = [f"{one.series} has no result at {cells.number(one.x, column)}: {one.reason}" for one in chart.failed]
    return f"{chart.title}. {chart.y}, over {chart.x}: {'; '.join([*parts, *failed])}."


def _source(name: str) -> Markup:
    from importlib.resources import files

    return Markup(files(__name__).joinpath(name).read_text("utf-8"))


def _safe_script(text: str) -> str:
    """Returns a script without a text that would end its element."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
