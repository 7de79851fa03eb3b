"""The text of a grid's cells, the same for every way of drawing."""

import math

from sparkscale.analysis.blocks import Cell, Chart, Column, Estimated, Grid, name
from sparkscale.analysis.statistics import Spread

NOTHING = "–"


def pieces(cell: Cell, column: Column) -> tuple[str, ...]:
    """A cell's text, in pieces that must not be broken: a median and its range, a value and its interval, the lines
    of a text.
    """
    match cell:
        case None:
            return (NOTHING,)
        case str():
            return tuple(cell.split("\n"))
        case Spread():
            return _spread(cell, column)
        case Estimated():
            return _estimated(cell, column)
        case _:
            return (number(cell, column),)


def text(cell: Cell, column: Column) -> str:
    """A cell's text on one line."""
    return " ".join(pieces(cell, column))


def number(value: float, column: Column, limit: float | None = None) -> str:
    """A number as its column shows it. `limit` is what an infinite one exceeds."""
    if math.isinf(value):
        return column.beyond.format(limit="any" if limit is None else f"{limit:g}")
    shown = value if column.scale == 1 else value * column.scale
    if column.large is not None and abs(value) >= column.large[0]:
        return format(shown, column.large[1])
    return format(shown, column.form)


def _spread(found: Spread, column: Column) -> tuple[str, ...]:
    """Median and range; the range is left out where it is the same number."""
    counted = (f"[{found.known} of {found.executions}]",) if column.counts and found.is_censored else ()
    median, low, high = (number(value, column, found.limit) for value in (found.median, found.low, found.high))
    if found.count > 1 and not low == high == median:
        return (median, f"({low}–{high})", *counted)
    return (median, *counted)


def _estimated(found: Estimated, column: Column) -> tuple[str, ...]:
    """Value and interval; "!" marks a doubtful one."""
    mark = ("!",) if found.is_doubtful else ()
    if found.interval is None:
        return (" ".join((number(found.value, column), *mark)),)
    low, high = (number(value, column) for value in (found.interval.low, found.interval.high))
    return (number(found.value, column), " ".join((f"[{low}, {high}]", *mark)))


def as_grid(chart: Chart) -> Grid:
    """The points of a chart as a table, for what cannot draw."""
    bounded = any(series.low for series in chart.series)
    headings = (chart.x, chart.y, *(("from", "to") if bounded else ()))
    columns = (name(""), *(Column(heading, ".4g") for heading in headings))
    rows: list[tuple[Cell, ...]] = []
    for series in chart.series:
        for position, point in enumerate(zip(series.x, series.y, strict=True)):
            bounds = (series.low[position], series.high[position]) if series.low else (None, None)
            rows.append((series.name, *point, *(bounds if bounded else ())))
    return Grid(chart.title, columns, tuple(rows), is_grouped=True)
