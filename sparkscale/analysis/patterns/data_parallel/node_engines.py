"""Compares the single-node engines of one comparison: their times in each round, and the quality they give up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sparkscale.analysis import metrics
from sparkscale.analysis.patterns.data_parallel.cell import Cell, Step
from sparkscale.analysis.patterns.data_parallel.comparison import EngineCurve, Tradeoff
from sparkscale.analysis.statistics import at_most, pairs, ratios_by_round
from sparkscale.contract.case import Placement
from sparkscale.contract.phrases import count


def placed(comparison: Tradeoff, placement: Placement) -> list[EngineCurve]:
    """Returns the curves of the engines with this placement, in the order of the comparison."""
    return [curve for curve in comparison.curves if curve.cells[0].case.placement == placement]


@dataclass(frozen=True)
class NodeEngines:
    """The single-node engines of a comparison, on one fraction.

    This is the largest fraction on which at least one of them has a time for every execution. `cells` holds the
    executions of each engine that has all its times. `without` holds a sentence about each other engine.
    """

    fraction: float
    cells: tuple[Cell, ...]
    without: tuple[str, ...]

    @classmethod
    def of(cls, comparison: Tradeoff) -> "NodeEngines | None":
        """Returns the engines. None if no single-node engine has a time in every round."""
        curves = placed(comparison, "node")
        timed = [(cell.case.fraction, cell) for curve in curves for cell in curve.cells if cell.has_every_time]
        if not timed:
            return None
        fraction = max(of_cell for of_cell, _ in timed)
        cells = [cell for of_cell, cell in timed if of_cell == fraction]
        others = [cell for curve in curves if (cell := curve.cell(fraction)) is not None and cell not in cells]
        return cls(fraction, tuple(cells), tuple(map(_failures, others)))

    @cached_property
    def gives_up(self) -> dict[str, Step]:
        """The quality that each engine's model gives up against the best model, by engine.

        The best model has the best estimate of its quality. It is left out. Engines without stored scores are left
        out, too.
        """
        judged = [cell for cell in self.cells if cell.qualities and cell.quality]
        if not judged:
            return {}
        sign = judged[0].criterion.sign
        best = max(judged, key=lambda cell: sign * cell.quality.value if cell.quality else 0.0)
        steps = {cell.case.engine: Step.between(best, cell) for cell in judged if cell is not best}
        return {engine: step for engine, step in steps.items() if step}

    @cached_property
    def worse(self) -> dict[str, Step]:
        """The engines with a model that is shown to be worse than the best model by more than the tolerance.

        Each has the quality that its model gives up.
        """
        return {engine: step for engine, step in self.gives_up.items() if step.verdict == "not enough"}

    @cached_property
    def candidates(self) -> list[Cell]:
        """The engines to choose from, the fastest first. The engines in `worse` are left out."""
        kept = [cell for cell in self.cells if cell.case.engine not in self.worse]
        return sorted(kept, key=lambda cell: cell.seconds.median if cell.seconds else 0.0)

    @property
    def fastest(self) -> Cell:
        """The fastest of the candidates."""
        return self.candidates[0]

    @property
    def verdicts(self) -> int:
        """The number of verdicts that are made together: one for each pair of engines."""
        return pairs(len(self.candidates))

    def ratios(self, rival: Cell) -> list[float]:
        """Returns the time of a rival divided by that of the fastest engine, round by round."""
        return ratios_by_round(rival.seconds_by_round(), self.fastest.seconds_by_round())

    def is_resolved(self, rival: Cell) -> bool:
        """Returns true if the fastest engine is significantly faster than this rival."""
        return at_most(self.ratios(rival), 1.0, self.verdicts) is False

    @property
    def rounds(self) -> int:
        """The fewest rounds that the fastest engine shares with a rival. Its own rounds if there is no rival."""
        own = len(self.fastest.seconds_by_round())
        return min((len(self.ratios(rival)) for rival in self.candidates[1:]), default=own)

    @property
    def unresolved(self) -> Sequence[Cell]:
        """The rivals that may be as fast as the fastest engine: no significant difference was measured."""
        return [rival for rival in self.candidates[1:] if not self.is_resolved(rival)]


def _failures(cell: Cell) -> str:
    """Returns a sentence about an engine that lacks a time, such as "xgboost: timeout in 1 of 5 executions."."""
    executions = [record for record in metrics.latest(cell.records) if not record.isolated]
    outcomes = Counter(record.outcome for record in executions if record.outcome != "ok")
    of_all = count(len(executions), "execution")
    parts = [f"{outcome} in {number} of {of_all}" for outcome, number in outcomes.items()]
    return f"{cell.case.engine}: {', '.join(parts) or 'no execution has a time'}."
