"""The target losses that long searches have found."""

from collections.abc import Iterable
from typing import Any

from sparkscale.contract.case import Case
from sparkscale.contract.record import RunRecord
from sparkscale.contract.target import Target
from workloads import registry


def metric(case: Case) -> str | None:
    """What the case's trials are judged by; None for a workload that there is no more, a task that it has not, and an
    engine that judges trials on other rows.
    """
    workload = registry.workloads().get(case.workload)
    engines = {engine.name: engine for engine in workload.engines} if workload else {}
    if workload is None or not getattr(engines.get(case.engine), "judges_on_split", False):
        return None
    return workload.quality.judged_by.get(case.task)


def found(records: Iterable[RunRecord]) -> list[Target]:
    """The best of each sample, in the order of the records."""
    best: dict[Any, Target] = {}
    for record in records:
        judged_by = metric(record.case)
        target = Target.found_by(record, judged_by) if judged_by else None
        if target and (target.of not in best or target.loss < best[target.of].loss):
            best[target.of] = target
    return list(best.values())
