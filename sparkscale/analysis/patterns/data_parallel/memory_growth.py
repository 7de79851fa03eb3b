"""Estimates the peak memory of single-node engines for more rows, and how many rows fit in their memory limit.

The peak with n rows is modelled as a + b·n, with coefficients of at least 0 and residuals relative to the measured
peak. Peaks come from isolated executions. Engines on Spark are left out, because their peak follows from their heap.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from sparkscale.analysis import blocks, metrics
from sparkscale.analysis.blocks import Column, Estimated, Grid
from sparkscale.analysis.patterns.data_parallel.comparison import EngineCurve, Tradeoff
from sparkscale.analysis.patterns.data_parallel.node_engines import placed
from sparkscale.analysis.questions.fitting import (
    FARTHEST,
    LEVEL,
    drawn_rounds,
    expanded_percentiles,
    geometric_means,
    non_negative,
)
from sparkscale.analysis.statistics import FEWEST_ROUNDS, Array
from sparkscale.contract.record import RunRecord

FEWEST_SIZES = 3
"""With fewer sizes, there is no estimate for other sizes."""
GIB = 2**30


def memory_growth(comparison: Tradeoff) -> Iterator[Grid]:
    """Yields a table with a row for each engine on one node.

    Yields nothing if no engine has peaks of FEWEST_SIZES sizes.
    """
    limit = _limit_bytes(comparison)
    rows = [row for curve in placed(comparison, "node") if (row := _row(curve, limit))]
    if not rows:
        return
    limited = "rows that its memory limit allows" + (f",\n{limit / GIB:.1f} GiB" if limit else "")
    columns = (
        blocks.name("engine"),
        Column("largest size,\nrows", ",", priority=1),
        Column("peak there,\nGiB", ".2f"),
        Column(f"peak with {FARTHEST:.0f} × the rows,\nGiB, forecast", ".2f"),
        Column(f"{limited} [{LEVEL:.0%} interval]", ",.0f", beyond=f"more than {FARTHEST:.0f} × the measured"),
    )
    yield Grid("Peak memory with more rows", columns, tuple(rows))


def _row(curve: EngineCurve, limit: int | None) -> tuple[blocks.Cell, ...] | None:
    """Returns the row of an engine. None if fewer than FEWEST_SIZES sizes have peaks in the same rounds."""
    by_rows = {cell.rows: peaks(cell.records) for cell in curve.cells}
    sizes = sorted(rows for rows, by_round in by_rows.items() if by_round)
    rounds = sorted(set.intersection(*(set(by_rows[rows]) for rows in sizes))) if sizes else []
    if len(sizes) < FEWEST_SIZES or not rounds:
        return None
    rows = np.array(sizes, float)
    measured = np.array([[by_rows[size][number] for size in sizes] for number in rounds])
    (allowed,), (farthest,) = _extended(rows, measured, np.arange(len(rounds))[None], limit)
    interval = None
    if len(rounds) >= FEWEST_ROUNDS and limit:
        drawn, _ = _extended(rows, measured, drawn_rounds(len(rounds)), limit)
        interval = expanded_percentiles(drawn, len(rounds), LEVEL)
    shown = Estimated(float(allowed), interval) if limit else None
    return curve.engine, sizes[-1], float(np.median(measured[:, -1])) / GIB, float(farthest) / GIB, shown


def peaks(records: Iterable[RunRecord]) -> dict[int, float]:
    """Returns the peak memory of the isolated execution of each round, in bytes."""
    return {
        record.round: float(record.resources.peak_pss_bytes)
        for record in metrics.latest(records)
        if record.outcome == "ok" and record.resources.peak_pss_bytes is not None
    }


def _extended(rows: Array, peaks: Array, drawn: Array, limit: int | None) -> tuple[Array, Array]:
    """Returns, for each draw, the rows that the limit allows, and the peak in bytes for FARTHEST times the rows.

    Both have shape (draws,). Rows beyond FARTHEST times the largest size are infinite.
    """
    terms = np.stack([np.ones(len(rows)), rows], axis=1)
    coefficients = non_negative(terms, geometric_means(peaks, drawn))
    most = FARTHEST * rows[-1]
    with np.errstate(divide="ignore"):
        allowed = ((limit or np.inf) - coefficients[:, 0]) / coefficients[:, 1]
    return np.where(allowed <= most, np.maximum(allowed, 0.0), np.inf), coefficients @ np.array([1.0, most])


def _limit_bytes(comparison: Tradeoff) -> int | None:
    """Returns the memory that the profile grants to an engine on one node. None if unknown, or if runs differ."""
    cell = comparison.cells[0]
    origins = {record.invocation for record in comparison.records}
    found = set()
    for run in origins:
        identity = cell.store.invocation(identity=run).origin.get(f"budget on '{cell.case.cluster}'")
        budget = cell.store.content(identity)
        found.add(budget["node"]["memory_bytes"] if budget else None)
    return found.pop() if len(found) == 1 else None
