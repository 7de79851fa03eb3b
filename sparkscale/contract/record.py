"""A record: everything that was observed of one execution of one case. It is never edited afterwards."""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sparkscale.contract import format_1
from sparkscale.contract.case import Case
from sparkscale.contract.declared import WorkloadDescription
from sparkscale.contract.phrases import with_threads

Outcome = Literal["ok", "failed", "timeout", "oom", "invalid", "unsupported"]
Temperature = Literal["cold", "warmup", "warm"]
PageCache = Literal["warm", "cold"]
Kind = Literal["host", "software", "session", "data", "model", "workload", "suite", "profile", "budget"]

SCORES, GROUPS, TRIALS, SUMS = "scores", "groups", "trials", "sums"
"""Names of tables. In this order, they hold the hold-out's scores, one row per group, one row per trial of a
search, and sums per hold-out unit.

In a condensed archive, the sums replace the scores.
"""


TIME_OVER = "TimeOver"
"""The error type of an execution that was stopped because the time of the command was over, not its own time."""

SHORT = 8
"""The number of characters of a record's id, or of a commit, that reports show. The commands find them by these."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ErrorInfo(Frozen):
    type: str
    message: str

    @property
    def first_line(self) -> str:
        return self.message.partition("\n")[0]


class Resources(Frozen):
    """The resources that a case got and used. A value that was not observed is null."""

    cores: int | None
    """Null only in measurements of others, if they do not state it."""
    threads: int | None
    """Null in measurements of others."""
    granted_cores: int | None = None
    """The cores that the profile grants to an engine with this placement.

    `cores` is smaller if the suite limits the threads of an engine on one node. Null in records of earlier releases.
    """
    oversubscribed: bool = False
    """True if the profile has more executor cores than the host."""
    cpu_seconds: float | None = None
    foreign_cpu_seconds: float | None = None
    """CPU seconds that other processes used during the phases, on the CPUs that the case may use.

    Null if the phases run on other hosts, if not all of the case's own CPU time is counted, and in records of earlier
    releases.
    """
    stolen_cpu_seconds: float | None = None
    """Seconds that the case's CPUs waited while the hypervisor ran other virtual machines (`steal` of proc(5))."""
    peak_pss_bytes: int | None = None
    """The peak of the proportional set size of the process tree.

    In measurements of others, it is the peak memory that they state.
    """
    baseline_bytes: int | None = None
    """The memory of the process tree in bytes, before it has any data.

    Node engines: the peak of a fresh worker that imports the same modules and does nothing else. Spark engines: the
    tree's proportional set size just before the phases.
    """
    heap_bytes: int | None = None
    """Heap of the JVM that computes: the driver's in local mode, one executor's on a cluster, or a Connect server's.

    Null for node engines, if a Connect server does not report its heap, and in records of earlier releases.
    """
    gpu_peak_bytes: int | None = None
    gpu_energy_joules: float | None = None
    page_cache: PageCache | None = "warm"
    """cold: the data's files were dropped from the page cache before the phases. warm: they were not.

    Null in measurements of others.
    """


class SparkMetrics(Frozen):
    """Spark's own task metrics, summed over the Spark tasks that ran during the case's phases.

    Source: TaskEnd events of Spark's event log. `spilled_bytes` are bytes that spills wrote to disk.
    """

    tasks: int = 0
    failed_tasks: int = 0
    executor_run_seconds: float = 0.0
    executor_cpu_seconds: float = 0.0
    gc_seconds: float = 0.0
    shuffle_read_bytes: int = 0
    shuffle_remote_bytes: int | None = None
    """The part of `shuffle_read_bytes` that came over the network, as compressed bytes.

    Executors of one host read each other's files, and these bytes do not count. Null in records of earlier releases.
    """
    shuffle_write_bytes: int = 0
    spilled_bytes: int = 0
    executors_lost: int = 0
    executors: int | None = None
    """The number of executors that ran the Spark tasks, on `hosts` hosts.

    In local mode the driver is the only executor. If the kind of the cluster is `emulated`, so are the hosts.
    """
    hosts: int | None = None


class CodeState(Frozen):
    """The state of the checkout with the measured code. `commit` is null if the checkout is no git repository."""

    commit: str | None
    dirty: bool | None
    changes: str | None = None
    """Digest of the uncommitted changes. Null if there are none, and in records of earlier releases."""

    def __str__(self) -> str:
        changes = f"the changes {self.changes[:8]}" if self.changes else "changes"
        return f"commit {self.commit}" + (f" with {changes}" if self.dirty else "")


class Observation(Frozen):
    """A worker's report of one execution: the part of a record that only the worker knows."""

    outcome: Outcome
    error: ErrorInfo | None = None
    seconds: dict[str, float] = {}
    quality: dict[str, float] = {}
    figures: dict[str, float] = {}
    cpu_seconds: float | None = None
    spark: SparkMetrics | None = None
    phase: str | None = None
    """The phase that reached the deadline. Null if no phase did."""
    python_started: int | None = None
    """Number of Python processes that began in the phases and were alive at a phase's end.

    Null if some of them could not be seen.
    """
    foreign_cpu_seconds: float | None = None
    stolen_cpu_seconds: float | None = None


class RunRecord(Frozen):
    """Everything that was observed of one execution."""

    id: str
    suite: str
    invocation: str
    started_at: AwareDatetime | None
    """When the execution started. Null in measurements that others published."""
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
    """Seconds that the start of the worker's first Spark session took; null if the worker has no session.

    In local mode `session` may describe a later session in the same JVM.
    """
    start_seconds: float | None = None
    """Seconds from the start of the worker's process until it was ready, with its imports and its session, if any.

    Null if no worker ran, and in records of releases that did not store it.
    """
    position: int | None = None
    """Number of executions that the worker began before this one. Null whenever `start_seconds` is."""
    warmed_by: tuple[str, ...] = ()
    """The record ids of the warm-ups that had warmed the worker for this case, oldest first."""
    deadline_seconds: float | None = None
    """The limit in seconds for all phases together; a `timeout` took longer.

    Null whenever `start_seconds` is.
    """
    phase: str | None = None
    """The phase that was running when a `timeout` was stopped.

    Null for other outcomes, and whenever `start_seconds` is.
    """
    python_started: int | None = None
    """Number of Python processes that began in this execution's phases and were alive at a phase's end.

    If there are any although the engine should start none, the execution was not warm. Null if the processes run on
    other hosts, and whenever `start_seconds` is.
    """
    data: str | None = None
    model: str | None = None
    workload: str | None = None
    """The id of the workload's description. Null in exports of earlier releases."""
    description: WorkloadDescription | None = Field(default=None, exclude=True, repr=False)
    """The description that `workload` refers to.

    A store fills it in; it is not stored or exported with the record.
    """

    @property
    def declared(self) -> WorkloadDescription:
        """The description of the workload as it was when the record was measured.

        A record without a description gets the one from the last release with store format 1. Raises ValueError if
        that release did not have the workload.
        """
        description = self.description or format_1.workloads().get(self.case.workload)
        if description is None:
            raise ValueError(f"The record {self.id} has no description of its workload: read it from a store.")
        return description

    @property
    def limited_threads(self) -> int | None:
        """The number of threads, if the suite gave an engine on one node fewer than the profile grants.

        None if the engine had all of them, and for an engine on Spark.
        """
        threads, granted = self.case.threads, self.resources.granted_cores
        if self.case.placement != "node" or threads is None or granted is None or threads >= granted:
            return None
        return threads

    @property
    def engine(self) -> str:
        """The name of the engine in tables. It states the threads if the suite limits them: "xgboost, 1 thread"."""
        return with_threads(self.case.engine, self.limited_threads)

    @property
    def is_warmup(self) -> bool:
        """True if the execution only warmed a worker for other executions.

        An isolated execution is cold on purpose, but it is not a warm-up.
        """
        return self.temperature != "warm" and not self.isolated

    @property
    def is_cut(self) -> bool:
        """True if the end of the command's time stopped the execution. Its outcome says nothing about the case."""
        return self.error is not None and self.error.type == TIME_OVER


class Description(Frozen):
    """The description of a host, a data set, a workload and so on. It is stored once, and records refer to it."""

    kind: Kind
    id: str
    content: dict[str, Any]
