"""Chooses what to measure next, and says where each question stands."""

from collections.abc import Sequence

from sparkscale.analysis.questions.decide.costs import Costs
from sparkscale.analysis.questions.decide.grid import PATTERN, QUESTIONS, GridCell, Piece, Standing, Step
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store


class Policy:
    """Chooses among the cells of a grid. `why_stopped` says why `next_step` returned None.

    Raises ConfigError if a question is unknown, or if a workload has another pattern than `data_parallel`.
    """

    def __init__(self, grid: Sequence[GridCell], questions: Sequence[str], confidence: float = 0.95) -> None:
        for question in questions:
            if question not in QUESTIONS:
                raise ConfigError(f"Unknown question '{question}': choose from {', '.join(QUESTIONS)}, all.")
        other = {cell.workload for cell in grid if not cell.workload.startswith(f"{PATTERN}.")}
        if other:
            raise ConfigError(f"decide answers questions about {PATTERN} workloads, not about {min(other)}.")
        self.grid = tuple(grid)
        self.questions = tuple(questions)
        self.confidence = confidence
        self.why_stopped = ""

    def standings(self, store: Store, records: Sequence[RunRecord]) -> list[Standing]:
        """Returns where each question stands, in the order of the questions."""
        return [
            Standing(question, "not resolved", "", "Nothing is known yet.", "nothing is known yet", ())
            for question in self.questions
        ]

    def next_step(self, store: Store, records: Sequence[RunRecord], costs: Costs, seconds_left: float) -> Step | None:
        """Returns what to measure next.

        None if every question is resolved, or if nothing that helps ends in the time that is left. `why_stopped` then
        says why. No step has an `at_most_seconds` above `seconds_left`.
        """
        measured = {(record.case.experiment, record.round) for record in records if not record.is_warmup}
        pieces = [
            Piece(cell, number)
            for cell in sorted(self.grid, key=lambda cell: (cell.fraction, cell.placement))
            if not cell.unsupported
            for number in range(1, cell.rounds + 1)
            if (cell.key, number) not in measured
        ]
        for piece in sorted(pieces, key=lambda piece: piece.round):
            seconds, at_most = costs.predicted((piece,))
            if at_most <= seconds_left:
                return Step((piece,), seconds, at_most, "the cheapest cells first")
        self.why_stopped = "everything was measured" if not pieces else "no cell ends in the time that is left"
        return None
