"""Draws blocks for a terminal of any width. A number is never broken."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text as Line

from sparkscale.analysis.blocks import Answer, Block, Cell, Chart, Column, Grid, Heading, Text, Warning
from sparkscale.present import cells

PADDING, EDGE = 3, 1
"""The width in characters that borders add: PADDING for each column, EDGE once for the table."""
LEAST_PROSE = 18
"""The smallest width of a column of sentences, in characters."""


def drawn(blocks: Iterable[Block]) -> RenderableType:
    """Returns all blocks as one object that rich can print."""
    return Group(*(line for block in blocks for line in _drawn(block)))


def _drawn(block: Block) -> Iterator[RenderableType]:
    match block:
        case Heading():
            yield from ([] if block.level == 1 else [Line()])
            yield Line(block.text, style="bold")
        case Text():
            yield Line(block.text, style="dim" if block.is_note else "")
        case Warning():
            yield Line(f"Warning: {block.text}", style="bold")
        case Answer():
            text, *notes = cells.answer(block)
            yield Line(f"• {text}")
            yield from (Padding(Line(note, style="dim"), (0, 0, 0, 2)) for note in notes)
        case Grid():
            yield FittedGrid(block)
        case Chart():
            yield FittedGrid(cells.as_grid(block))


@dataclass(frozen=True)
class FittedGrid:
    """A grid that is drawn to fit the width.

    Each column has a priority number. If one line per row is too wide, ranges go below their medians, first in the
    columns with the highest number. If the table is still too wide, columns are left out, the highest number
    first, and a line below the table names them. Columns with 0 are never left out. If even these are too wide,
    each row becomes a list.
    """

    grid: Grid

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        layout = fitted(self.grid, options.max_width)
        if layout.width > options.max_width:
            yield from listed(self.grid)
            return
        yield layout.table(options.max_width)
        if layout.left_out:
            headings = ", ".join(" ".join(column.heading.split()) for column in layout.left_out)
            yield Line(f"Not shown at this width: {headings}.", style="dim")


@dataclass(frozen=True)
class Layout:
    """Says which columns of a grid are drawn: those at `positions`, counted from 0.

    In the columns that `stacked` also lists, ranges go below medians.
    """

    grid: Grid
    positions: tuple[int, ...]
    stacked: frozenset[int] = frozenset()

    @property
    def left_out(self) -> list[Column]:
        return [column for number, column in enumerate(self.grid.columns) if number not in self.positions]

    @property
    def width(self) -> int:
        """The smallest width of the table, in characters."""
        return sum(self._width(position) + PADDING for position in self.positions) + EDGE

    def _width(self, position: int) -> int:
        """Returns the smallest width of a column in characters: that of its longest line, or of its heading."""
        column = self.grid.columns[position]
        words = column.heading.split() if position in self.stacked else column.heading.splitlines()
        heading = max(map(cell_len, words), default=0)
        if column.is_text:
            return max(heading, LEAST_PROSE)
        return max([heading, *(cell_len(line) for row in self.grid.rows for line in self._lines(row, position))])

    def _lines(self, row: tuple[Cell, ...], position: int) -> list[str]:
        parts = cells.pieces(row[position], self.grid.columns[position])
        return list(parts) if position in self.stacked else [" ".join(parts)]

    def _widths(self, most: int) -> dict[int, int]:
        """Returns the width of each column's text, by position.

        `most` is the width of the table. Each column gets its smallest width. The remaining characters go first to
        the columns with the lowest priority number.
        """
        widths = {position: self._width(position) for position in self.positions}
        left = most - self.width
        for position in sorted(self.positions, key=lambda position: self.grid.columns[position].priority):
            wanted = self._wanted_width(position) - widths[position]
            widths[position] += max(0, min(left, wanted))
            left -= max(0, min(left, wanted))
        return widths

    def _wanted_width(self, position: int) -> int:
        """Returns the width at which a column's heading and cells need no extra lines."""
        column = self.grid.columns[position]
        lines = [
            *column.heading.splitlines(),
            *(line for row in self.grid.rows for line in self._lines(row, position)),
        ]
        return max(map(cell_len, lines), default=0)

    def table(self, most: int) -> Table:
        """Returns the table, at most `most` characters wide."""
        widths = self._widths(most)
        table = Table(title=Line(self.grid.title), title_justify="left", title_style="", header_style="bold")
        for position in self.positions:
            column = self.grid.columns[position]
            table.add_column(
                Line(column.heading),
                justify="left" if column.is_name or column.is_text else "right",
                width=widths[position],
                overflow="fold",
            )
        rows = self.grid.rows
        for number, row in enumerate(rows):
            ends_section = number == len(rows) - 1 or rows[number + 1][0] != row[0]
            repeats_first = self.grid.is_grouped and number > 0 and rows[number - 1][0] == row[0]
            texts = [Line("\n".join(self._lines(row, column_position))) for column_position in self.positions]
            if repeats_first and self.positions[0] == 0:
                texts[0] = Line()
            table.add_row(*texts, end_section=self.grid.is_grouped and ends_section)
        return table


def listed(grid: Grid) -> Iterator[RenderableType]:
    """Yields each row of a grid as a list, with one line for each column."""
    yield Line(grid.title)
    for row in grid.rows:
        for number, (cell, column) in enumerate(zip(row, grid.columns, strict=True)):
            heading = " ".join(column.heading.split())
            line = Line(f"{heading}: {cells.text(cell, column)}")
            yield Padding(line, (0, 0, 0, 4)) if number else line


def fitted(grid: Grid, width: int) -> Layout:
    """Returns the layout that shows the most within `width` characters.

    The layout is wider than `width` if even the columns with priority 0 do not fit.
    """
    kept_positions = sorted(
        range(len(grid.columns)), key=lambda position: (grid.columns[position].priority, position)
    )
    while True:
        positions = tuple(sorted(kept_positions))
        for stacked in range(len(kept_positions) + 1):
            layout = Layout(grid, positions, frozenset(kept_positions[len(kept_positions) - stacked :]))
            if layout.width <= width:
                return layout
        if not grid.columns[kept_positions[-1]].priority:
            return layout
        kept_positions.pop()
