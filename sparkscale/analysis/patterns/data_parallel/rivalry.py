"""Finds the size at which an engine on Spark becomes faster than a rival, using the times of one comparison."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparkscale.analysis import metrics
from sparkscale.analysis.blocks import Verdict
from sparkscale.analysis.patterns.data_parallel.cell import Cell, Step
from sparkscale.analysis.patterns.data_parallel.comparison import EngineCurve
from sparkscale.analysis.patterns.data_parallel.node_engines import has_every_time
from sparkscale.analysis.questions import crossover as crossovers
from sparkscale.analysis.questions.crossover import Crossover, Times
from sparkscale.analysis.questions.fitting import FARTHEST
from sparkscale.analysis.statistics import Spread, at_most, ratios_by_round


@dataclass(frozen=True)
class Rivalry:
    """An engine on Spark and one rival.

    `crossover` is None if too few sizes have times in the same rounds. `edge` is the number of rows from which the
    rival runs out of memory, although the engine works. None if there is no such number. `ratios` holds the engine's
    times divided by the rival's, one for each round. They were measured with `rows_of_ratios` rows, the largest
    common size.
    """

    engine: EngineCurve
    rival: EngineCurve
    crossover: Crossover | None
    edge: int | None
    ratios: tuple[float, ...]
    rows_of_ratios: int

    @classmethod
    def of(cls, engine: EngineCurve, rival: EngineCurve) -> "Rivalry | None":
        """Returns the rivalry. None if no size has times of both engines and there is no `edge`."""
        found, edge = _crossover(engine, rival), memory_edge(rival)
        passed = edge if edge is not None and _reaches(engine, edge) else None
        common = _largest_common(engine, rival)
        ratios = ratios_by_round(*(cell.seconds_by_round() for cell in common)) if common else []
        if not ratios and passed is None:
            return None
        return cls(engine, rival, found, passed, tuple(ratios), common[0].rows if common else 0)

    @property
    def rows(self) -> float:
        """The number of rows from which the engine is better: it is faster, or the rival has too little memory."""
        faster = self.crossover.rows if self.crossover else math.inf
        return min(faster, math.inf if self.edge is None else self.edge)

    @property
    def slowness(self) -> float:
        """The engine's time divided by the rival's, for the largest size with a measurement or a forecast."""
        return self.crossover.ratio if self.crossover else float(np.median(self.ratios or [0.0]))

    @property
    def is_by_edge(self) -> bool:
        """True if the rival runs out of memory before the engine becomes faster."""
        return self.edge is not None and self.rows == self.edge

    @property
    def verdict(self) -> Verdict:
        if self.is_by_edge:
            return "yes"
        if self.crossover is None:
            is_faster = at_most(self.ratios, 1.0)
            return "not resolved" if is_faster is None else "yes" if is_faster else "no"
        bounds = self.crossover.interval
        if bounds is None:
            return "not resolved"
        if math.isinf(self.rows):
            return "no" if math.isinf(bounds.low) else "not resolved"
        return "not resolved" if math.isinf(bounds.high) else "yes"

    @property
    def gives_up(self) -> Step | None:
        """The quality that the engine's model gives up against the rival's, on the largest common fraction."""
        for cell in reversed(self.engine.cells):
            other = self.rival.cell(cell.case.fraction)
            if other is not None and cell.qualities and other.qualities:
                return Step.between(other, cell)
        return None

    def sentence(self) -> str:
        """Returns the conclusion as a sentence without a full stop."""
        engine, rival = self.engine.engine, self.rival.engine
        if self.is_by_edge:
            return f"{rival} runs out of memory with {self.edge:,} rows, and {engine} does not"
        if self.crossover is None:
            return self._at_one_size()
        return self._slower(self.crossover) if math.isinf(self.rows) else self._faster(self.crossover)

    def _slower(self, found: Crossover) -> str:
        """Returns the sentence for an engine that is not faster at any size up to `farthest`."""
        engine, rival = self.engine.engine, self.rival.engine
        slower = f"with {found.farthest:,.0f} rows it would still take {found.ratio:.2g} times as long"
        if self.verdict == "not resolved":
            return f"For {engine}, it is not resolved whether it becomes faster than {rival}; {slower}"
        if found.is_never:
            return f"{engine} never becomes faster than {rival}, by the slopes of both; {slower}"
        return f"{engine} is not faster than {rival} within {FARTHEST:.0f} times the measured sizes; {slower}"

    def _faster(self, found: Crossover) -> str:
        """Returns the sentence for an engine that is faster from a size on."""
        bounds = found.interval
        since = "the smallest measured size" if found.rows == 0 else f"{found.rows:,.0f} rows"
        text = f"{self.engine.engine} is faster than {self.rival.engine} from {since} on"
        if bounds is None:
            return f"{text} by its times so far, which is not resolved"
        if math.isinf(bounds.high):
            return f"{text} ({bounds.low:,.0f} or more), which is not resolved"
        text += f" ({bounds.low:,.0f}–{bounds.high:,.0f})" if found.rows else ""
        beyond = f", a forecast beyond the largest measured size of {found.largest:,.0f}"
        return text if found.is_measured else text + beyond

    def _at_one_size(self) -> str:
        """Returns the sentence for engines with too few sizes to extend their times to other sizes."""
        spread = Spread.of(self.ratios)
        assert spread is not None
        open_ = "" if self.verdict != "not resolved" else " (not resolved)"
        times = f"{spread.words('.3g')} times as long as {self.rival.engine}{open_}"
        return f"With {self.rows_of_ratios:,} rows, {self.engine.engine} takes {times}"


def memory_edge(curve: EngineCurve) -> int | None:
    """Returns the smallest number of rows, above all that worked, with which an engine ran out of memory.

    None if there is no such number.
    """
    outcomes = [(cell.rows, {record.outcome for record in metrics.latest(cell.records)}) for cell in curve.cells]
    worked = max((rows for rows, found in outcomes if "ok" in found), default=0)
    return min((rows for rows, found in outcomes if "oom" in found and rows > worked), default=None)


def _reaches(curve: EngineCurve, rows: int) -> bool:
    """Returns true if an engine has times for this number of rows, or for more."""
    return any(has_every_time(cell) and cell.rows >= rows for cell in curve.cells)


def _crossover(engine: EngineCurve, rival: EngineCurve) -> Crossover | None:
    """Returns the size from which an engine is faster. None if too few sizes have times in the same rounds."""
    own, other = _timed(engine), _timed(rival)
    measured = [set(by_round) for by_round in (*own.values(), *other.values())]
    rounds = sorted(set.intersection(*measured)) if own and other else []
    if not rounds:
        return None
    return crossovers.crossover(_times(own, rounds), _times(other, rounds))


def _largest_common(engine: EngineCurve, rival: EngineCurve) -> tuple[Cell, Cell] | None:
    """Returns the cells of the largest fraction for which both engines have every time. None if there is none."""
    for cell in reversed(engine.cells):
        other = rival.cell(cell.case.fraction)
        if other is not None and has_every_time(cell) and has_every_time(other):
            return cell, other
    return None


def _timed(curve: EngineCurve) -> dict[int, dict[int, float]]:
    """Returns seconds by rows and round. A fraction is left out if one of its executions has no time."""
    return {cell.rows: cell.seconds_by_round() for cell in curve.cells if has_every_time(cell)}


def _times(by_rows: dict[int, dict[int, float]], rounds: Sequence[int]) -> Times:
    rows = sorted(by_rows)
    return Times(np.array(rows, float), np.array([[by_rows[size][number] for size in rows] for number in rounds]))
