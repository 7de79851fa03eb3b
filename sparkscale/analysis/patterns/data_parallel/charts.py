"""The charts of data-parallel training: time and quality against rows, quality against time, and speed-up."""

from collections.abc import Iterable, Iterator

from sparkscale.analysis import metrics
from sparkscale.analysis.blocks import Chart, Dot, Failed, Series
from sparkscale.analysis.crossed import Estimate
from sparkscale.analysis.patterns.data_parallel.cell import Cell
from sparkscale.analysis.patterns.data_parallel.comparison import Tradeoff
from sparkscale.analysis.patterns.protocol import execution, reasons
from sparkscale.analysis.statistics import Interval


def times(comparison: Tradeoff) -> Chart:
    """Returns a chart of time to model against training rows: median and range over rounds, a line per engine."""
    series = []
    for curve in comparison.curves:
        timed = [(cell.rows, cell.seconds) for cell in curve.cells if cell.seconds and cell.has_every_time]
        points = [(float(rows), spread.median, spread.low, spread.high) for rows, spread in timed]
        if points:
            series.append(Series(curve.engine, *zip(*points, strict=True)))
    cells = [cell for curve in comparison.curves for cell in curve.cells]
    return Chart(
        "Time to model against training rows",
        "training rows",
        "time to model, s: median and range",
        tuple(series),
        is_log_x=True,
        is_log_y=True,
        dots=tuple(executions(cells)),
        failed=tuple(without_result(cells)),
    )


def qualities(comparison: Tradeoff) -> Chart:
    """Returns a chart of quality against training rows: estimate and interval, a line per engine."""
    series = []
    for curve in comparison.curves:
        points = [
            (float(cell.rows), *estimated(cell.quality)) for cell in curve.cells if cell.quality and not cell.doubt
        ]
        if points:
            series.append(Series(curve.engine, *zip(*points, strict=True)))
    if comparison.ceiling is not None and series:
        rows = [x for one in series for x in one.x]
        series.append(Series("ceiling", (min(rows), max(rows)), (comparison.ceiling,) * 2))
    return Chart(
        "Quality against training rows",
        "training rows",
        f"{comparison.criterion.name}: estimate and interval",
        tuple(series),
        is_log_x=True,
    )


def estimated(estimate: Estimate) -> tuple[float, float, float]:
    """Returns the value of an estimate and the ends of its interval. Without an interval, all three are the value."""
    bounds = estimate.interval or Interval(estimate.value, estimate.value)
    return estimate.value, bounds.low, bounds.high


def executions(cells: Iterable[Cell]) -> Iterator[Dot]:
    """Yields a dot for the time of each execution."""
    for cell in cells:
        for record in metrics.timed(cell.records):
            yield Dot(record.engine, float(cell.rows), metrics.time_to_model(record), execution(record))


def without_result(cells: Iterable[Cell]) -> Iterator[Failed]:
    """Yields each outcome of a case that is not ok, once, with the reason of its first execution."""
    for cell in cells:
        for why in reasons(cell.records):
            yield Failed(cell.records[0].engine, float(cell.rows), why)
