"""The messages between the runner and a worker: one JSON object per line, on two pipes."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from cluster.budget import Budget
from cluster.endpoint import Endpoint
from cluster.profile import ClusterProfile
from sparkscale.contract.case import Case, Device, Placement
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.model import PreparedModel
from sparkscale.contract.record import Observation
from sparkscale.measure.worker.executors import Executor
from sparkscale.measure.worker.gpu_tasks import Holding
from workloads.registry import AnySource


class Message(BaseModel):
    """The base of all requests and replies."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Open(Message):
    """The first request: the resources that the worker may use. `endpoint` is None without a Spark session."""

    kind: Literal["open"] = "open"
    profile: ClusterProfile = Field(discriminator="kind")
    budget: Budget
    endpoint: Endpoint | None
    placement: Placement
    threads: int
    device: Device
    cgroup: Path | None
    limited: bool = True
    scratch: Path


class Prepare(Message):
    """Prepares a data set, unless it exists. `tasks` is the number of parallel tasks; None: a default number."""

    kind: Literal["prepare"] = "prepare"
    source: AnySource
    storage: str
    sample_seeds: tuple[int, ...]
    tasks: int | None = None


class PrepareModel(Message):
    """Makes the model that a case applies, and the model's reference predictions, unless they exist already."""

    kind: Literal["prepare_model"] = "prepare_model"
    case: Case
    data: PreparedDataset


class Measure(Message):
    """Executes one case. `model` is the model that the case applies; None in patterns that train models.

    If `cold_cache` is true, the data's files are dropped from the page cache before the phases.
    """

    kind: Literal["measure"] = "measure"
    case: Case
    data: PreparedDataset
    tables: Path
    model: PreparedModel | None = None
    cold_cache: bool = False


class Examine(Message):
    """Asks the executors for their versions and threads, and checks that they can read the profile's storage."""

    kind: Literal["examine"] = "examine"


class HoldGpus(Message):
    """Runs tasks that each hold a GPU for `seconds`, to see which task gets which GPU."""

    kind: Literal["hold_gpus"] = "hold_gpus"
    tasks: int
    seconds: float


class Import(Message):
    """Imports these modules. Modules that fail to import are skipped.

    If `modules` is empty, nothing is imported, and the reply lists the modules that were imported when the phases of
    the last case ended.
    """

    kind: Literal["import"] = "import"
    modules: tuple[str, ...] = ()


class Restart(Message):
    """Ends the Spark session and starts another in the same JVM, where each task may use `threads` threads."""

    kind: Literal["restart"] = "restart"
    threads: int


class Close(Message):
    """Ends the session and the worker."""

    kind: Literal["close"] = "close"


class Ready(Message):
    """Answers Open and Restart: the worker is ready for cases."""

    kind: Literal["ready"] = "ready"
    jvm: str | None
    session_seconds: float | None
    """The seconds that the start of this session took; None in a worker without a session."""
    software: dict[str, Any]
    session: dict[str, Any]


class PhaseStarted(Message):
    """Sent during a request. `name` is the phase that begins, or a text about the progress of a preparation."""

    kind: Literal["phase"] = "phase"
    name: str


class PhasesEnded(Message):
    """Sent during Measure when all phases of the case have ended and scoring begins."""

    kind: Literal["phases_ended"] = "phases_ended"


class Prepared(Message):
    """Answers Prepare. `notes` are warnings about the data, for the user."""

    kind: Literal["prepared"] = "prepared"
    data: PreparedDataset
    notes: list[str]


class ModelPrepared(Message):
    """Answers PrepareModel."""

    kind: Literal["model_prepared"] = "model_prepared"
    model: PreparedModel


class Measured(Message):
    """Answers Measure. `tables` are Parquet files, by table name. The runner copies them into the store."""

    kind: Literal["measured"] = "measured"
    observation: Observation
    tables: dict[str, Path]


class Examined(Message):
    """Answers Examine if the executors passed all checks. There is one report per host."""

    kind: Literal["examined"] = "examined"
    executors: list[Executor]


class Held(Message):
    """Answers HoldGpus, with one Holding for each task."""

    kind: Literal["held"] = "held"
    holdings: list[Holding]


class Imported(Message):
    """Answers Import: the modules that the worker has imported, in the order in which their imports began."""

    kind: Literal["imported"] = "imported"
    modules: tuple[str, ...]


class Closed(Message):
    """Answers Close."""

    kind: Literal["closed"] = "closed"


class Refused(Message):
    """Answers a request that failed. `error` is the name of the error's class."""

    kind: Literal["refused"] = "refused"
    error: str
    message: str


Request = Annotated[
    Open | Prepare | PrepareModel | Measure | Examine | HoldGpus | Import | Restart | Close,
    Field(discriminator="kind"),
]
Reply = Annotated[
    Ready
    | PhaseStarted
    | PhasesEnded
    | Prepared
    | ModelPrepared
    | Measured
    | Examined
    | Held
    | Imported
    | Closed
    | Refused,
    Field(discriminator="kind"),
]

REQUEST: TypeAdapter[Request] = TypeAdapter(Request)
REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)
