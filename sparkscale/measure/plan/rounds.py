"""Plans executions: each case once per round, in random order.

Executions that share a worker form a queue.
"""

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
"""All fractions that a case can have, the smallest first."""


@dataclass(frozen=True)
class Execution:
    """One execution of a case, in one round. An isolated execution must be the first in its worker."""

    case: Case
    round: int
    isolated: bool
    warmups: tuple[Case, ...]
    """The cases to try as warm-ups, until one succeeds. The case with the smallest sample is first."""
    unsupported: str | None
    """The reason why the engine cannot run here; None if it can."""

    @property
    def key(self) -> tuple[str, int, bool]:
        return self.case.id, self.round, self.isolated

    @property
    def warmup_key(self) -> str:
        """Returns the id of the first warm-up case.

        Executions with an equal id share a warm-up, because their cases differ only in values that warm-ups
        replace.
        """
        return self.warmups[0].id

    @property
    def session(self) -> Session:
        return Session(self.case.placement, self.case.known_threads, self.case.device)

    @property
    def worker(self) -> Session:
        """Returns the properties of the worker. Executions with equal properties can share a worker."""
        return shared_worker(self.session, self.case.cluster_kind)


def planned_executions(
    planned: list[PlannedCase],
    data: dict[str, PreparedDataset],
    budget: Budget,
    seeds: Seeds,
    rounds: int,
) -> list[Execution]:
    """Returns all executions on one profile: each case once in each of its rounds, with the seeds of the round.

    Equal executions are planned only once. `rounds` is the number of rounds of the run. Isolated cases may have
    fewer rounds. Their executions are spread evenly over the rounds of the run, separately for each set of cases
    that can share a worker (see `PlannedCase.worker`). An isolated execution needs a fresh worker. The first one of a
    round costs no extra worker, because other executions use its worker after it. So spreading saves workers.
    """
    isolated_count: Counter[Session] = Counter()
    bound = {
        number: [case.bind(data[case.dataset], budget, seeds, number) for case in planned]
        for number in range(1, max([rounds, *(case.rounds for case in planned)]) + 1)
    }
    executions: dict[tuple[str, int, bool], Execution] = {}
    for position, planned_case in enumerate(planned):
        case_data = data[planned_case.dataset]
        worker = planned_case.worker(budget)
        isolated_count[worker] += planned_case.isolate
        for turn in range(1, planned_case.rounds + 1):
            number = (turn - 1 + isolated_count[worker]) % rounds + 1 if planned_case.isolate else turn
            case = bound[number][position]
            reason = planned_case.unsupported(case_data, case.rows, budget, case.sample_seed)
            warmups = _warmups(planned_case, case_data, budget, seeds, number) if reason is None else ()
            execution = Execution(case, number, planned_case.isolate, warmups, reason)
            executions.setdefault(execution.key, execution)
    return list(executions.values())


def _warmups(
    planned: PlannedCase, data: PreparedDataset, budget: Budget, seeds: Seeds, number: int
) -> tuple[Case, ...]:
    """Returns the warm-ups of a case: the case on every sample that its engine supports, the smallest first.

    The samples depend neither on a filter nor on the suite. The values in the pattern's `warmup` replace the
    case's parameters of the same name. If the pattern has `warms_each_slot`, samples with fewer files than cores
    are left out, unless all have fewer. An engine that applies a prepared model gets only the smallest sample,
    because each further sample would need its own reference predictions.
    """
    pattern = planned.workload.pattern
    possible = []
    for fraction in FRACTIONS:
        sample = replace(planned, fraction=fraction)
        case = sample.bind(data, budget, seeds, number)
        if sample.unsupported(data, case.rows, budget, case.sample_seed) is None:
            possible.append(case.model_copy(update={"params": {**case.params, **pattern.warmup}}))
    needs_files = pattern.warms_each_slot and possible
    least = data.fraction_of_files(budget.cores, possible[0].sample_seed) if needs_files else 0.0
    warmups = [case for case in possible if case.fraction >= least] or possible
    return tuple(warmups[:1] if planned.engine.model_placement else warmups)


def worker_queues(planned: list[Execution], seed: int) -> Iterator[list[Execution]]:
    """Yields queues, round after round. The executions in a queue share a worker.

    The queues of a round are in random order, and so are the executions in a queue. Executions with the same
    session follow each other in a queue. The order of the sessions is reversed in every second round. An isolated
    execution needs a worker in which nothing ran before. To save a worker, each shared worker begins with one
    isolated execution of the round, if there is one. Every further isolated execution gets its own worker.

    The order of a round depends on its number, so rounds that are measured in calls of their own differ in order.
    """
    sessions = list(dict.fromkeys(execution.session for execution in planned))
    random.Random(seed).shuffle(sessions)
    for number in sorted({execution.round for execution in planned}):
        generator = random.Random(f"{seed} {number}")
        shared: dict[Session, list[Execution]] = defaultdict(list)
        isolated: dict[Session, list[Execution]] = defaultdict(list)
        for execution in planned:
            if execution.round == number:
                (isolated if execution.isolated else shared)[execution.worker].append(execution)
        for executions in (*shared.values(), *isolated.values()):
            generator.shuffle(executions)
        for executions in shared.values():
            _sort_by_session(executions, sessions if number % 2 else sessions[::-1])
        queues = [
            [*(isolated[worker].pop() for _ in isolated[worker][:1]), *queue] for worker, queue in shared.items()
        ]
        queues += [[execution] for executions in isolated.values() for execution in executions]
        generator.shuffle(queues)
        yield from queues


def _sort_by_session(executions: list[Execution], sessions: list[Session]) -> None:
    """Sorts the list in place by session, in the order of `sessions`. Within a session the order is kept."""
    executions.sort(key=lambda execution: sessions.index(execution.session))
