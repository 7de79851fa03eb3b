"""A record: everything observed of one execution of one case; never edited afterwards."""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sparkscale.contract import format_1
from sparkscale.contract.case import Case
from sparkscale.contract.declared import WorkloadDescription

Outcome = Literal["ok", "failed", "timeout", "oom", "invalid", "unsupported"]
Temperature = Literal["cold", "warmup", "warm"]
PageCache = Literal["warm", "cold"]
Kind = Literal["host", "software", "session", "data", "model", "workload", "suite", "profile", "budget"]

SCORES, GROUPS, TRIALS, SUMS = "scores", "groups", "trials", "sums"
"""Names of tables: hold-out scores; one row per group; one per trial of a search; the sums over each unit of the
hold-out that stand for its scores in a condensed archive."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ErrorInfo(Frozen):
    type: str
    message: str


class Resources(Frozen):
    """What the case was granted and what it used. Bytes, seconds; null where it was not observed."""

    cores: int
    threads: int
    oversubscribed: bool = False
    """Whether its profile has more executor cores than the host."""
    cpu_seconds: float | None = None
    foreign_cpu_seconds: float | None = None
    """What other processes used, during its phases, of the CPUs that it might use. Null where they run on other
    hosts, where not all of its own CPU time is counted, and in records of earlier releases."""
    stolen_cpu_seconds: float | None = None
    """For how long these CPUs waited meanwhile for the hypervisor, which served others (`steal` of proc(5))."""
    peak_pss_bytes: int | None = None
    baseline_bytes: int | None = None
    """What the process tree needs before it has any data. Node engines: the peak of a fresh worker that imports the
    same modules and does nothing else. Spark engines: the tree's proportional set size just before the phases.
    """
    heap_bytes: int | None = None
    """Heap of the JVM that computes: the driver's in local mode, one executor's on a cluster, a Connect server's.
    Null for node engines, where the server does not say, and in records of earlier releases.
    """
    gpu_peak_bytes: int | None = None
    gpu_energy_joules: float | None = None
    page_cache: PageCache = "warm"
    """cold: the kernel was made to forget the data's files before the phases. warm: as earlier executions left it."""


class SparkMetrics(Frozen):
    """Spark's own task metrics, summed over the tasks that ran while the case's phases did.

    Source: TaskEnd events of Spark's event log. `spilled_bytes` is bytes written to disk by spills.
    """

    tasks: int = 0
    failed_tasks: int = 0
    executor_run_seconds: float = 0.0
    executor_cpu_seconds: float = 0.0
    gc_seconds: float = 0.0
    shuffle_read_bytes: int = 0
    shuffle_write_bytes: int = 0
    spilled_bytes: int = 0
    executors_lost: int = 0
    executors: int | None = None
    """How many executors ran the tasks, on how many hosts; in local mode the driver is the one executor."""
    hosts: int | None = None


class CodeState(Frozen):
    """The checkout that measured: null where there is no git repository."""

    commit: str | None
    dirty: bool | None
    changes: str | None = None
    """Digest of what was changed beside the commit; null without changes, and in records of earlier releases."""

    def __str__(self) -> str:
        changes = f"the changes {self.changes[:8]}" if self.changes else "changes"
        return f"commit {self.commit}" + (f" with {changes}" if self.dirty else "")


class Observation(Frozen):
    """What a worker reports of one execution: the part of a record that only it can know."""

    outcome: Outcome
    error: ErrorInfo | None = None
    seconds: dict[str, float] = {}
    quality: dict[str, float] = {}
    figures: dict[str, float] = {}
    cpu_seconds: float | None = None
    spark: SparkMetrics | None = None
    phase: str | None = None
    """The phase in which time ran out."""
    python_started: int | None = None
    """Python processes that began in its phases and lived at a phase's end; null where not all were seen."""
    foreign_cpu_seconds: float | None = None
    stolen_cpu_seconds: float | None = None


class RunRecord(Frozen):
    id: str
    suite: str
    invocation: str
    started_at: AwareDatetime
    round: int
    jvm: str | None
    temperature: Temperature
    isolated: bool
    case: Case
    outcome: Outcome
    error: ErrorInfo | None
    seconds: dict[str, float]
    quality: dict[str, float]
    figures: dict[str, float]
    resources: Resources
    spark: SparkMetrics | None
    code: CodeState
    host: str
    software: str
    session: str | None
    session_seconds: float | None = None
    """Seconds in which the worker's first session started; null if the worker has no session. In local mode `session`
    may describe a later one in the same JVM.
    """
    start_seconds: float | None = None
    """Seconds from starting its worker's process until that was ready: imports, and the session where there is one.
    Null without a worker, and in records from before this was observed."""
    position: int | None = None
    """How many executions its worker had begun before this one; null as in `start_seconds`."""
    warmed_by: tuple[str, ...] = ()
    """Ids of the records of the warm-ups, oldest first, that had warmed its worker for this case before."""
    deadline_seconds: float | None = None
    """The most that its phases might take together: a `timeout` took longer. Null as in `start_seconds`."""
    phase: str | None = None
    """The phase in which a `timeout` was cut off; null for others, and as in `start_seconds`."""
    python_started: int | None = None
    """How many Python processes began in its phases and lived at the end of one: where its engine should start none,
    the execution was not warm. Null where they run on other hosts, and as in `start_seconds`."""
    data: str | None = None
    model: str | None = None
    workload: str | None = None
    """Null in what earlier releases exported."""
    description: WorkloadDescription | None = Field(default=None, exclude=True, repr=False)
    """What `workload` refers to; a store fills it in, and it is no part of what is stored or exported."""

    @property
    def declared(self) -> WorkloadDescription:
        """What its workload declared when it was measured; of a record that an earlier release wrote, what that
        release's workload would have. Raises ValueError if neither is known.
        """
        found = self.description or format_1.workloads().get(self.case.workload)
        if found is None:
            raise ValueError(f"The record {self.id} has no description of its workload: read it from a store.")
        return found

    @property
    def is_warmup(self) -> bool:
        """Whether it only warmed a worker for another execution. An isolated one is cold, and meant."""
        return self.temperature != "warm" and not self.isolated


class Description(Frozen):
    """What records refer to, or a run was begun with, described once."""

    kind: Kind
    id: str
    content: dict[str, Any]
