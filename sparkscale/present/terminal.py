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
"""Characters that a table needs beside a column's text, and beside all columns."""
LEAST_PROSE = 18
"""Characters that a column of sentences gets at least."""


def drawn(found: Iterable[Block]) -> RenderableType:
    """Everything that blocks say."""
    return Group(*(line for block in found for line in _drawn(block)))


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
            yield Line(f"• {block.text}")
        case Grid():
            yield FittedGrid(block)
        case Chart():
            yield FittedGrid(cells.as_grid(block))


@dataclass(frozen=True)
class FittedGrid:
    """A grid that is drawn as the width allows.

    Where one line for each row is too wide, ranges go below their medians, in the columns of the highest priority
    first. Where that is still too wide, the column of the highest priority is left out, and a line says which. What
    has priority 0 stays: in a terminal too narrow even for that, each row is a list.
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
    """The columns of a grid that are drawn, by position. In the `stacked` ones ranges go below medians."""

    grid: Grid
    positions: tuple[int, ...]
    stacked: frozenset[int] = frozenset()

    @property
    def left_out(self) -> list[Column]:
        return [column for number, column in enumerate(self.grid.columns) if number not in self.positions]

    @property
    def width(self) -> int:
        """Characters that the table needs at least."""
        return sum(self._width(position) + PADDING for position in self.positions) + EDGE

    def _width(self, position: int) -> int:
        """Characters that a column needs at least: those of its longest unbroken piece, or of its heading."""
        column = self.grid.columns[position]
        words = column.heading.split() if position in self.stacked else column.heading.splitlines()
        heading = max(map(cell_len, words), default=0)
        if column.is_text:
            return max(heading, LEAST_PROSE)
        return max([heading, *(cell_len(line) for row in self.grid.rows for line in self._lines(row, position))])

    def _lines(self, row: tuple[Cell, ...], position: int) -> list[str]:
        found = cells.pieces(row[position], self.grid.columns[position])
        return list(found) if position in self.stacked else [" ".join(found)]

    def _widths(self, most: int) -> dict[int, int]:
        """Characters of each column's text, by position: what it needs, and more of what is left, first for the
        columns that stay longest.
        """
        found = {position: self._width(position) for position in self.positions}
        left = most - self.width
        for position in sorted(self.positions, key=lambda position: self.grid.columns[position].priority):
            wanted = self._wanted_width(position) - found[position]
            found[position] += max(0, min(left, wanted))
            left -= max(0, min(left, wanted))
        return found

    def _wanted_width(self, position: int) -> int:
        """The width at which a column's heading and cells need no extra lines."""
        column = self.grid.columns[position]
        lines = [
            *column.heading.splitlines(),
            *(line for row in self.grid.rows for line in self._lines(row, position)),
        ]
        return max(map(cell_len, lines), default=0)

    def table(self, most: int) -> Table:
        """The table, at most so wide."""
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
            last = number == len(rows) - 1 or rows[number + 1][0] != row[0]
            same = self.grid.is_grouped and number > 0 and rows[number - 1][0] == row[0]
            shown = [Line("\n".join(self._lines(row, at))) for at in self.positions]
            if same and self.positions[0] == 0:
                shown[0] = Line()
            table.add_row(*shown, end_section=self.grid.is_grouped and last)
        return table


def listed(grid: Grid) -> Iterator[RenderableType]:
    """Each row as lines, one for each column."""
    yield Line(grid.title)
    for row in grid.rows:
        for number, (cell, column) in enumerate(zip(row, grid.columns, strict=True)):
            heading = " ".join(column.heading.split())
            line = Line(f"{heading}: {cells.text(cell, column)}")
            yield Padding(line, (0, 0, 0, 4)) if number else line


def fitted(grid: Grid, width: int) -> Layout:
    """The layout that shows most within a width in characters."""
    wanted = sorted(range(len(grid.columns)), key=lambda position: (grid.columns[position].priority, position))
    while True:
        positions = tuple(sorted(wanted))
        for stacked in range(len(wanted) + 1):
            layout = Layout(grid, positions, frozenset(wanted[len(wanted) - stacked :]))
            if layout.width <= width:
                return layout
        if not grid.columns[wanted[-1]].priority:
            return layout
        wanted.pop()
