"""Chooses the target of a search: the suite's target, or a target that an earlier search on the same rows found."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from cluster.budget import Budget
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.seeds import Seeds
from sparkscale.contract.target import SUITE, Target, metric, targets_found
from sparkscale.measure.plan.cases import PlannedCase
from sparkscale.measure.plan.suite import Suite
from sparkscale.store.store import Store


def known_targets(suite: Suite, store: Store, run_start: datetime) -> list[Target]:
    """Returns the suite's targets, and those that searches found before the run started.

    A resumed run thus keeps its targets.
    """
    return [
        *suite.target,
        *targets_found(record for record in store.records_of(SUITE) if record.started_at < run_start),
    ]


def with_targets(
    cases: Iterable[PlannedCase],
    data: dict[str, PreparedDataset],
    budget: Budget,
    seeds: Seeds,
    targets: Sequence[Target],
) -> list[PlannedCase]:
    """Returns the same cases. Each search gets the target of its sample, or None if no target is known."""
    return [_with_target(case, data, budget, seeds, targets) for case in cases]


def _with_target(
    planned: PlannedCase,
    data: dict[str, PreparedDataset],
    budget: Budget,
    seeds: Seeds,
    targets: Sequence[Target],
) -> PlannedCase:
    parameter = planned.workload.pattern.target
    if not parameter:
        return planned
    case = planned.bind(data[planned.dataset], budget, seeds, 1)  # every round has the same sample
    judged_by = metric(planned.workload.description, case)
    loss = next((target.loss for target in targets if target.suits(case, judged_by)), None)
    return replace(planned, params=planned.params.changed({parameter: loss}))
