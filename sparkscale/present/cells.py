"""Writes the cells of a grid as texts. The texts are the same in every output format."""

import math

from sparkscale.analysis.blocks import Answer, Cell, Chart, Column, Estimated, Grid, name, prose
from sparkscale.analysis.statistics import Spread

NOTHING = "–"

DIGITS, WHOLE = ".5g", 1e4
"""The format of the numbers of a chart in a table. Numbers from WHOLE on are printed without decimals."""


def pieces(cell: Cell, column: Column) -> tuple[str, ...]:
    """Returns a cell's text in pieces that must not be broken.

    The pieces are a median and its range, a value and its interval, or the lines of a text.
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
    """Returns a cell's text on one line."""
    return " ".join(pieces(cell, column))


def number(value: float, column: Column, limit: float | None = None) -> str:
    """Returns a number in the format of its column.

    An infinite number stands for a value beyond `limit`, such as the time of a case that ran into its deadline.
    """
    if math.isinf(value):
        return column.beyond.format(limit="any" if limit is None else f"{limit:g}")
    shown = value if column.scale == 1 else value * column.scale
    if column.large is not None and abs(value) >= column.large[0]:
        return format(shown, column.large[1])
    return format(shown, column.form)


def _spread(spread: Spread, column: Column) -> tuple[str, ...]:
    """Returns median and range as texts. The range is left out if it prints as the same number."""
    counted = (f"[{spread.known} of {spread.executions}]",) if column.counts and spread.is_censored else ()
    median, low, high = (number(value, column, spread.limit) for value in (spread.median, spread.low, spread.high))
    if spread.count > 1 and not low == high == median:
        return (median, f"({low}–{high})", *counted)
    return (median, *counted)


def _estimated(estimated: Estimated, column: Column) -> tuple[str, ...]:
    """Returns value and interval as texts, with "!" if they are doubtful."""
    mark = ("!",) if estimated.is_doubtful else ()
    if estimated.interval is None:
        return (" ".join((number(estimated.value, column), *mark)),)
    if column.is_relative and estimated.value and math.isfinite(estimated.value):
        farthest = max(abs(end - estimated.value) for end in (estimated.interval.low, estimated.interval.high))
        share = "∞" if math.isinf(farthest) else f"{farthest / abs(estimated.value):.0%}".replace("%", " %")
        return (number(estimated.value, column), " ".join(("±", share, *mark)))
    low, high = (number(value, column) for value in (estimated.interval.low, estimated.interval.high))
    return (number(estimated.value, column), " ".join((f"[{low}, {high}]", *mark)))


def answer(block: Answer) -> list[str]:
    """Returns the lines of an answer: its sentences, and what would resolve it.

    An answer to a question begins with its subject and its verdict.
    """
    if not block.question:
        return [block.text]
    verdict = f"{block.verdict[:1].upper()}{block.verdict[1:]}. " if block.verdict else ""
    resolve = [f"To resolve it, measure {block.would_resolve}."] if block.would_resolve else []
    return [f"{block.subject}: {verdict}{block.text}", *resolve]


def as_grid(chart: Chart) -> Grid:
    """Returns the points of a chart as a table, for output formats without charts.

    Cases without a result come last, with their reasons.
    """
    bounded = any(series.low for series in chart.series)
    values = (chart.x,) if chart.is_ranking else (chart.x, chart.y)
    headings = (*values, *(("from", "to") if bounded else ()))
    columns = (
        name(""),
        *(Column(heading, DIGITS, large=(WHOLE, ",.0f")) for heading in headings),
        *((prose("no result"),) if chart.failed else ()),
    )
    rows: list[tuple[Cell, ...]] = []
    for series in chart.series:
        for position, point in enumerate(
            zip(*((series.x,) if chart.is_ranking else (series.x, series.y)), strict=True)
        ):
            bounds = (series.low[position], series.high[position]) if series.low else (None, None)
            rows.append((series.name, *point, *(bounds if bounded else ()), *((None,) if chart.failed else ())))
    for one in chart.failed:
        at = () if chart.is_ranking else (one.x,)
        rows.append((one.series, *at, *[None] * (len(headings) - len(at)), one.reason))
    return Grid(chart.title, columns, tuple(rows), is_grouped=True)
