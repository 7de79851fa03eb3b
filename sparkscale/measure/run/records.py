"""Makes the record of an execution and commits it to the store."""

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
    """A library may say in its message with what it tried to log in."""
    return error and error.model_copy(update={"message": redaction.text(error.message)})


@dataclass(frozen=True)
class Used:
    """What was seen of a case from outside its worker; null what was not."""

    peak_pss_bytes: int | None = None
    baseline_bytes: int | None = None
    gpu_peak_bytes: int | None = None
    gpu_energy_joules: float | None = None


@dataclass
class Recorder:
    """Adds to an observation what is the same for a whole run, and what is known of the worker."""

    store: Store
    invocation: Invocation
    suite_name: str
    budget: Budget
    data: list[PreparedDataset]
    models: Mapping[str, PreparedModel | ModelError]
    """By the ids of the cases that are given them; of one that could not be made, why."""
    _workloads: dict[str, tuple[str, WorkloadDescription]] = field(default_factory=dict)

    def keep(
        self,
        execution: Execution,
        case: Case,
        started_at: datetime,
        observation: Observation,
        temperature: Temperature,
        worker: WorkerProcess | None = None,
        used: Used | None = None,
        tables: dict[str, bytes] | None = None,
        position: int | None = None,
        deadline_seconds: float | None = None,
    ) -> RunRecord:
        """Seconds of anything but an ok execution are dropped: no failure is stored as a time."""
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
                cores=self.budget.cores_of(case.placement),
                threads=case.threads,
                oversubscribed=self.budget.oversubscribed,
                cpu_seconds=observation.cpu_seconds,
                foreign_cpu_seconds=observation.foreign_cpu_seconds,
                stolen_cpu_seconds=observation.stolen_cpu_seconds,
                heap_bytes=self._heap(case, worker),
                page_cache="cold" if self.invocation.cold_cache else "warm",
                **dataclasses.asdict(used or Used()),
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
        """The heap of the worker's session; where no worker came up, the heap that the budget gives one."""
        if case.placement == "node":
            return None
        return worker.heap_bytes if worker else self.budget.heap_bytes

    def _model(self, case: Case) -> str | None:
        """The id of the stored description of what the case was given."""
        found = self.models.get(case.id)
        return self.store.describe("model", found.description()) if isinstance(found, PreparedModel) else None

    def _workload(self, case: Case) -> tuple[str, WorkloadDescription]:
        """The id of the stored description of the case's workload, and the description."""
        if case.workload not in self._workloads:
            found = registry.workloads()[case.workload].description
            self._workloads[case.workload] = self.store.describe("workload", found.model_dump(mode="json")), found
        return self._workloads[case.workload]

    @cached_property
    def _data(self) -> dict[str, str]:
        """Ids of the data sets' stored descriptions, by the data sets' own ids."""
        return {data.dataset_id: self.store.describe("data", data.description()) for data in self.data}

    @cached_property
    def _host(self) -> str:
        return self.store.describe("host", descriptions.host())

    @cached_property
    def _software(self) -> str:
        """For an execution that had no worker."""
        return self.store.describe("software", descriptions.software(None))

    @cached_property
    def _code(self) -> CodeState:
        return descriptions.code_state()
