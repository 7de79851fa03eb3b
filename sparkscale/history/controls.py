"""The controls: a small fit and the start of a Spark session, both timed by asv, not by a worker.

Workers time the same two calls, so that asv's times can be compared with the workers' times. Unlike in a worker,
there is no memory limit.
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
"""The suite with the case of the timed fit. The suites `asv` and `quick` contain this case, too."""

CLUSTER = "local"
"""The profile for the session that is started."""


@cache
def _locked() -> ExitStack:
    """Takes the machine's lock until this process ends. Raises BusyError if another run has it."""
    stack = ExitStack()
    stack.enter_context(machine_lock())
    return stack


def fit_case() -> PlannedCase:
    """Returns the case of the timed fit."""
    (case,) = planned_cases(FIT)
    return case


class SmallFit:
    """A fit on rows that are already loaded. `fit` is the call to time."""

    def __init__(self) -> None:
        _locked()
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
        self.engine: Any = planned.workload.create_engine(case.engine, case.parameter_set)
        self.train = self.engine.load(self.run)

    def fit(self) -> None:
        self.engine.fit(self.run, self.train)


class SessionStart:
    """Prepares everything that a worker has before it starts its session. `start` is the call to time.

    The folder and the cluster exist until this process ends.
    """

    def __init__(self) -> None:
        _locked()
        stack = ExitStack()
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sparkscale-control-")))
        cluster_profile = profile.load(CLUSTER)
        granted = budget(cluster_profile)
        cluster = stack.enter_context(ready_cluster(cluster_profile, granted, scratch, scratch, observer()))
        os.environ.update({**thread_variables(len(granted.node.cpus)), **cluster.jdk.environment()})
        self.start = partial(
            spark_session.start, cluster_profile, granted, cluster.endpoint, 1, "cpu", scratch / "session"
        )
        self._stack = stack
