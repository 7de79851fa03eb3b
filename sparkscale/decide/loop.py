"""Measures what the policy chooses, one step after the other, until nothing is open or the time is over."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sparkscale.analysis.questions.decide.costs import Costs
from sparkscale.analysis.questions.decide.grid import GridCell, Standing, Step
from sparkscale.analysis.questions.decide.policy import Policy
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.decide.grid import RunGrid, grid_of, is_needed
from sparkscale.decide.live import View
from sparkscale.decide.request import CONFIDENCE, DecideRequest, measuring_request
from sparkscale.decide.shortage import check_time
from sparkscale.measure.run.ledger import Ledger
from sparkscale.measure.run.opened import Data, OpenedRun, Plan
from sparkscale.measure.run.run import open_run
from sparkscale.measure.run.runner import Times
from sparkscale.store.invocation import Invocation

MOST_FRUITLESS = 2
"""The most steps in a row without a new record, such as steps that end with the time."""


@dataclass(frozen=True)
class Decided:
    """A run of `decide` that ended. `standings` say where each question stands, and `stopped` why it ended.

    `notes` holds sentences about cases that answer no question.
    `seconds` is the wall time of this call, and `records` holds the records of the run, with earlier calls.
    """

    invocation: Invocation
    cells: tuple[GridCell, ...]
    standings: tuple[Standing, ...]
    records: tuple[RunRecord, ...]
    seconds: float
    within_seconds: float
    stopped: str
    notes: tuple[str, ...] = ()

    @property
    def is_resolved(self) -> bool:
        return all(standing.is_resolved for standing in self.standings)


def decide(request: DecideRequest, view: Callable[[float], View], ledger: Ledger) -> Decided:
    """Measures until every question of the request is resolved, or until its time is over.

    `view` gets the time (time.monotonic()) at which the time of the request is over, and returns what shows the
    progress. The time counts from the start of `ledger`. Raises ConfigError if the request is wrong, and
    DatasetError if its data is wrong, before anything is stored.
    """
    measured = measuring_request(request)
    ends_at = ledger.started + request.within_seconds
    views: list[View] = []
    checked: list[tuple[RunGrid, Policy]] = []

    def begin() -> View:
        views.append(view(ends_at))
        return views[0]

    def check(invocation: Invocation, plan: Plan, data: Data) -> None:
        grid = grid_of(invocation, plan, data)
        policy = Policy(grid.cells, invocation.questions, invocation.confidence or CONFIDENCE)
        awaited = [cell for cell in policy.candidates if is_needed(cell, policy.questions)]
        if not awaited:
            raise ConfigError(
                f"No engine on one node of the suite {plan.suite.name} can run here, and the question "
                f"'{policy.questions[0]}' is about such engines: choose another suite or question."
            )
        seconds_left = ends_at - time.monotonic()
        if not request.resume and (note := check_time(awaited, seconds_left, request.within_seconds)):
            views[0].note(note)
        checked.append((grid, policy))

    with open_run(measured, begin, ledger, check, keeps_worker=True) as run:
        grid, policy = checked[0]
        return _Loop(run, grid, policy, views[0], ends_at).run(ledger, request.within_seconds)


@dataclass
class _Loop:
    """The steps of one call."""

    opened: OpenedRun
    grid: RunGrid
    policy: Policy
    view: View
    ends_at: float
    _records: list[RunRecord] = field(default_factory=list)

    def run(self, ledger: Ledger, within_seconds: float) -> Decided:
        self._store_unsupported()
        stopped = self._measure()
        invocation = self.opened.invocation
        standings = self.policy.standings(self.opened.store, self._records)
        return Decided(
            invocation,
            self.grid.cells,
            tuple(standings),
            tuple(self._records),
            ledger.wall(),
            within_seconds,
            stopped,
            tuple(self.policy.notes),
        )

    def _measure(self) -> str:
        """Measures step by step. Returns why it ended."""
        fruitless = 0
        while True:
            before = len(self._records)
            self._read()
            fruitless = 0 if len(self._records) > before else fruitless + 1
            step = self._next()
            if step is None:
                return self.policy.why_stopped
            if fruitless > MOST_FRUITLESS:
                return "the last steps gave no record"
            self.view.step(step)
            times = Times(self.ends_at, time.monotonic() + step.at_most_seconds)
            for cluster, executions in self.grid.chosen(step.pieces):
                self.opened.measure(cluster, executions, times)

    def _next(self) -> Step | None:
        """Shows where the questions stand. Returns the next step, or None if nothing more is to be measured."""
        store = self.opened.store
        self.view.doing("looking at the results")
        self.view.stand(self.policy.standings(store, self._records))
        seconds_left = self.ends_at - time.monotonic()
        opened = self.opened
        costs = Costs(self.grid.cells, self._records, self.grid.waiting(opened), self.grid.starting(opened))
        return self.policy.next_step(store, self._records, costs, seconds_left)

    def _read(self) -> None:
        self._records = self.opened.store.records(self.opened.invocation.id)

    def _store_unsupported(self) -> None:
        """Stores why a case cannot run here, as a run does, unless a call before this one did it."""
        known = {(record.case.id, record.round) for record in self.opened.earlier}
        for cluster, executions in self.grid.unsupported():
            missing = [one for one in executions if (one.case.id, one.round) not in known]
            if missing:
                self.opened.measure(cluster, missing)
