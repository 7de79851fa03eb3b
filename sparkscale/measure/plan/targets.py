"""Chooses the target loss of a search: the suite's, or else what an earlier search on the same rows found."""

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


def known_targets(suite: Suite, store: Store, before: datetime) -> list[Target]:
    """Returns the suite's targets, then those that searches in the store had found before `before`.

    `before` is the start of the run, so that a resumed run has the targets that it began with.
    """
    return [*suite.target, *targets_found(record for record in store.records_of(SUITE) if record.started_at < before)]


def with_targets(
    cases: Iterable[PlannedCase],
    data: dict[str, PreparedDataset],
    budget: Budget,
    seeds: Seeds,
    targets: Sequence[Target],
) -> list[PlannedCase]:
    """Returns the same cases. Each search gets the target of its sample, or None if there is none."""
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
