"""Chooses the target loss of a search: from the suite, or from earlier searches on the same rows."""

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
    """Returns the suite's targets, and then the targets that stored searches found before the run started.

    Later searches are ignored, so that a resumed run keeps its targets.
    """
    return [
        *suite.target,
        *targets_found(
            record
            for record in store.records_of(SUITE)
            if record.started_at is not None and record.started_at < run_start
        ),
    ]


def with_targets(
    cases: Iterable[PlannedCase],
    data: dict[str, PreparedDataset],
    budget: Budget,
    seeds: Seeds,
    targets: Sequence[Target],
) -> list[PlannedCase]:
    """Returns the cases with their targets.

    The target parameter of each search is the loss for its sample, or None if no target is known. Cases of
    workloads without a target are unchanged.
    """
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
