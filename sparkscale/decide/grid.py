"""The grid of a run: the cells that its suite has on the data, and the execution behind each piece."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cluster.budget import Budget
from cluster.profile import ClusterProfile
from sparkscale.analysis.questions.decide.costs import Waiting
from sparkscale.analysis.questions.decide.grid import CLUSTER, WORKERS, GridCell, Piece
from sparkscale.contract.errors import ConfigError
from sparkscale.measure.plan.rounds import Execution, planned_executions
from sparkscale.measure.run.opened import Data, OpenedRun, Plan
from sparkscale.measure.worker.startup import Session
from sparkscale.store.invocation import Invocation

UNKNOWN_CLUSTER_SECONDS = 15.0
"""The seconds that daemons take to start and to be examined, before any have started."""


@dataclass(frozen=True)
class RunGrid:
    """The cells of a run, and the executions behind them, by profile, key and round of their cell."""

    cells: tuple[GridCell, ...]
    executions: dict[tuple[str, str, int], tuple[ClusterProfile, Execution]]

    @property
    def runnable(self) -> list[GridCell]:
        """The cells that can run here."""
        return [cell for cell in self.cells if not cell.unsupported]

    def chosen(self, pieces: Iterable[Piece]) -> Iterator[tuple[ClusterProfile, list[Execution]]]:
        """Yields the executions of these pieces, profile by profile."""
        by_profile: dict[ClusterProfile, list[Execution]] = defaultdict(list)
        for piece in pieces:
            profile, execution = self.executions[piece.cell.cluster, piece.cell.key, piece.round]
            by_profile[profile].append(execution)
        yield from by_profile.items()

    def waiting(self, run: OpenedRun) -> Waiting | None:
        """Returns the worker of a run that waits for the next step. None if there is none."""
        if run.waiting is None:
            return None
        profile, number, worker, warm = run.waiting
        keys = [
            key
            for (cluster, key, round_number), (_, execution) in self.executions.items()
            if (cluster, round_number) == (profile.name, number)
            and execution.warmups
            and execution.warmup_key in warm
        ]
        return Waiting(number, profile.name, worker_text(worker), frozenset(keys))

    def starting(self, run: OpenedRun) -> dict[str, float]:
        """Returns how many seconds the start of each cluster takes, by profile. A running cluster is left out."""
        profiles = dict.fromkeys(profile for profile, _ in self.executions.values())
        return {
            profile.name: run.cluster_seconds.get(profile.name, UNKNOWN_CLUSTER_SECONDS)
            for profile in profiles
            if profile.starts_daemons and profile != run.running
        }

    def unsupported(self) -> Iterator[tuple[ClusterProfile, list[Execution]]]:
        """Yields the executions of the first round that cannot run here, profile by profile."""
        by_profile: dict[ClusterProfile, list[Execution]] = defaultdict(list)
        for profile, execution in self.executions.values():
            if execution.unsupported is not None and execution.round == 1:
                by_profile[profile].append(execution)
        yield from by_profile.items()


def executions_of(cells: Iterable[GridCell]) -> int:
    """Returns the number of executions that a run of all these cells would have. Some cells cannot run here."""
    return sum(cell.rounds for cell in cells if not cell.unsupported)


def is_needed(cell: GridCell, questions: Sequence[str]) -> bool:
    """Returns true if one of the questions is about the engine of this cell. Two are about one node only."""
    return cell.placement == "node" or not {CLUSTER, WORKERS}.isdisjoint(questions)


def grid_of(invocation: Invocation, plan: Plan, data: Data) -> RunGrid:
    """Returns the grid of a run. Cases in workers of their own are left out: they measure memory.

    Raises ConfigError if no cell can run here. The message has the reasons.
    """
    cells: list[GridCell] = []
    executions: dict[tuple[str, str, int], tuple[ClusterProfile, Execution]] = {}
    for profile, granted in plan.profiles.items():
        cases = [case for case in plan.cases if case.cluster == profile and not case.isolate]
        by_key: dict[str, list[Execution]] = defaultdict(list)
        for execution in planned_executions(cases, data[profile], granted, invocation.drawn, invocation.rounds):
            by_key[execution.case.experiment].append(execution)
        for key, of_cell in by_key.items():
            cells.append(_cell(key, of_cell, granted))
            executions |= {(profile.name, key, execution.round): (profile, execution) for execution in of_cell}
    grid = RunGrid(tuple(cells), executions)
    _check(grid, plan)
    return grid


def _cell(key: str, executions: list[Execution], granted: Budget) -> GridCell:
    first = executions[0]
    case = first.case
    reasons = [execution.unsupported for execution in executions]
    return GridCell(
        key=key,
        workload=case.workload,
        engine=case.engine,
        placement=case.placement,
        cluster=case.cluster,
        device=case.device,
        fraction=case.fraction,
        rows=case.rows,
        parameter_set=case.parameter_set,
        threads=case.threads,
        cores=granted.with_threads(case.placement, case.known_threads).cores_of(case.placement),
        rounds=len(executions),
        worker=worker_text(first.worker),
        isolated=False,
        unsupported=reasons[0] or "" if all(reason is not None for reason in reasons) else "",
    )


def worker_text(worker: Session) -> str:
    """Returns the properties of a worker as a text that is equal for cells that can share it."""
    return f"{worker.placement} {worker.threads} {worker.device}"


def _check(grid: RunGrid, plan: Plan) -> None:
    """Raises ConfigError if no cell of the grid can run here."""
    if not grid.cells:
        raise ConfigError(
            f"The suite {plan.suite.name} has only cases in workers of their own, which tell no warm times: choose "
            "another suite."
        )
    if not grid.runnable:
        reasons = dict.fromkeys(f"{cell.engine}: {cell.unsupported}" for cell in grid.cells)
        raise ConfigError(f"No engine of the suite {plan.suite.name} can run here. {'; '.join(reasons)}.")
