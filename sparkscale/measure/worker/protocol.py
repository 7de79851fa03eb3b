"""What the runner and a worker say to each other: one JSON object a line, on two pipes."""

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
    model_config = ConfigDict(frozen=True, extra="forbid")


class Open(Message):
    """First request: what the worker may use, and where it is to start a Spark session, if at all."""

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
    """Makes a data set ready, if it is not. `tasks` is how many write it; null: as many as suit it."""

    kind: Literal["prepare"] = "prepare"
    source: AnySource
    storage: str
    sample_seeds: tuple[int, ...]
    tasks: int | None = None


class PrepareModel(Message):
    """Makes the model that a case is given, and its reference predictions, if they are not there."""

    kind: Literal["prepare_model"] = "prepare_model"
    case: Case
    data: PreparedDataset


class Measure(Message):
    """Executes one case. `model` is what it is given, in a pattern that applies one.

    With `cold_cache` its phases find no page of the data in the page cache.
    """

    kind: Literal["measure"] = "measure"
    case: Case
    data: PreparedDataset
    tables: Path
    model: PreparedModel | None = None
    cold_cache: bool = False


class Examine(Message):
    """Asks the executors what they are, and whether they reach the profile's storage."""

    kind: Literal["examine"] = "examine"


class HoldGpus(Message):
    """Runs tasks that hold a GPU each for a while, to see who gets which."""

    kind: Literal["hold_gpus"] = "hold_gpus"
    tasks: int
    seconds: float


class Import(Message):
    """Imports these modules, as far as they can be, and nothing else. Empty: only says which modules were imported
    when the phases of the last case ended.
    """

    kind: Literal["import"] = "import"
    modules: tuple[str, ...] = ()


class Restart(Message):
    """Ends the Spark session and starts another in the same JVM, in which each task may use so many threads."""

    kind: Literal["restart"] = "restart"
    threads: int


class Close(Message):
    """Ends the session and the worker."""

    kind: Literal["close"] = "close"


class Ready(Message):
    """Answers Open and Restart."""

    kind: Literal["ready"] = "ready"
    jvm: str | None
    session_seconds: float | None
    """What starting this session took; null in a worker without one."""
    software: dict[str, Any]
    session: dict[str, Any]


class PhaseStarted(Message):
    """Sent while a request is served: the phase of a case, or how far a preparation is."""

    kind: Literal["phase"] = "phase"
    name: str


class PhasesEnded(Message):
    """Sent while Measure is served: every phase of the case has ended, and scoring begins."""

    kind: Literal["phases_ended"] = "phases_ended"


class Prepared(Message):
    """Answers Prepare. `notes` is what the user should know of it."""

    kind: Literal["prepared"] = "prepared"
    data: PreparedDataset
    notes: list[str]


class ModelPrepared(Message):
    """Answers PrepareModel."""

    kind: Literal["model_prepared"] = "model_prepared"
    model: PreparedModel


class Measured(Message):
    """Answers Measure. `tables` are Parquet files that the runner takes into the store."""

    kind: Literal["measured"] = "measured"
    observation: Observation
    tables: dict[str, Path]


class Examined(Message):
    """Answers Examine: the executors fit."""

    kind: Literal["examined"] = "examined"
    executors: list[Executor]


class Held(Message):
    """Answers HoldGpus."""

    kind: Literal["held"] = "held"
    holdings: list[Holding]


class Imported(Message):
    """Answers Import: the modules that the worker has imported, in the order in which that began."""

    kind: Literal["imported"] = "imported"
    modules: tuple[str, ...]


class Closed(Message):
    """Answers Close."""

    kind: Literal["closed"] = "closed"


class Refused(Message):
    """Answers a request that could not be served; `error` names the class of SparkscaleError."""

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
