"""The charts of data-parallel training: time and quality against rows, and what a sample gives up."""

from collections.abc import Iterator, Sequence

import numpy as np

from sparkscale.analysis import metrics
from sparkscale.analysis.blocks import Chart, Dot, Limit, Series
from sparkscale.analysis.criterion import Criterion
from sparkscale.analysis.crossed import Estimate
from sparkscale.analysis.patterns.data_parallel import forecasts
from sparkscale.analysis.patterns.data_parallel.cell import Cell
from sparkscale.analysis.patterns.data_parallel.comparison import Tradeoff
from sparkscale.analysis.patterns.data_parallel.rivalry import Rivalry, memory_edge
from sparkscale.analysis.patterns.drawing import Point, dot, series, without_result
from sparkscale.analysis.questions import learning_curve
from sparkscale.analysis.questions.crossover import Crossover, Model
from sparkscale.analysis.questions.fitting import FARTHEST
from sparkscale.analysis.questions.learning_curve import FEWEST_SIZES
from sparkscale.analysis.statistics import LEVEL, Interval
from sparkscale.analysis.unit_quality import value
from sparkscale.contract.case import show_fraction

STEPS = 24
"""The number of points of a fitted line."""
AHEAD = 4.0
"""Learning curves are drawn up to this multiple of the largest measured size."""


def times(comparison: Tradeoff, rivalries: list[Rivalry]) -> Chart:
    """Returns a chart of time to model against training rows: median and range over rounds, a line per engine.

    `rivalries` are those of the engines on Spark with their best rivals. Their fits are drawn up to `FARTHEST` times
    the measured sizes, with a line where an engine becomes faster. The size at which an engine runs out of memory is
    an edge.
    """
    medians: list[Series] = []
    for curve in comparison.curves:
        timed = [(cell, cell.seconds) for cell in curve.cells if cell.seconds and cell.has_every_time]
        points = [Point.of(float(cell.rows), spread, fraction(cell)) for cell, spread in timed]
        medians += series(curve.engine, points)
    failed = [
        mark
        for curve in comparison.curves
        for cell in curve.cells
        for mark in without_result(curve.engine, float(cell.rows), cell.records, memory_edge(curve))
    ]
    crossovers = [(rivalry, rivalry.crossover) for rivalry in rivalries if rivalry.crossover]
    fits: dict[str, Series] = {}
    for rivalry, found in crossovers:
        for curve, model in zip((rivalry.engine, rivalry.rival), found.models, strict=True):
            least, edge = min(cell.rows for cell in curve.cells), memory_edge(curve)
            farthest = found.farthest if edge is None else min(found.farthest, float(edge))
            fits.setdefault(curve.engine, _fit(curve.engine, model, float(least), farthest))
    note = (
        f"Dashed lines are fits without an interval, drawn up to {FARTHEST:.0f} times the measured rows, or to where "
        "memory ends. The size from which an engine is faster has an interval, if there are enough rounds."
    )
    return Chart(
        "Time to model against training rows",
        "training rows",
        "time to model, s: median and range",
        tuple(medians),
        is_log_x=True,
        is_log_y=True,
        dots=tuple(_executions(comparison)),
        failed=tuple(failed),
        fits=tuple(fits.values()),
        limits=tuple(_crossing(rivalry, found) for rivalry, found in crossovers if 0 < found.rows < np.inf),
        note=note if fits else "",
    )


def _fit(name: str, model: Model, least: float, farthest: float) -> Series:
    rows = np.geomspace(least, farthest, STEPS)
    return Series(name, tuple(rows.tolist()), tuple(model.at(rows)[0].tolist()))


def _crossing(rivalry: Rivalry, found: Crossover) -> Limit:
    """Returns the line at the size from which an engine is faster. The interval ends at the largest forecast size."""
    names = (rivalry.engine.engine, rivalry.rival.engine)
    label = f"{names[0]} faster than {names[1]}"
    bounds = found.interval
    if bounds is None:
        return Limit("x", found.rows, f"{label}, not resolved", of=names)
    low, high = max(bounds.low, found.rows / 1e3), min(bounds.high, found.farthest)
    return Limit("x", found.rows, label if bounds.high < np.inf else f"{label}, not resolved", low, high, names)


def qualities(comparison: Tradeoff) -> Chart:
    """Returns a chart of quality against training rows: estimate and interval, a line per engine.

    The forecast for more rows is a dashed line with its interval. The ceiling is a line across.
    """
    estimates: list[Series] = []
    dots: list[Dot] = []
    fits: list[Series] = []
    for curve in comparison.curves:
        judged = [(cell, cell.quality) for cell in curve.cells if cell.quality and not cell.doubt]
        estimates += series(curve.engine, [estimated(float(cell.rows), one, cell) for cell, one in judged])
        dots += [one for cell, _ in judged for one in quality_dots(cell, float(cell.rows))]
        fits += _forecast(comparison, curve.engine) if judged else ()
    note = f"Dashed lines are forecasts, with their {learning_curve.LEVEL:.0%} intervals." if fits else ""
    ceiling = comparison.ceiling
    is_drawn = ceiling is not None and is_near(ceiling, (*estimates, *fits))
    if ceiling is not None and not is_drawn:
        note += f" The ceiling, {comparison.criterion.show(ceiling)}, is too far away to be drawn."
    return Chart(
        "Quality against training rows",
        "training rows",
        f"{named(comparison.criterion)}: estimate and interval",
        tuple(estimates),
        is_log_x=True,
        dots=tuple(dots),
        fits=tuple(fits),
        limits=(Limit("y", ceiling, "ceiling"),) if ceiling is not None and is_drawn else (),
        note=note.strip(),
    )


def is_near(value: float, lines: Sequence[Series]) -> bool:
    """Returns true if a chart of these lines that also shows `value` is at most twice as high as without it."""
    ends = [end for line in lines for end in (*line.low, *line.high)]
    return bool(ends) and max(*ends, value) - min(*ends, value) <= 2 * (max(ends) - min(ends))


def _forecast(comparison: Tradeoff, engine: str) -> Iterator[Series]:
    """Yields the forecast of an engine's quality, from its largest size on. Yields nothing if there is none."""
    measured = next(curve for curve in comparison.curves if curve.engine == engine)
    sizes = sum(bool(cell.qualities) for cell in measured.cells)
    curve = forecasts.learning_curve_of(measured, comparison.criterion) if sizes >= FEWEST_SIZES else None
    if curve is None:
        return
    largest = float(curve.rows.max())
    made = [learning_curve.forecast(curve, rows) for rows in np.geomspace(largest, AHEAD * largest, 5)]
    points = [
        Point(one.rows, one.value, one.interval.low, one.interval.high)
        for one in made
        if one.value is not None and one.interval
    ]
    yield from series(engine, points)


def given_up(comparison: Tradeoff) -> Chart:
    """Returns a chart of what each sample gives up against all data: estimate and interval, with the tolerance.

    If the tolerance is relative, all values are in percent of the quality from all data.
    """
    steps: list[Series] = []
    dots: list[Dot] = []
    criterion = comparison.criterion
    unit = 100.0 if criterion.judged.relative else 1.0
    for curve in comparison.curves:
        compared = [(step, curve.cell(step.fraction)) for step in curve.steps]
        points = [estimated(float(cell.rows), step.estimate, cell) for step, cell in compared if cell]
        steps += series(curve.engine, [_scaled(point, unit) for point in points])
        for cell in (cell for _, cell in compared if cell):
            dots += _given_up_dots(curve.full, cell, criterion, unit)
    share = ", %" if criterion.judged.relative else ""
    of = f" Values are in percent of the {criterion.name} with all data." if share else ""
    return Chart(
        "What a sample gives up against all data",
        "training rows of the sample",
        f"{criterion.name} worse by{share}: estimate and interval",
        tuple(steps),
        is_log_x=True,
        dots=tuple(dots),
        limits=(
            Limit("y", unit * criterion.tolerance, f"tolerance {criterion.tolerated}"),
            Limit("y", 0.0, "as good as all data"),
        ),
        note=f"A sample is enough if its whole {LEVEL:.0%} interval lies below the tolerance.{of}",
    )


def _scaled(point: Point, unit: float) -> Point:
    return point._replace(y=point.y * unit, low=point.low * unit, high=point.high * unit)


def _given_up_dots(full: Cell | None, part: Cell, criterion: Criterion, unit: float) -> Iterator[Dot]:
    """Yields a dot for each pair of seeds: what the model of a sample gives up against that of all data."""
    records = {record.case.seeds: record for record in reversed(metrics.scored(part.records))}
    for seeds, scores in part.qualities.items():
        if full and seeds in full.qualities:
            loss = float(criterion.given_up(value(full.qualities[seeds]), value(scores)))
            yield dot(records[seeds].engine, float(part.rows), unit * loss, records[seeds])


def named(criterion: Criterion) -> str:
    """Returns the name of the quality, and whether lower or higher is better."""
    return f"{criterion.name} ({criterion.judged.direction} is better)"


def fraction(cell: Cell) -> str:
    """Returns the fraction of a cell as text."""
    return show_fraction(cell.case.fraction)


def estimated(x: float, estimate: Estimate, cell: Cell) -> Point:
    """Returns the point of an estimate at `x`. Without an interval, both ends are the value."""
    bounds = estimate.interval or Interval(estimate.value, estimate.value)
    return Point(x, estimate.value, bounds.low, bounds.high, fraction(cell))


def quality_dots(cell: Cell, x: float | None = None) -> Iterator[Dot]:
    """Yields a dot for the quality of each pair of seeds, at `x`, or at the time to model of its execution."""
    records = {record.case.seeds: record for record in reversed(metrics.scored(cell.records))}
    timed = {record.case.seeds: record for record in reversed(metrics.timed(cell.records))}
    for seeds, scores in cell.qualities.items():
        record = records[seeds] if x is not None else timed.get(seeds)
        if record:
            yield dot(record.engine, metrics.time_to_model(record) if x is None else x, value(scores), record)


def _executions(comparison: Tradeoff) -> Iterator[Dot]:
    """Yields a dot for the time of each execution."""
    for curve in comparison.curves:
        for cell in curve.cells:
            for record in metrics.timed(cell.records):
                yield dot(curve.engine, float(cell.rows), metrics.time_to_model(record), record)
