"""A loop that measures what the policy chooses, as records in a store, with times that a test gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sparkscale.analysis.questions.decide.costs import Costs
from sparkscale.analysis.questions.decide.grid import GridCell, Standing, Step
from sparkscale.analysis.questions.decide.policy import Policy
from sparkscale.contract.case import Case
from sparkscale.contract.record import Outcome
from sparkscale.store.store import Store
from tests.builders import FRACTIONS, Writer, case

ROUNDS = 6
MOST_STEPS = 120

Seconds = Callable[[float], float]
"""Returns the seconds that an engine takes for a fraction."""


def cell(engine: str, fraction: float, rounds: int = ROUNDS, cluster: str = "local", cores: int = 2) -> GridCell:
    """Returns the cell of the case that `tests.builders.case` makes."""
    of_cell = on(case(engine, fraction), cluster)
    return GridCell(
        of_cell.experiment,
        of_cell.workload,
        engine,
        of_cell.placement,
        cluster,
        "cpu",
        fraction,
        of_cell.rows,
        "aligned",
        2,
        cores,
        rounds,
        of_cell.placement,
    )


def on(of_case: Case, cluster: str) -> Case:
    return of_case.model_copy(update={"cluster": cluster})


@dataclass
class Loop:
    """Measures the steps of a policy. `seconds` has the time of each engine, and `noise` that of its scores.

    An engine that `fails` names fails from a fraction on. `wobble` is the factor of a round's time.
    """

    store: Store
    seconds: Mapping[str, Seconds]
    questions: Sequence[str] = ("engine",)
    noise: Mapping[str, Callable[[float], float]] = field(default_factory=dict)
    fails: Mapping[str, tuple[float, Outcome]] = field(default_factory=dict)
    wobble: Callable[[str, int], float] = lambda engine, number: 1 + ((number * 7 + len(engine)) % 5 - 2) / 100
    fractions: Sequence[float] = tuple(FRACTIONS)
    rounds: int = ROUNDS
    clusters: Mapping[str, int] = field(default_factory=lambda: {"local": 2})
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.grid = [
            cell(engine, fraction, self.rounds, cluster, cores)
            for cluster, cores in self.clusters.items()
            for engine in self.seconds
            for fraction in self.fractions
        ]
        self.policy = Policy(self.grid, self.questions)
        self.write = Writer(self.store, change=lambda _: {"deadline_seconds": 300.0, "start_seconds": 1.0})

    def run(self, seconds_left: float = 1e9) -> dict[str, Standing]:
        """Measures until the policy stops. Returns where each question stands."""
        for _ in range(MOST_STEPS):
            step = self.next(seconds_left)
            if step is None:
                return {standing.question: standing for standing in self.standings()}
            self.steps.append(step)
            self.measure(step)
            seconds_left -= step.seconds
        raise AssertionError("The policy does not stop.")

    def standings(self) -> list[Standing]:
        return self.policy.standings(self.store, self.store.records())

    def next(self, seconds_left: float = 1e9) -> Step | None:
        records = self.store.records()
        return self.policy.next_step(self.store, records, Costs(self.grid, records), seconds_left)

    def measure(self, step: Step) -> None:
        for piece in step.pieces:
            engine, fraction, number = piece.cell.engine, piece.cell.fraction, piece.round
            of_case = on(case(engine, fraction, seed=number), piece.cell.cluster)
            first, outcome = self.fails.get(engine, (2.0, "failed"))
            if fraction >= first:
                self.write(of_case, number, outcome=outcome, phase="fit" if outcome == "timeout" else None)
                continue
            noise = self.noise[engine](fraction) if engine in self.noise else None
            seconds = self.seconds[engine](fraction) * self.wobble(engine, number)
            seconds *= 2 / piece.cell.cores if piece.cell.placement == "spark" else 1
            self.write(of_case, number, seconds=seconds, noise=noise)

    @property
    def measured(self) -> set[tuple[str, float]]:
        """The engine and the fraction of each cell that was measured."""
        return {(piece.cell.engine, piece.cell.fraction) for step in self.steps for piece in step.pieces}
