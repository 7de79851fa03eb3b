"""What asv times itself, beside the figures that it is handed: a small fit, and the start of a Spark session.

Each is the very call that a worker brackets with its clock, so that the two clocks can be compared; but without a
worker's memory limit.
"""

import os
import tempfile
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any

from cluster import processes, profile
from cluster import session as spark_session
from cluster.budget import budget
from sparkscale.contract.context import Context
from sparkscale.contract.seeds import Seeds
from sparkscale.contract.threads import thread_variables
from sparkscale.measure.plan.cases import PlannedCase, planned_cases
from sparkscale.measure.plan.suite import Block, Suite
from sparkscale.measure.run.clusters import ready_cluster
from sparkscale.measure.run.lock import machine_lock
from sparkscale.measure.run.progress import observer
from workloads.libraries.tasks import Processes

FIT = Suite(
    name="control",
    measure=(
        Block(
            workload="data_parallel.gradient_boosting",
            engines=("xgboost",),
            fractions=("1/4",),
            params={"trees": 10, "learning_rate": 0.3},
        ),
    ),
)
"""The case whose fit is timed; the suites `asv` and `quick` have it, too."""

CLUSTER = "local"
"""The profile whose session is started."""


@cache
def _alone() -> ExitStack:
    """Takes the machine's lock for as long as this process lives. Raises BusyError."""
    stack = ExitStack()
    stack.enter_context(machine_lock())
    return stack


def fit_case() -> PlannedCase:
    (case,) = planned_cases(FIT)
    return case


class SmallFit:
    """A fit on rows that are loaded already."""

    def __init__(self) -> None:
        _alone()
        planned = fit_case()
        granted = budget(planned.cluster)
        tasks = Processes(len(granted.node.cpus), processes.die_with_parent)
        data = FIT.source(planned.dataset).prepare(planned.cluster.storage_location, tasks)
        case = planned.bind(data, granted, Seeds(fixed=True), 1)
        self.run = Context(
            case=case,
            data=data,
            cores=granted.cores_of("node"),
            slots=granted.cores_of("node"),
            storage=planned.cluster.storage_location,
            declared=planned.workload.figure_names,
        )
        self.engine: Any = planned.workload.made(case.engine, case.parameter_set)
        self.train = self.engine.load(self.run)

    def fit(self) -> None:
        self.engine.fit(self.run, self.train)


class SessionStart:
    """All that a worker has before it starts its session; what it leaves ends with the process."""

    def __init__(self) -> None:
        _alone()
        stack = ExitStack()
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sparkscale-control-")))
        on = profile.load(CLUSTER)
        granted = budget(on)
        cluster = stack.enter_context(ready_cluster(on, granted, scratch, scratch, observer()))
        os.environ.update({**thread_variables(len(granted.node.cpus)), **cluster.jdk.environment()})
        self.start = partial(spark_session.start, on, granted, cluster.endpoint, 1, "cpu", scratch / "session")
        self._stack = stack
