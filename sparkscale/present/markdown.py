"""Writes blocks as Markdown, for documentation and notebooks."""

from collections.abc import Iterable

from sparkscale.analysis.blocks import Answer, Block, Chart, Column, Grid, Heading, Text, Warning
from sparkscale.present import cells

SPECIAL = str.maketrans({"|": "\\|", "\n": " ", "*": "\\*", "_": "\\_", "<": "&lt;"})
"""Characters that have a meaning for Markdown within a table cell, and their replacements."""


def written(blocks: Iterable[Block]) -> str:
    """Returns all blocks as Markdown, with a line break at the end."""
    parts: list[str] = []
    after_answer = False
    for block in blocks:
        is_answer = isinstance(block, Answer)
        parts.append(("\n" if is_answer and after_answer else "\n\n") + _written(block))
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
            return _table(cells.as_grid(block))


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
        return text.translate(SPECIAL)
    return "`".join(
        part.replace("|", "\\|").replace("\n", " ") if number % 2 else part.translate(SPECIAL)
        for number, part in enumerate(parts)
    )
