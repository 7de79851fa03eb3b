"""Forecasts the quality of each engine's model with more rows than were measured.

The method is also tested: it forecasts the quality of the largest measured size from smaller sizes.
"""

from collections.abc import Iterator

import numpy as np

from sparkscale.analysis import blocks, crossed
from sparkscale.analysis.blocks import Cell, Column, Estimated, Grid, Text
from sparkscale.analysis.criterion import Criterion
from sparkscale.analysis.patterns.data_parallel.comparison import EngineCurve, Tradeoff
from sparkscale.analysis.questions import learning_curve
from sparkscale.analysis.questions.learning_curve import Curve, Forecast
from sparkscale.contract.case import show_fraction

MULTIPLES = (2, 4)
"""A quality is forecast for these multiples of the largest measured number of rows."""
UP_TO = 1 / 4
"""As a test, the quality of the largest size is also forecast, from sizes of at most this share of the largest."""
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
    tests = {engine: _tested(curve) for engine, curve in known.items()}
    level = f"{learning_curve.LEVEL:.0%}"
    columns = (
        blocks.name("engine"),
        Column("largest size,\nrows", ",", priority=1),
        *(
            Column(f"{criterion.name} with {times} ×\n[{level} interval]", criterion.judged.form)
            for times in MULTIPLES
        ),
        *(
            (
                Column(f"with 1 ×, forecast\nfrom {show_fraction(UP_TO)} and less", criterion.judged.form),
                Column("with 1 ×,\nmeasured", criterion.judged.form),
            )
            if any(tests.values())
            else ()
        ),
        blocks.prose("why not"),
    )
    rows: list[tuple[Cell, ...]] = []
    for engine, curve in known.items():
        largest = float(curve.rows.max())
        made = [learning_curve.forecast(curve, times * largest) for times in MULTIPLES]
        why = next((forecast.why_none for forecast in made if forecast.why_none), None)
        tested = tests[engine]
        shown = (_forecast_cell(tested) if tested else None, float(curve.quality[-1]))
        rows.append(
            (engine, round(largest), *map(_forecast_cell, made), *(shown if any(tests.values()) else ()), why)
        )
    reasons = {row[-1] for row in rows}
    if len(reasons) == 1 and None not in reasons:
        yield Text(f"{criterion.name} is not forecast for more rows: {reasons.pop()}.", is_note=True)
        return
    yield Grid("Forecast of the quality with more rows", columns, tuple(rows))


def sentences(engine: EngineCurve, criterion: Criterion) -> Iterator[str]:
    """Yields sentences about an engine: its forecast, the test of the method, and the ceiling.

    Yields nothing if there are too few sizes. If the curve is ill-behaved, yields only a sentence that says so.
    """
    curve = learning_curve_of(engine, criterion)
    if curve is None or len(curve.rows) < learning_curve.FEWEST_SIZES:
        return
    made = [learning_curve.forecast(curve, times * curve.rows.max()) for times in MULTIPLES]
    if made[0].why_none:
        yield f"{criterion.name} with more rows is not forecast: {made[0].why_none}."
        return
    parts = [f"{_words(forecast, criterion)} with {times} ×" for times, forecast in zip(MULTIPLES, made, strict=True)]
    yield f"With more rows, {criterion.name} is forecast to be {' and '.join(parts)} the rows."
    tested = _tested(curve)
    if tested:
        yield (
            f"From {show_fraction(UP_TO)} and less, the forecast for all rows is {_words(tested, criterion)}; "
            f"{criterion.show(float(curve.quality[-1]))} was measured."
        )
    if curve.ceiling is not None:
        yield f"The ceiling is {criterion.show(curve.ceiling)}."


def _words(forecast: Forecast, criterion: Criterion) -> str:
    """Returns a forecast with its interval: "0.735 (0.733–0.738)"."""
    assert forecast.value is not None
    assert forecast.interval is not None
    low, high = criterion.show(forecast.interval.low), criterion.show(forecast.interval.high)
    return f"{criterion.show(forecast.value)} ({low}–{high})"


def _tested(curve: Curve) -> Forecast | None:
    """Returns the forecast for the largest size, from sizes up to UP_TO of it. None if there is no forecast."""
    forecast = learning_curve.forecast(curve.up_to(UP_TO * curve.rows.max() * 1.01), float(curve.rows.max()))
    return None if forecast.value is None else forecast


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
        criterion.sign,
        scored[-1].ceiling,
        np.vectorize(criterion.scale.to, otypes=[float]),
    )
