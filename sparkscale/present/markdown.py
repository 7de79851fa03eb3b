"""Writes blocks as Markdown, for documentation and notebooks."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from sparkscale.analysis.blocks import Answer, Block, Chart, Column, Grid, Heading, Text, Warning
from sparkscale.present import cells, chart_rows

SPECIAL = str.maketrans({"\\": "\\\\", "|": "\\|", "\n": " ", "*": "\\*", "_": "\\_", "<": "&lt;"})
"""Characters that have a meaning for Markdown within a table cell, and their replacements."""

LINK = re.compile(r"\](?=[(\[:])")
"""The middle of a link, an image or a reference."""


def written(blocks: Iterable[Block], figures: Mapping[int, str] | None = None) -> str:
    """Returns all blocks as Markdown, with a line break at the end.

    `figures` holds the address of the image of each chart, by the position of the chart among the blocks. A chart
    without an image is a table.
    """
    parts: list[str] = []
    after_answer = False
    for position, block in enumerate(blocks):
        is_answer = isinstance(block, Answer)
        figure = (figures or {}).get(position)
        text = _image(block, figure) if isinstance(block, Chart) and figure else _written(block)
        parts.append(("\n" if is_answer and after_answer else "\n\n") + text)
        after_answer = is_answer
    return "".join(parts).strip() + "\n"


def _written(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {_escaped(block.text)}"
        case Text():
            return _paragraph(block)
        case Warning():
            return f"**Warning:** {_escaped(block.text)}"
        case Answer():
            return "- " + " ".join(map(_escaped, cells.answer(block)))
        case Grid():
            return _table(block)
        case Chart():
            return "\n\n".join([_table(cells.as_grid(block)), *([f"*{_escaped(block.note)}*"] if block.note else [])])


def _image(chart: Chart, address: str) -> str:
    """Returns a chart as an image with its notes. The text of the image describes the chart in words."""
    alternative = _escaped(chart_rows.summary(chart)).replace("[", "(").replace("]", ")")
    notes = [f"*{_escaped(note)}*" for note in (chart.note, chart_rows.left_out(chart)) if note]
    return "\n\n".join([f"![{alternative}]({quote(address)})", *notes])


def _paragraph(block: Text) -> str:
    if block.is_code:
        return f"```\n{block.text}\n```"
    return f"*{_escaped(block.text)}*" if block.is_note else _escaped(block.text)


def _table(grid: Grid) -> str:
    lines = [
        _row([" ".join(column.heading.split()) for column in grid.columns]),
        _row([_rule(column) for column in grid.columns]),
        *(
            _row([cells.text(cell, column) for cell, column in zip(row, grid.columns, strict=True)])
            for row in grid.rows
        ),
    ]
    return f"{_escaped(grid.title)}\n\n" + "\n".join(lines)


def _rule(column: Column) -> str:
    return "---" if column.is_name or column.is_text else "---:"


def _row(texts: Iterable[str]) -> str:
    return f"| {' | '.join(map(_escaped, texts))} |"


def _escaped(text: str) -> str:
    """Returns the text escaped. Within backticks, only characters that would end a table cell are escaped."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without a second one
        return _plain(text)
    return "`".join(
        part.replace("|", "\\|").replace("\n", " ") if number % 2 else _plain(part)
        for number, part in enumerate(parts)
    )


def _plain(text: str) -> str:
    """Returns the text escaped, so that it is no link and no image either."""
    return LINK.sub(r"\\]", text.translate(SPECIAL))
