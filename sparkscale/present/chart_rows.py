"""Turns charts into rows of numbers, for drawings and as CSV, and into words."""

import io
import math
from collections import defaultdict
from collections.abc import Sequence
from csv import DictWriter
from typing import Any

from sparkscale.analysis.blocks import Chart, Dot, Series
from sparkscale.contract.phrases import number

EDGE, LEVEL = 8, 13
"""The distance in pixels between the upper edge of a chart and the marks of the first series without a result, and
between these and the marks of the next series."""

DIGITS = 6
"""The significant digits of the numbers in a chart. More cannot be seen, and would make reports large."""

MOST_DOTS = 20
"""The largest number of executions that are drawn as dots at one point of a series."""

CSV = (
    "part",
    "name",
    "fraction",
    "x",
    "y",
    "low",
    "high",
    "round",
    "record",
    "software",
    "reason",
    "axis",
    "value",
    "label",
)
"""The columns of a chart's data as CSV. The page writes the same."""


def csv(chart: Chart) -> str:
    """Returns the data of the chart as CSV: a line for each point, execution, fit and case without a result."""
    file = io.StringIO()
    writer = DictWriter(file, CSV, extrasaction="ignore", restval="")
    writer.writeheader()
    for part, rows in parts(chart).items():
        writer.writerows({key: _no_formula(value) for key, value in {**row, "part": part}.items()} for row in rows)
    return file.getvalue()


def _no_formula(value: Any) -> Any:
    """Returns a cell of a CSV file. A spreadsheet would run a text that begins with =, +, - or @ as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def names(chart: Chart) -> list[str]:
    """Returns the names of the chart's series. Several lines may belong to one of them."""
    found = [one.name for one in (*chart.series, *chart.fits)]
    return list(dict.fromkeys([*found, *(one.series for one in chart.failed)]))


def summary(chart: Chart) -> str:
    """Returns a chart in words: what it shows, the range of each series, and its lines across."""
    if chart.is_ranking:
        medians = [f"{series.name} {number(series.x[0])}" for series in chart.series]
        without = [f"{one.series} has no result: {one.reason}" for one in chart.failed]
        return f"{chart.title}. {chart.x}: {'; '.join([*medians, *without])}."
    parts = [f"{series.name} from {number(min(series.y))} to {number(max(series.y))}" for series in chart.series]
    failed = [f"{one.series} has no result at {number(one.x)}: {one.reason}" for one in chart.failed]
    across = [f"{limit.label} at {number(limit.value)}" for limit in chart.limits]
    return f"{chart.title}. {chart.y}, over {chart.x}: {'; '.join([*parts, *failed, *across])}."


def left_out(chart: Chart) -> str:
    """Returns a sentence about executions that are not drawn. Empty if each one is a dot.

    Of a point with more than MOST_DOTS executions, that many are drawn: the lowest, the highest, and others at even
    steps between them.
    """
    drawn = len(_drawn(chart))
    if drawn == len(chart.dots):
        return ""
    return (
        f"{drawn:,} of {len(chart.dots):,} executions are drawn as dots: at most {MOST_DOTS} at each point, from the "
        "lowest to the highest at even steps. Medians and ranges are those of all."
    )


def _drawn(chart: Chart) -> list[Dot]:
    """Returns the dots to draw (see `left_out`)."""
    points = {(series.name, x) for series in chart.series for x in series.x}
    by_point: dict[tuple[str, float | str], list[Dot]] = defaultdict(list)
    for dot in chart.dots:
        # where executions of one point differ in x, the fraction tells which point it is
        is_at_point = (dot.series, dot.x) in points and not chart.is_ranking
        by_point[dot.series, dot.x if is_at_point else dot.fraction].append(dot)
    drawn = []
    for of_point in by_point.values():
        if len(of_point) <= MOST_DOTS:
            drawn += of_point
            continue
        ordered = sorted(of_point, key=lambda dot: (dot.y, dot.x))
        last = len(ordered) - 1
        drawn += [ordered[round(number * last / (MOST_DOTS - 1))] for number in range(MOST_DOTS)]
    return drawn


def parts(chart: Chart) -> dict[str, list[dict[str, Any]]]:
    """Returns the rows of each part of a chart, in the order in which the parts are drawn."""
    points = _points(chart.series, chart.is_ranking)
    levels = {name: level for level, name in enumerate(dict.fromkeys(one.series for one in chart.failed))}
    failed = [
        {
            "name": one.series,
            "x": one.x,
            "reason": one.reason,
            "fraction": one.fraction,
            "level": EDGE + LEVEL * levels[one.series],
        }
        for one in chart.failed
    ]
    parts = {
        "steps": _steps(chart) if chart.kind == "waterfall" else [],
        "limits": [{**vars(one), "of": list(one.of)} for one in chart.limits if math.isfinite(one.value)],
        "fits": _points(chart.fits),
        "edges": [row for row, one in zip(failed, chart.failed, strict=True) if one.is_edge],
        "points": points,
        "executions": [
            {
                "name": dot.series,
                "x": dot.x,
                "y": dot.y,
                "round": dot.round,
                "record": dot.record,
                "fraction": dot.fraction,
                "software": dot.software,
            }
            for dot in _drawn(chart)
            if math.isfinite(dot.x) and math.isfinite(dot.y)
        ],
        "failed": failed,
    }
    return {name: [_compact(row) for row in rows] for name, rows in parts.items()}


def _compact(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a row without empty values. Its numbers have DIGITS significant digits, and whole numbers all."""
    return {
        key: float(f"{value:.{DIGITS}g}") if isinstance(value, float) and not value.is_integer() else value
        for key, value in row.items()
        if not (value is None or (isinstance(value, str | list) and not value))  # a NumPy number is no text
    }


def _steps(chart: Chart) -> list[dict[str, Any]]:
    """Returns the bars of a waterfall: each from the median before it to its own."""
    steps, before = [], 0.0
    for series in chart.series:
        steps.append({"name": series.name, "low": before, "high": series.x[0]})
        before = series.x[0]
    return steps


def _points(series: Sequence[Series], is_ranking: bool = False) -> list[dict[str, Any]]:
    rows = []
    has_ranges = any(one.low for one in series)
    for position, one in enumerate(series):
        fractions = one.fractions or ("",) * len(one.x)
        values = one.x if is_ranking else one.y
        for x, y, low, high, fraction in zip(
            one.x, one.y, one.low or values, one.high or values, fractions, strict=True
        ):
            if all(map(math.isfinite, (x, y, low, high))):
                row = {"name": one.name, "x": x, "y": y, "fraction": fraction}
                row |= {"low": low, "high": high} if has_ranges else {}
                rows.append({**row, "line": position} if one.is_line else row)
    return rows
