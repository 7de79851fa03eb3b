"""Runs the policy of `decide` against a world that hands out measurements, and counts what they cost.

A world is a recorded grid, or a synthetic one with a known truth. It knows the right answers (`Truth`).
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sparkscale.analysis.criterion import Criterion
from sparkscale.analysis.patterns.data_parallel.cell import Step
from sparkscale.analysis.questions.decide.costs import Costs, Waiting
from sparkscale.analysis.questions.decide.evidence import Failure
from sparkscale.analysis.questions.decide.grid import CLUSTER, ENGINE, SAMPLE, WORKERS, GridCell, Piece, Standing
from sparkscale.analysis.questions.decide.policy import Policy
from sparkscale.analysis.unit_quality import UnitQuality

MOST_STEPS = 400
"""A replay that has not ended after this number of steps is an error."""


@dataclass(frozen=True)
class Measured:
    """One measurement: the time to model, the seconds of all phases, and the quality, if there is one."""

    seconds: float | None
    total: float
    quality: UnitQuality | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Truth:
    """The right answers about one subject.

    `fastest` holds the engines that may be named the fastest. None if no engine would be wrong. `enough` says for
    each engine and fraction whether the fraction is enough; None if it is not known. `pays` says for each engine on
    Spark whether it pays; None if it is not known. `workers` is the right choice for the question about workers.
    """

    fastest: frozenset[str] | None
    enough: Mapping[tuple[str, float], bool | None]
    pays: Mapping[str, bool | None]
    workers: str | None = None

    def is_wrong(self, standing: Standing) -> bool:
        """Returns true if a resolved answer is the opposite of the truth. An unresolved answer is never wrong."""
        if not standing.is_resolved:
            return False
        if standing.question == ENGINE:
            return self.fastest is not None and standing.choice not in self.fastest
        if standing.question == SAMPLE:
            return self._is_wrong_sample(standing.choice)
        if standing.question == CLUSTER:
            return self._is_wrong_cluster(standing.choice)
        return standing.question == WORKERS and self.workers is not None and standing.choice != self.workers

    def _is_wrong_sample(self, choice: str) -> bool:
        fraction, _, engine = choice.partition(" for ")
        if fraction == "all rows":
            return self.enough.get((engine, 0.5)) is True
        numerator, _, denominator = fraction.partition("/")
        return self.enough.get((engine, int(numerator) / int(denominator or 1))) is False

    def _is_wrong_cluster(self, choice: str) -> bool:
        if choice == "no":
            return any(self.pays.values())
        engines = [part.partition(" from ")[0] for part in choice.split("; ")]
        return any(self.pays.get(engine) is False for engine in engines)


class World(Protocol):
    """Hands out measurements of a grid."""

    @property
    def name(self) -> str:
        """The name of the world, or of its kind."""

    @property
    def grid(self) -> Sequence[GridCell]:
        """The cells of the grid."""

    @property
    def truths(self) -> Mapping[str, Truth]:
        """The right answers, by the name of the subject."""

    def measure(self, piece: Piece) -> Measured:
        """Returns what one piece shows."""

    def start(self, cell: GridCell, number: int) -> float:
        """Returns the seconds that a worker for this cell takes to start in a round."""

    def warm_up(self, cell: GridCell, number: int) -> float:
        """Returns the seconds of the warm-ups of a cell's engine in a round."""

    def criterion(self, key: str) -> Criterion | None:
        """Returns the criterion of a cell."""

    def gives_up(self, whole: str, part: str, rounds: Sequence[int]) -> Step | None:
        """Returns the quality that a cell gives up against another in some rounds. Results may be cached."""

    def full_seconds(self) -> float:
        """Returns the seconds of the full grid, with starts and warm-ups."""


@dataclass
class Handed:
    """The evidence that a world has handed out so far."""

    world: World
    costs: Costs
    spent: float = 0.0
    measured: dict[str, dict[int, Measured]] = field(default_factory=lambda: defaultdict(dict))

    def take(self, pieces: Sequence[Piece]) -> None:
        """Measures the pieces of a step, and adds up what they cost.

        The last worker waits for the next step, as in `sparkscale decide`. So further pieces of its round cost no
        start, and engines for which it is warm cost no warm-up.
        """
        for piece in sorted(pieces, key=_worker):
            self._prepare(piece)
            one = self.world.measure(piece)
            self.costs.took(piece.cell.key, one.total)
            self.spent += one.total
            self.measured[piece.cell.key][piece.round] = one

    def _prepare(self, piece: Piece) -> None:
        """Starts a worker for a piece, and warms it up, unless the worker that waits is the right one and warm."""
        cell, waiting = piece.cell, self.costs.waiting
        if waiting is None or (waiting.round, waiting.cluster, waiting.worker) != _worker(piece):
            waiting = Waiting(*_worker(piece))
            seconds = self.world.start(cell, piece.round)
            self.costs.started(cell.cluster, cell.placement, seconds)
            self.spent += seconds
        if cell.key not in waiting.warm:
            seconds = self.world.warm_up(cell, piece.round)
            self.costs.warmed(cell, seconds)
            self.spent += seconds
            same = {one.key for one in self.world.grid if _engine(one) == _engine(cell)}
            waiting = replace(waiting, warm=waiting.warm | same)
        self.costs.waiting = waiting

    def seconds(self, key: str) -> Mapping[int, float]:
        """Returns the times to model of a cell in seconds, by round."""
        return {number: one.seconds for number, one in self.measured[key].items() if one.seconds is not None}

    def attempted(self, key: str) -> Collection[int]:
        """Returns the rounds in which a cell was measured."""
        return self.measured[key].keys()

    def failure(self, key: str) -> Failure | None:
        """Returns why a cell has no time. None if it did not fail."""
        return next((one.failure for one in self.measured[key].values() if one.failure), None)

    def gives_up(self, whole: str, part: str, most: int | None = None) -> Step | None:
        """Returns the quality that `part` gives up against `whole`. None if no round has both."""
        scored = [{n for n, one in self.measured[key].items() if one.quality is not None} for key in (whole, part)]
        rounds = sorted(scored[0] & scored[1])[:most]
        return self.world.gives_up(whole, part, rounds) if rounds else None

    def criterion(self, key: str) -> Criterion | None:
        """Returns the criterion of a cell. None if it was not measured."""
        return self.world.criterion(key) if self.measured[key] else None

    def records(self, keys: Iterable[str]) -> tuple[str, ...]:  # noqa: ARG002
        """Returns nothing: a world has no records."""
        return ()


def _worker(piece: Piece) -> tuple[int, str, str]:
    return piece.round, piece.cell.cluster, piece.cell.worker


def _engine(cell: GridCell) -> tuple[str, str, str, str]:
    return cell.workload, cell.engine, cell.cluster, cell.parameter_set


@dataclass(frozen=True)
class Ended:
    """How a replay ended. `share` is its time as a share of the full grid's. `wrong` holds the wrong answers."""

    world: str
    standings: tuple[Standing, ...]
    wrong: tuple[Standing, ...]
    share: float
    seconds: float
    steps: int
    why: str

    def resolved(self, question: str) -> list[bool]:
        """Returns, for each subject, whether a question is resolved."""
        return [standing.is_resolved for standing in self.standings if standing.question == question]


def replay(
    world: World,
    questions: Sequence[str],
    within: float = float("inf"),
    watch: Callable[[str], None] = lambda _: None,
) -> Ended:
    """Runs the policy against a world, until it stops. `within` limits the seconds. `watch` gets each step."""
    policy = Policy(world.grid, questions)
    costs = Costs(world.grid)
    handed = Handed(world, costs)
    for number in range(MOST_STEPS):
        states = policy.states(handed, costs, within - handed.spent)
        step = policy.chosen(states, costs, within - handed.spent)
        if step is None:
            break
        handed.take(step.pieces)
        watch(f"{number}: {handed.spent:.0f} s after {step.reason} ({len(step.pieces)} pieces)")
    else:
        raise RuntimeError(f"The replay of {world.name} did not end after {MOST_STEPS} steps.")
    standings = tuple(state.standing for state in states)
    wrong = tuple(standing for standing in standings if world.truths[standing.subject].is_wrong(standing))
    share = handed.spent / world.full_seconds()
    return Ended(world.name, standings, wrong, share, handed.spent, number, policy.why_stopped)
