"""Finds the size at which an engine on Spark becomes faster than a rival, using the times of one comparison."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparkscale.analysis import metrics
from sparkscale.analysis.blocks import Verdict
from sparkscale.analysis.patterns.data_parallel.cell import Cell, Step
from sparkscale.analysis.patterns.data_parallel.comparison import EngineCurve
from sparkscale.analysis.questions import crossover as crossovers
from sparkscale.analysis.questions.crossover import Crossover, Times
from sparkscale.analysis.questions.fitting import FARTHEST
from sparkscale.analysis.statistics import Spread, at_most, ratios_by_round
from sparkscale.contract.phrases import number


@dataclass(frozen=True)
class Rivalry:
    """An engine on Spark and one rival.

    `crossover` is the size from which the engine is faster. None if too few sizes have times in the same rounds.
    `edge` is the number of rows with which the rival runs out of memory, and the engine does not. None if there is no
    such number. `ratios` holds the engine's times divided by the rival's, one for each round. They were measured with
    `rows_of_ratios` rows, the largest common size. `verdicts` is the number of rivalries that are judged together.
    """

    engine: EngineCurve
    rival: EngineCurve
    crossover: Crossover | None
    edge: int | None
    ratios: tuple[float, ...]
    rows_of_ratios: int
    verdicts: int

    @classmethod
    def of(cls, engine: EngineCurve, rival: EngineCurve, verdicts: int = 1) -> "Rivalry | None":
        """Returns the rivalry. None if no size has times of both engines and there is no `edge`."""
        found, edge = _crossover(engine, rival, verdicts), memory_edge(rival)
        passed = edge if edge is not None and _reaches(engine, edge) else None
        common = _largest_common(engine, rival)
        ratios = ratios_by_round(*(cell.seconds_by_round() for cell in common)) if common else []
        if not ratios and passed is None:
            return None
        return cls(engine, rival, found, passed, tuple(ratios), common[0].rows if common else 0, verdicts)

    @property
    def rows(self) -> float:
        """The number of rows from which the engine is better: it is faster, or the rival has too little memory."""
        faster = self.crossover.rows if self.crossover else math.inf
        return min(faster, math.inf if self.edge is None else self.edge)

    @property
    def slowness(self) -> float:
        """The engine's time divided by the rival's on the largest common size: the median over rounds.

        It is 0 if there is no common size.
        """
        return float(np.median(self.ratios or [0.0]))

    @property
    def rounds(self) -> int:
        """The number of rounds on which the verdict rests."""
        return self.crossover.rounds if self.crossover else len(self.ratios)

    @property
    def is_worse(self) -> bool:
        """True if the engine's model is shown to be worse than the rival's by more than is tolerated."""
        return self.gives_up is not None and self.gives_up.verdict == "not enough"

    @property
    def verdict(self) -> Verdict:
        """The verdict. An engine with a worse model does not do the same work, so it does not pay."""
        if self.is_worse:
            return "no"
        return "yes" if self.edge is not None else self._of_times

    @property
    def _of_times(self) -> Verdict:
        """The verdict on the times alone."""
        if self.crossover is None:
            is_faster = at_most(self.ratios, 1.0, self.verdicts)
            return "not resolved" if is_faster is None else "yes" if is_faster else "no"
        bounds = self.crossover.interval
        if bounds is None:
            return "not resolved"
        if math.isinf(self.crossover.rows):
            return "no" if math.isinf(bounds.low) else "not resolved"
        return "not resolved" if math.isinf(bounds.high) else "yes"

    @cached_property
    def gives_up(self) -> Step | None:
        """The quality that the engine's model gives up against the rival's, on the largest common fraction.

        None if there is no fraction, or no pair of seeds, for which both engines have scores.
        """
        for cell in reversed(self.engine.cells):
            other = self.rival.cell(cell.case.fraction)
            if other is not None and cell.qualities and other.qualities:
                return Step.between(other, cell)
        return None

    def sentence(self) -> str:
        """Returns what the rivalry shows, as a sentence without a full stop."""
        return "; ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        """Yields the parts of the sentence: the edge, if the rival has one, and what the times show."""
        if self.edge is not None:
            yield f"{self.rival.engine} runs out of memory with {self.edge:,} rows, and {self.engine.engine} does not"
        if self.crossover is not None:
            yield self._slower(self.crossover) if math.isinf(self.crossover.rows) else self._faster(self.crossover)
        elif self.ratios:
            yield self._at_one_size()

    def _slower(self, found: Crossover) -> str:
        """Returns the sentence for an engine that is not faster at any size up to `farthest`."""
        engine, rival = self.engine.engine, self.rival.engine
        slower = f"with {found.farthest:,.0f} rows it would still take {number(found.ratio, 2)} times as long"
        if self._of_times == "not resolved":
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
        open_ = "" if self._of_times != "not resolved" else " (not resolved)"
        times = f"{spread.words()} times as long as {self.rival.engine}{open_}"
        return f"With {self.rows_of_ratios:,} rows, {self.engine.engine} takes {times}"


def memory_edge(curve: EngineCurve) -> int | None:
    """Returns the smallest number of rows with which an engine ran out of memory. None if there is none.

    Numbers of rows below the largest one that worked do not count.
    """
    outcomes = [(cell.rows, {record.outcome for record in metrics.latest(cell.records)}) for cell in curve.cells]
    worked = max((rows for rows, found in outcomes if "ok" in found), default=0)
    return min((rows for rows, found in outcomes if "oom" in found and rows > worked), default=None)


def _reaches(curve: EngineCurve, rows: int) -> bool:
    """Returns true if an engine has times for this number of rows, or for more."""
    return any(cell.has_every_time and cell.rows >= rows for cell in curve.cells)


def _crossover(engine: EngineCurve, rival: EngineCurve, verdicts: int) -> Crossover | None:
    """Returns the size from which an engine is faster. None if too few sizes have times in the same rounds.

    Rounds of different runs may have different sizes. The sizes are those of the round whose sizes the most other
    rounds have, too. In a tie, it is the round with the most sizes. Only rounds with all these sizes are used.
    """
    curves = (_timed(engine), _timed(rival))
    every_round = sorted({number for curve in curves for by_round in curve.values() for number in by_round})
    sizes = {number: [_sizes(curve, number) for curve in curves] for number in every_round}
    enough = [of_round for of_round in sizes.values() if min(map(len, of_round)) >= crossovers.FEWEST_SIZES]
    if not enough:
        return None

    def rounds_with(wanted: list[frozenset[int]]) -> list[int]:
        return [number for number, has in sizes.items() if all(map(frozenset.issubset, wanted, has))]

    best = max(enough, key=lambda wanted: (len(rounds_with(wanted)), sum(map(len, wanted))))
    rounds = rounds_with(best)
    own, other = (_times(curve, sorted(kept), rounds) for curve, kept in zip(curves, best, strict=True))
    return crossovers.crossover(own, other, verdicts)


def _sizes(curve: dict[int, dict[int, float]], number: int) -> frozenset[int]:
    """Returns the numbers of rows for which an engine has a time in round `number`."""
    return frozenset(rows for rows, by_round in curve.items() if number in by_round)


def _largest_common(engine: EngineCurve, rival: EngineCurve) -> tuple[Cell, Cell] | None:
    """Returns the cells of the largest fraction on which both engines have a time for every execution.

    None if there is no such fraction.
    """
    for cell in reversed(engine.cells):
        other = rival.cell(cell.case.fraction)
        if other is not None and cell.has_every_time and other.has_every_time:
            return cell, other
    return None


def _timed(curve: EngineCurve) -> dict[int, dict[int, float]]:
    """Returns seconds by rows and round. A fraction is left out if one of its executions has no time."""
    return {cell.rows: cell.seconds_by_round() for cell in curve.cells if cell.has_every_time}


def _times(by_rows: dict[int, dict[int, float]], rows: Sequence[int], rounds: Sequence[int]) -> Times:
    return Times(np.array(rows, float), np.array([[by_rows[size][number] for size in rows] for number in rounds]))
