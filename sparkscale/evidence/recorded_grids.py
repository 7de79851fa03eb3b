"""Recorded grids for `decide`: the policy measures by drawing recorded rounds, and the full grid is the truth.

A grid is what one run measured on one data set on one profile. Its answers are the ordinary ones, from all rounds.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from sparkscale.analysis import metrics
from sparkscale.analysis.blocks import Verdict
from sparkscale.analysis.criterion import Criterion, criterion_of
from sparkscale.analysis.patterns.data_parallel.cell import Step
from sparkscale.analysis.patterns.data_parallel.comparison import Tradeoff, comparisons
from sparkscale.analysis.patterns.data_parallel.node_engines import NodeEngines
from sparkscale.analysis.patterns.data_parallel.rivalry import Rivalry
from sparkscale.analysis.patterns.data_parallel.scores import reading
from sparkscale.analysis.patterns.data_parallel.spark_pays import SparkPays
from sparkscale.analysis.questions.decide.evidence import Failure
from sparkscale.analysis.questions.decide.field import subject_name, subjects
from sparkscale.analysis.questions.decide.grid import PATTERN, GridCell, Piece
from sparkscale.analysis.statistics import FEWEST_ROUNDS
from sparkscale.analysis.unit_quality import UnitQuality
from sparkscale.contract.record import RunRecord
from sparkscale.evidence.replays import Measured, Truth
from sparkscale.store import archive
from sparkscale.store.store import Store

Engine = tuple[str, str, str]


@dataclass
class RecordedGrid:
    """The records of one grid. `best_guess` has the truth if the full grid's best estimate counts as the truth.

    `truths` has only what the full grid resolves. Both are by subject.
    """

    name: str
    grid: Sequence[GridCell]
    measured: Mapping[str, Mapping[int, Measured]]
    starts: Mapping[tuple[str, int], float]
    warm_ups: Mapping[tuple[Engine, int], float]
    criteria: Mapping[str, Criterion]
    truths: Mapping[str, Truth]
    best_guess: Mapping[str, Truth]
    rounds: int
    steps: dict[tuple[str, str, frozenset[int]], Step | None] = field(default_factory=dict)

    @cached_property
    def total(self) -> float:
        """The seconds of all recorded rounds, with starts and warm-ups."""
        pieces = sum(one.total for by_round in self.measured.values() for one in by_round.values())
        return pieces + sum(self.starts.values()) + sum(self.warm_ups.values())

    def step(self, whole: str, part: str, rounds: frozenset[int]) -> Step | None:
        """Returns the quality that a cell gives up against another in some recorded rounds."""
        key = (whole, part, rounds)
        if key not in self.steps:
            pairs = [
                (better, worse)
                for number in sorted(rounds)
                if (better := self.measured[whole][number].quality) is not None
                and (worse := self.measured[part][number].quality) is not None
            ]
            fraction = next(cell.fraction for cell in self.grid if cell.key == part)
            self.steps[key] = Step.of(fraction, pairs, self.criteria[part]) if pairs else None
        return self.steps[key]


@dataclass(frozen=True)
class Redrawn:
    """A recorded grid with its rounds in random order. Equal seeds give equal orders."""

    recorded: RecordedGrid
    seed: int

    @property
    def name(self) -> str:
        """The name of the grid."""
        return self.recorded.name

    @property
    def grid(self) -> Sequence[GridCell]:
        """The cells of the grid."""
        return self.recorded.grid

    @property
    def truths(self) -> Mapping[str, Truth]:
        """What the full grid resolves."""
        return self.recorded.truths

    @cached_property
    def _order(self) -> list[int]:
        order = np.random.default_rng([self.seed, self.recorded.rounds]).permutation(self.recorded.rounds)
        return [int(one) + 1 for one in order]

    def _recorded_round(self, key: str, number: int) -> int:
        """Returns the recorded round of a cell that is its round `number` here."""
        return [one for one in self._order if one in self.recorded.measured[key]][number - 1]

    def measure(self, piece: Piece) -> Measured:
        """Returns what one piece shows."""
        key = piece.cell.key
        return self.recorded.measured[key][self._recorded_round(key, piece.round)]

    def start(self, cell: GridCell, number: int) -> float:
        """Returns the recorded seconds of a worker's start."""
        return self.recorded.starts.get((cell.placement, self._order[number - 1]), 0.0)

    def warm_up(self, cell: GridCell, number: int) -> float:
        """Returns the recorded seconds of the warm-ups of a cell's engine."""
        engine = (cell.workload, cell.engine, cell.parameter_set)
        return self.recorded.warm_ups.get((engine, self._order[number - 1]), 0.0)

    def criterion(self, key: str) -> Criterion | None:
        """Returns the criterion of a cell."""
        return self.recorded.criteria.get(key)

    def gives_up(self, whole: str, part: str, rounds: Sequence[int]) -> Step | None:
        """Returns the quality that a cell gives up against another in some rounds."""
        common = [self._recorded_round(part, number) for number in rounds]
        return self.recorded.step(
            whole, part, frozenset(one for one in common if one in self.recorded.measured[whole])
        )

    def full_seconds(self) -> float:
        """Returns the seconds of all recorded rounds, with starts and warm-ups."""
        return self.recorded.total


def recorded_grids(paths: Sequence[Path]) -> list[RecordedGrid]:
    """Returns the grids in archives and folders: one for each run, data set and profile.

    Raises ConfigError if a path has no records.
    """
    grids = []
    for path in paths:
        with Store.existing(path) if path.is_dir() else archive.unpacked(path) as store:
            groups: dict[tuple[str, str, str], list[RunRecord]] = defaultdict(list)
            for record in store.records():
                if record.case.pattern == PATTERN and not record.case.is_published:
                    groups[record.invocation, record.case.dataset_id, record.case.cluster].append(record)
            grids += [_grid(store, path.stem, records) for records in groups.values()]
    return [grid for grid in grids if grid.grid]


def _grid(store: Store, name: str, records: Sequence[RunRecord]) -> RecordedGrid:
    by_key: dict[str, dict[int, RunRecord]] = defaultdict(dict)
    for record in metrics.latest(records):
        if not record.isolated:
            by_key[record.case.experiment][record.round] = record
    grid = [_cell(of_cell) for of_cell in by_key.values()]
    starts: dict[tuple[str, int], float] = {}
    warm_ups: dict[tuple[Engine, int], float] = defaultdict(float)
    for record in records:
        case = record.case
        if record.start_seconds is not None and not record.isolated:
            starts[case.placement, record.round] = record.start_seconds
        if record.is_warmup:
            engine = (case.workload, case.engine, case.parameter_set)
            warm_ups[engine, record.round] += sum(record.seconds.values())
    tradeoffs = {_name(one): one for one in comparisons(store, records)}
    return RecordedGrid(
        f"{name}, {records[0].case.dataset}",
        grid,
        {key: {number: _measured(store, one) for number, one in of_cell.items()} for key, of_cell in by_key.items()},
        starts,
        warm_ups,
        {key: criterion_of(next(iter(of_cell.values()))) for key, of_cell in by_key.items()},
        {subject.name: _truth(tradeoffs[subject.name], guess=False) for subject in subjects(grid)[0]},
        {subject.name: _truth(tradeoffs[subject.name], guess=True) for subject in subjects(grid)[0]},
        max(record.round for record in records),
    )


def _name(comparison: Tradeoff) -> str:
    case = comparison.case
    return subject_name(case.workload, case.parameter_set, case.device)


def _cell(by_round: Mapping[int, RunRecord]) -> GridCell:
    record = next(iter(by_round.values()))
    case = record.case
    return GridCell(
        case.experiment,
        case.workload,
        case.engine,
        case.placement,
        case.cluster,
        case.device,
        case.fraction,
        case.rows,
        case.parameter_set,
        case.threads,
        record.resources.cores or 1,
        len(by_round),
        case.placement,
        unsupported=record.error.first_line if record.outcome == "unsupported" and record.error else "",
    )


def _measured(store: Store, record: RunRecord) -> Measured:
    total = sum(record.seconds.values())
    if record.outcome != "ok":
        limit = record.deadline_seconds if metrics.timeouts([record]) else None
        message = record.error.first_line if record.error else ""
        return Measured(None, record.deadline_seconds or total, failure=Failure(record.outcome, message, limit))
    seconds = metrics.time_to_model(record) if metrics.timed([record]) else None
    return Measured(seconds, total, _quality(store, record))


def _quality(store: Store, record: RunRecord) -> UnitQuality | None:
    criterion = criterion_of(record)
    if not criterion.judged.estimator:
        return None
    try:
        return reading(store, record, criterion)()[0]
    except KeyError:
        return None


def _truth(comparison: Tradeoff, guess: bool) -> Truth:
    """Returns the full grid's answers. If `guess` is true, its best estimates count even if they are not resolved."""
    node = NodeEngines.of(comparison)
    fastest = None
    if node and (guess or (not node.unresolved and node.rounds >= FEWEST_ROUNDS)):
        fastest = frozenset({node.fastest.case.engine})
    enough: dict[tuple[str, float], bool | None] = {}
    for curve in comparison.curves:
        for step in curve.steps:
            verdict = {"enough": True, "not enough": False}.get(step.verdict)
            enough[curve.engine, step.fraction] = (
                step.estimate.value <= step.tolerance if verdict is None and guess else verdict
            )
    known: dict[Verdict, bool | None] = {"yes": True, "no": False, "not resolved": None}
    pays = {
        rivalry.engine.engine: _guessed(rivalry) if guess else known[rivalry.verdict]
        for rivalry in SparkPays(comparison).best_on_node
    }
    return Truth(fastest, enough, pays)


def _guessed(rivalry: Rivalry) -> bool | None:
    """Returns whether an engine on Spark pays by the best estimate."""
    if rivalry.verdict != "not resolved":
        return rivalry.verdict == "yes"
    if rivalry.crossover is None:
        return rivalry.slowness < 1
    return bool(np.isfinite(rivalry.crossover.rows))
