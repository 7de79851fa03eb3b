"""Extends what was measured to more rows: the quality of each engine, and the size from which Spark is faster."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from sparkscale.analysis import blocks, crossed
from sparkscale.analysis.blocks import Answer, Cell, Column, Estimated, Grid, Text
from sparkscale.analysis.criterion import Criterion
from sparkscale.analysis.patterns.data_parallel.comparison import EngineCurve, Tradeoff
from sparkscale.analysis.questions import crossover as crossovers
from sparkscale.analysis.questions import learning_curve
from sparkscale.analysis.questions.crossover import Crossover, Times
from sparkscale.analysis.questions.learning_curve import Curve, Forecast
from sparkscale.analysis.statistics import FEWEST_ROUNDS

MULTIPLES = (2, 4)
"""A quality is forecast for these multiples of the largest measured number of rows."""
RESOLVES = f"larger data, in {FEWEST_ROUNDS} rounds or more"
"""The measurement that would resolve whether Spark pays."""
DRAWS = 400
"""The number of bootstrap replicates to which the curves are fitted."""


def forecasts(comparison: Tradeoff) -> Iterator[Grid | Text]:
    """Yields a table of forecast qualities, with a row per engine.

    If all engines lack a forecast for the same reason, yields this reason as a note. Yields nothing if no engine has
    stored scores.
    """
    criterion = comparison.criterion
    curves = {engine.engine: learning_curve_of(engine, criterion) for engine in comparison.curves}
    known = {engine: curve for engine, curve in curves.items() if curve}
    if not known:
        return
    level = f"{learning_curve.LEVEL:.0%}"
    columns = (
        blocks.name("engine"),
        Column("largest size,\nrows", ",", priority=1),
        *(
            Column(f"{criterion.name} with {times} ×\n[{level} interval]", criterion.judged.form)
            for times in MULTIPLES
        ),
        blocks.prose("why not"),
    )
    rows: list[tuple[Cell, ...]] = []
    for engine, curve in known.items():
        largest = float(curve.rows.max())
        made = [learning_curve.forecast(curve, times * largest) for times in MULTIPLES]
        why = next((forecast.why_none for forecast in made if forecast.why_none), None)
        rows.append((engine, round(largest), *map(_forecast_cell, made), why))
    reasons = {row[-1] for row in rows}
    if len(reasons) == 1 and None not in reasons:
        yield Text(f"{criterion.name} is not forecast for more rows: {reasons.pop()}.", is_note=True)
        return
    yield Grid("Forecast of the quality with more rows", columns, tuple(rows))


def _forecast_cell(forecast: Forecast) -> Cell:
    return None if forecast.value is None else Estimated(forecast.value, forecast.interval)


def learning_curve_of(engine: EngineCurve, criterion: Criterion) -> Curve | None:
    """Returns the measured learning curve of an engine. None if no pair of seeds has scores on every fraction."""
    scored = [cell for cell in engine.cells if cell.qualities]
    common = [
        seeds for seeds in (scored[0].qualities if scored else ()) if all(seeds in cell.qualities for cell in scored)
    ]
    if not common:
        return None
    qualities = [[[cell.qualities[seeds]] for seeds in common] for cell in scored]
    draws = np.stack([crossed.replicates(of_cell)[:DRAWS] for of_cell in qualities], axis=1)
    return Curve(
        np.array([float(cell.rows) for cell in scored]),
        np.array([crossed.estimate(of_cell).value for of_cell in qualities]),
        draws[np.isfinite(draws).all(axis=1)],
        1 if criterion.judged.direction == "higher" else -1,
        scored[-1].ceiling,
    )


def spark_pays(comparison: Tradeoff) -> Iterator[Answer]:
    """Yields an answer for each engine on Spark: from which size it is faster than the best engine on one node."""
    on_node = [curve for curve in comparison.curves if _placement(curve) == "node"]
    for engine in (curve for curve in comparison.curves if _placement(curve) == "spark"):
        rivals = [(rival, found) for rival in on_node if (found := _crossover(engine, rival))]
        if rivals:
            best, found = max(rivals, key=lambda pair: (pair[1].rows, pair[1].ratio))
            yield _answer(engine, best, found)


def _placement(curve: EngineCurve) -> str:
    return curve.cells[0].case.placement


def _crossover(engine: EngineCurve, rival: EngineCurve) -> Crossover | None:
    """Returns the size from which an engine is faster. None if too few sizes have times in the same rounds."""
    own, other = _timed(engine), _timed(rival)
    measured = [set(by_round) for by_round in (*own.values(), *other.values())]
    rounds = sorted(set.intersection(*measured)) if own and other else []
    if not rounds:
        return None
    return crossovers.crossover(_times(own, rounds), _times(other, rounds))


def _timed(curve: EngineCurve) -> dict[int, dict[int, float]]:
    """Returns seconds by rows and round, for each fraction of which every execution has a time."""
    whole = (cell for cell in curve.cells if cell.seconds and not cell.seconds.is_censored)
    return {cell.rows: cell.seconds_by_round() for cell in whole}


def _times(by_rows: dict[int, dict[int, float]], rounds: Sequence[int]) -> Times:
    rows = sorted(by_rows)
    return Times(np.array(rows, float), np.array([[by_rows[size][number] for size in rows] for number in rounds]))


def _answer(engine: EngineCurve, rival: EngineCurve, found: Crossover) -> Answer:
    """Returns the answer for one engine on Spark, with the rival that it overtakes last."""
    both = f"{engine.engine}: "
    evidence = tuple(record.id for curve in (engine, rival) for cell in curve.cells for record in cell.records)
    farthest = f"{found.farthest:,.0f}"
    bounds = found.interval
    if math.isinf(found.rows):
        slower = f"with {farthest} rows it would still take {found.ratio:.2g} times as long"
        if bounds is None or not math.isinf(bounds.low):
            text = f"it is not resolved whether it becomes faster than {rival.engine}; {slower}"
            return Answer(f"{both}{text}.", "not resolved", evidence, RESOLVES)
        never = "never, by these slopes" if found.is_never else "not within 10 times the measured sizes"
        return Answer(f"{both}Spark does not pay against {rival.engine}: {never}; {slower}.", "no", evidence)
    if found.rows == 0:
        text = f"it is faster than {rival.engine} from the smallest measured size on"
    else:
        text = f"it is faster than {rival.engine} from {found.rows:,.0f} rows on"
    if bounds is None or math.isinf(bounds.high):
        text += " by its times so far" if bounds is None else f" ({bounds.low:,.0f} or more)"
        return Answer(f"{both}{text}, which is not resolved.", "not resolved", evidence, RESOLVES)
    if found.rows:
        text += f" ({bounds.low:,.0f}–{bounds.high:,.0f})"
    text += "" if found.is_measured else f", a forecast beyond the largest measured size of {found.largest:,.0f}"
    return Answer(f"{both}{text}.", "yes", evidence)
