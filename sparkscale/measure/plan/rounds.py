"""What is executed: one execution of each case in each of its rounds, in random order, grouped by worker."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cluster.budget import Budget
from sparkscale.contract.case import Case
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.seeds import Seeds
from sparkscale.measure.plan.cases import PlannedCase, shared_worker
from sparkscale.measure.worker.startup import Session

FRACTIONS = tuple(2.0**-j for j in range(6, -1, -1))
"""Every sample that a case can have, the smallest first."""


@dataclass(frozen=True)
class Execution:
    """One case, once: in one round; isolated when nothing may have run in its worker before."""

    case: Case
    round: int
    isolated: bool
    warmups: tuple[Case, ...]
    """Warm-ups to try in this order until one succeeds, the smallest sample first."""
    unsupported: str | None

    @property
    def key(self) -> tuple[str, int, bool]:
        return self.case.id, self.round, self.isolated

    @property
    def warmup_key(self) -> str:
        """Executions with the same key share a warm-up: their cases differ in their sample only."""
        return self.warmups[0].id

    @property
    def session(self) -> Session:
        return Session(self.case.placement, self.case.threads, self.case.device)

    @property
    def worker(self) -> Session:
        """What executions must share to share a worker."""
        return shared_worker(self.session, self.case.cluster_kind)


def planned_executions(
    planned: list[PlannedCase],
    data: dict[str, PreparedDataset],
    budget: Budget,
    seeds: Seeds,
    rounds: int,
) -> list[Execution]:
    """All executions on one profile, each case once in each of its rounds with that round's seeds; equal ones once.

    Isolated cases that have fewer rounds than the run are spread over its rounds, those of each kind of worker apart:
    the first of a round begins a worker that others share, any further one needs a worker of its own.
    """
    isolated: Counter[Session] = Counter()
    bound = {
        number: [case.bind(data[case.dataset], budget, seeds, number) for case in planned]
        for number in range(1, max([rounds, *(case.rounds for case in planned)]) + 1)
    }
    found: dict[tuple[str, int, bool], Execution] = {}
    for position, planned_case in enumerate(planned):
        its_data = data[planned_case.dataset]
        worker = planned_case.worker(budget)
        isolated[worker] += planned_case.isolate
        for turn in range(1, planned_case.rounds + 1):
            number = (turn - 1 + isolated[worker]) % rounds + 1 if planned_case.isolate else turn
            case = bound[number][position]
            reason = planned_case.unsupported(its_data, case.rows, budget, case.sample_seed)
            warmups = _warmups(planned_case, its_data, budget, seeds, number) if reason is None else ()
            execution = Execution(case, number, planned_case.isolate, warmups, reason)
            found.setdefault(execution.key, execution)
    return list(found.values())


def _warmups(
    planned: PlannedCase, data: PreparedDataset, budget: Budget, seeds: Seeds, number: int
) -> tuple[Case, ...]:
    """The case's engine and parameters on every sample that it can run on, the smallest first.

    A filter, or a suite, changes nothing about it. The pattern's `warmup` replaces parameters. An engine that is
    given a model has one sample only, for each further one would need reference predictions of its own.
    """
    pattern = planned.workload.pattern
    possible = []
    for fraction in FRACTIONS:
        sample = replace(planned, fraction=fraction)
        case = sample.bind(data, budget, seeds, number)
        if sample.unsupported(data, case.rows, budget, case.sample_seed) is None:
            possible.append(case.model_copy(update={"params": {**case.params, **pattern.warmup}}))
    files = pattern.warms_each_slot and possible
    least = data.fraction_of_files(budget.cores, possible[0].sample_seed) if files else 0.0
    found = [case for case in possible if case.fraction >= least] or possible
    return tuple(found[:1] if planned.engine.model_placement else found)


def worker_queues(planned: list[Execution], seed: int) -> Iterator[list[Execution]]:
    """Executions that share a worker, round after round; groups, and executions in them, in random order.

    Those of one session follow each other, and sessions take turns in being the first of a round. An isolated
    execution needs a worker in which nothing ran before. The start of a shared worker is such a place, so the first
    of a round goes there, where it saves a worker. The others get their own workers.
    """
    order = random.Random(seed)
    sessions = list(dict.fromkeys(execution.session for execution in planned))
    order.shuffle(sessions)
    for number in sorted({execution.round for execution in planned}):
        shared: dict[Session, list[Execution]] = defaultdict(list)
        alone: dict[Session, list[Execution]] = defaultdict(list)
        for execution in planned:
            if execution.round == number:
                (alone if execution.isolated else shared)[execution.worker].append(execution)
        for waiting in (*shared.values(), *alone.values()):
            order.shuffle(waiting)
        for waiting in shared.values():
            _in_turn(waiting, sessions if number % 2 else sessions[::-1])
        workers = [[*(alone[worker].pop() for _ in alone[worker][:1]), *group] for worker, group in shared.items()]
        workers += [[execution] for waiting in alone.values() for execution in waiting]
        order.shuffle(workers)
        yield from workers


def _in_turn(waiting: list[Execution], sessions: list[Session]) -> None:
    """In place: the executions of each session together, in the order of the sessions."""
    waiting.sort(key=lambda execution: sessions.index(execution.session))
