"""Chooses what to measure next, and says where each question stands.

Every question says what it needs: pieces, the part of the question that they are about, and the seconds that this
part probably still takes. Pieces of one round and one profile are measured together, because they share the start of
workers. The step with the most questions resolved per second comes first.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparkscale.analysis.questions.decide.costs import Costs
from sparkscale.analysis.questions.decide.engines import Nodes
from sparkscale.analysis.questions.decide.evidence import Evidence, Observed
from sparkscale.analysis.questions.decide.field import subjects
from sparkscale.analysis.questions.decide.grid import (
    CLUSTER,
    ENGINE,
    PATTERN,
    QUESTIONS,
    SAMPLE,
    GridCell,
    Piece,
    Standing,
    Step,
)
from sparkscale.analysis.questions.decide.levels import Levels
from sparkscale.analysis.questions.decide.noise import Noise
from sparkscale.analysis.questions.decide.samples import Samples
from sparkscale.analysis.questions.decide.situation import Need, Situation, State
from sparkscale.analysis.questions.decide.spark import Spark
from sparkscale.analysis.questions.decide.workers import Workers
from sparkscale.analysis.unit_quality import UnitQuality
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store


class Policy:
    """Chooses among the cells of a grid.

    `confidence` holds for all answers together. `notes` holds sentences about cells that answer no question.
    `why_stopped` says why `next_step` returned None.

    Raises ConfigError if a question is unknown, if a workload has another pattern than `data_parallel`, or if the
    grid has no cell that answers a question.
    """

    def __init__(self, grid: Sequence[GridCell], questions: Sequence[str], confidence: float = 0.95) -> None:
        for question in questions:
            if question not in QUESTIONS:
                raise ConfigError(f"Unknown question '{question}': choose from {', '.join(QUESTIONS)}, all.")
        other = {cell.workload for cell in grid if not cell.workload.startswith(f"{PATTERN}.")}
        if other:
            raise ConfigError(f"decide answers questions about {PATTERN} workloads, not about {min(other)}.")
        self.grid = tuple(grid)
        self.questions = tuple(question for question in QUESTIONS if question in questions)
        self.confidence = confidence
        self.subjects, self.notes = subjects(grid)
        if not self.subjects or not self.questions:
            raise ConfigError("The grid has no case that answers a question: give a suite with data-parallel cases.")
        self.why_stopped = ""
        self._qualities: dict[str, UnitQuality | None] = {}

    @property
    def candidates(self) -> list[GridCell]:
        """The cells that can run here and may be measured."""
        tracks = [track for subject in self.subjects for track in (*subject.node, *subject.spark)]
        return [cell for track in tracks for cell in track.cells if not cell.unsupported]

    def standings(self, store: Store, records: Sequence[RunRecord]) -> list[Standing]:
        """Returns where each question stands: for each question, each subject."""
        states = self.states(Observed(store, records, self._qualities), Costs(self.grid, records))
        return [state.standing for state in states]

    def next_step(self, store: Store, records: Sequence[RunRecord], costs: Costs, seconds_left: float) -> Step | None:
        """Returns what to measure next.

        None if every question is resolved, or if nothing that helps ends in the time that is left. `why_stopped` then
        says why. No step has an `at_most_seconds` above `seconds_left`.
        """
        states = self.states(Observed(store, records, self._qualities), costs, seconds_left)
        return self.chosen(states, costs, seconds_left)

    def states(self, evidence: Evidence, costs: Costs, seconds_left: float = math.inf) -> list[State]:
        """Returns the state of each question and subject. Needs prefer sizes that end in the time that is left."""
        noises = self._noises(evidence)
        alpha = (1 - self.confidence) / len(self.questions) / len(self.subjects)
        by_question: dict[str, list[State]] = defaultdict(list)
        for subject in self.subjects:
            levels = Levels(alpha, subject.rounds)
            situation = Situation(subject, evidence, costs, levels, noises, seconds_left)
            for question, state in self._of_subject(situation):
                by_question[question].append(state)
        return [state for question in self.questions for state in by_question[question]]

    def _of_subject(self, situation: Situation) -> Iterator[tuple[str, State]]:
        nodes = Nodes(situation)
        spark = Spark(situation, nodes)
        for question in self.questions:
            if question == SAMPLE:
                yield question, _with_first(Samples(situation, nodes).state(), nodes)
            elif question == ENGINE:
                yield question, nodes.state()
            elif question == CLUSTER:
                yield question, spark.state()
            else:
                yield question, Workers(situation, nodes, spark).state()

    def _noises(self, evidence: Evidence) -> dict[tuple[str, str], Noise]:
        """Returns the noise of each place, from all subjects together."""
        cells: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
        for subject in self.subjects:
            for track in (*subject.node, *subject.spark):
                for cell in track.cells:
                    cells[track.place].append(list(evidence.seconds(cell.key).values()))
        return {place: Noise.pooled(of_place) for place, of_place in cells.items()}

    def chosen(self, states: Sequence[State], costs: Costs, seconds_left: float) -> Step | None:
        """Returns the step that resolves the most per second, among those that end in the time that is left."""
        self.why_stopped = ""
        groups: dict[tuple[int, str, str], list[Need]] = defaultdict(list)
        for state in states:
            for need in state.needs:
                for key, part in _by_worker(need):
                    groups[key].append(part)
        best: _Batch | None = None
        for needs in groups.values():
            batch = _batch(needs, costs, seconds_left)
            if batch and (best is None or batch.score > best.score):
                best = batch
        if best:
            return best.step
        self.why_stopped = self._why(states, bool(groups))
        return None

    def _why(self, states: Sequence[State], has_needs: bool) -> str:
        if all(state.standing.is_resolved for state in states) and not has_needs:
            return "every question is resolved"
        if has_needs:
            return "no step that helps is sure to end in the time that is left"
        return "nothing more in this grid would resolve what is open"


@dataclass(frozen=True)
class _Batch:
    """Needs that are measured together. `score` is the part of all questions that they resolve per second."""

    step: Step
    score: float


def _by_worker(need: Need) -> Iterator[tuple[tuple[int, str, str], Need]]:
    """Yields the parts of a need that are of one round and one kind of worker."""
    groups: dict[tuple[int, str, str], list[Piece]] = defaultdict(list)
    for piece in need.pieces:
        groups[piece.round, piece.cell.cluster, piece.cell.placement].append(piece)
    for key, pieces in groups.items():
        yield key, Need(tuple(pieces), need.share / len(groups), need.to_resolve, need.reason)


def _batch(needs: Sequence[Need], costs: Costs, seconds_left: float) -> _Batch | None:
    """Returns the best of the needs, with others that are cheap beside it. None if none ends in time."""
    order = sorted(needs, key=lambda need: need.share / max(1e-9, need.to_resolve), reverse=True)
    best: _Batch | None = None
    pieces: tuple[Piece, ...] = ()
    worth = 0.0
    reason = ""
    for need in order:
        added = tuple(dict.fromkeys((*pieces, *need.pieces)))
        seconds, at_most = costs.predicted(added)
        if at_most > seconds_left:
            continue
        # a need that takes several steps is worth only a part of what it resolves
        alone = costs.predicted(need.pieces)[0]
        value = worth + need.share * min(1.0, alone / max(1e-9, need.to_resolve))
        score = value / max(1e-9, seconds)
        if best is None or score >= best.score:
            reason = reason or need.reason
            best = _Batch(Step(added, seconds, at_most, reason), score)
            pieces, worth = added, value
    return best


def _with_first(state: State, nodes: Nodes) -> State:
    """Adds what finds the fastest engine, if the question about samples does not know it yet.

    It is worth as much as a part of the question.
    """
    if state.standing.is_resolved and not state.needs:
        return state
    if nodes.is_resolved:
        return state
    needs = [Need(need.pieces, need.share / 2, need.to_resolve, need.reason) for need in nodes.needs()]
    return State(state.standing, (*state.needs, *needs))
