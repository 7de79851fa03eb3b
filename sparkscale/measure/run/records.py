"""Makes the records of executions and commits them to the store."""

import dataclasses
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from cluster.budget import Budget
from sparkscale.contract import redaction
from sparkscale.contract.case import Case
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.declared import WorkloadDescription
from sparkscale.contract.errors import ModelError
from sparkscale.contract.model import PreparedModel
from sparkscale.contract.record import CodeState, ErrorInfo, Observation, Resources, RunRecord, Temperature
from sparkscale.measure.plan.rounds import Execution
from sparkscale.measure.worker import descriptions
from sparkscale.measure.worker.process import WorkerProcess
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store
from workloads import registry


def _redacted(error: ErrorInfo | None) -> ErrorInfo | None:
    """Returns the error without secrets in its message; None if there is no error.

    A library may name in its message the credentials that it used to log in.
    """
    return error and error.model_copy(update={"message": redaction.text(error.message)})


@dataclass(frozen=True)
class ResourceUse:
    """The resources of a case, measured from outside its worker. A value is None if it was not measured."""

    peak_pss_bytes: int | None = None
    baseline_bytes: int | None = None
    gpu_peak_bytes: int | None = None
    gpu_energy_joules: float | None = None


@dataclass
class Recorder:
    """Turns observations into records: adds facts about the run and the worker."""

    store: Store
    invocation: Invocation
    suite_name: str
    budget: Budget
    data: list[PreparedDataset]
    models: Mapping[str, PreparedModel | ModelError]
    """The model that each case applies, or the error if no model could be made. Keys are the ids of cases."""
    _workloads: dict[str, tuple[str, WorkloadDescription]] = field(default_factory=dict)

    def keep(
        self,
        execution: Execution,
        case: Case,
        started_at: datetime,
        observation: Observation,
        temperature: Temperature,
        worker: WorkerProcess | None = None,
        used: ResourceUse | None = None,
        tables: dict[str, bytes] | None = None,
        position: int | None = None,
        deadline_seconds: float | None = None,
    ) -> RunRecord:
        """Stores the record of an execution with its tables, and returns the record.

        The record has seconds only if the outcome is ok. `position` is the number of executions that the worker
        began before this one; None if no worker began it.
        """
        record = RunRecord(
            id=uuid.uuid4().hex,
            suite=self.suite_name,
            invocation=self.invocation.id,
            started_at=started_at,
            round=execution.round,
            jvm=worker.jvm if worker else None,
            temperature=temperature,
            isolated=execution.isolated,
            case=case,
            outcome=observation.outcome,
            error=_redacted(observation.error),
            seconds=observation.seconds if observation.outcome == "ok" else {},
            quality=observation.quality,
            figures=observation.figures,
            resources=Resources(
                cores=self.budget.with_threads(case.placement, case.known_threads).cores_of(case.placement),
                granted_cores=self.budget.cores_of(case.placement),
                threads=case.threads,
                oversubscribed=self.budget.oversubscribed,
                cpu_seconds=observation.cpu_seconds,
                foreign_cpu_seconds=observation.foreign_cpu_seconds,
                stolen_cpu_seconds=observation.stolen_cpu_seconds,
                heap_bytes=self._heap(case, worker),
                page_cache="cold" if self.invocation.cold_cache else "warm",
                **dataclasses.asdict(used or ResourceUse()),
            ),
            spark=observation.spark,
            code=self._code,
            host=self._host,
            software=(worker and worker.software) or self._software,
            session=worker.session if worker else None,
            session_seconds=worker.session_seconds if worker else None,
            start_seconds=worker.start_seconds if worker else None,
            position=position,
            warmed_by=tuple(worker.warmups.get(execution.warmup_key, ())) if worker else (),
            deadline_seconds=deadline_seconds,
            phase=observation.phase,
            python_started=observation.python_started,
            data=self._data[case.dataset_id],
            model=self._model(case),
            workload=self._workload(case)[0],
            description=self._workload(case)[1],
        )
        self.store.add(record, tables or {})
        return record

    def _heap(self, case: Case, worker: WorkerProcess | None) -> int | None:
        """Returns the heap of the worker's session in bytes; None for a node engine.

        If no worker started, returns the heap of the budget.
        """
        if case.placement == "node":
            return None
        return worker.heap_bytes if worker else self.budget.heap_bytes

    def _model(self, case: Case) -> str | None:
        """Returns the id of the stored description of the case's model; None if the case has no model."""
        model = self.models.get(case.id)
        return self.store.describe("model", model.description()) if isinstance(model, PreparedModel) else None

    def _workload(self, case: Case) -> tuple[str, WorkloadDescription]:
        """Returns the stored id of the description of the case's workload, and the description itself."""
        if case.workload not in self._workloads:
            description = registry.workloads()[case.workload].description
            self._workloads[case.workload] = (
                self.store.describe("workload", description.model_dump(mode="json")),
                description,
            )
        return self._workloads[case.workload]

    @cached_property
    def _data(self) -> dict[str, str]:
        """The id of the stored description of each data set. The keys are the ids of the data sets."""
        return {data.dataset_id: self.store.describe("data", data.description()) for data in self.data}

    @cached_property
    def _host(self) -> str:
        return self.store.describe("host", descriptions.host())

    @cached_property
    def _software(self) -> str:
        """The id of the software description for an execution without a worker."""
        return self.store.describe("software", descriptions.software(None))

    @cached_property
    def _code(self) -> CodeState:
        return descriptions.code_state()
