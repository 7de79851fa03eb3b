"""The grid from which `decide` chooses, the steps that it measures, and where each question stands."""

from dataclasses import dataclass

from sparkscale.analysis.blocks import Verdict
from sparkscale.contract.case import Device, Placement

SAMPLE, ENGINE, CLUSTER, WORKERS = "sample", "engine", "cluster", "workers"
QUESTIONS = (SAMPLE, ENGINE, CLUSTER, WORKERS)
"""Is a sample enough? Which engine on one node? Does Spark pay, and from which size? How many workers?"""
PATTERN = "data_parallel"
"""The only pattern for which there are questions to decide."""


@dataclass(frozen=True)
class GridCell:
    """A case of the grid without its seeds.

    `key` is `Case.experiment`. `workload` is the full name, such as "data_parallel.gradient_boosting". `rows` is the
    number of training rows, and `cores` the number of cores that the case computes on. The suite gives the cell
    `rounds` rounds. Cells with equal `cluster` and `worker` share a worker process in a round, so they share its
    start. `unsupported` is the reason why the cell cannot run here. It is empty if it can.
    """

    key: str
    workload: str
    engine: str
    placement: Placement
    cluster: str
    device: Device
    fraction: float
    rows: int
    parameter_set: str
    threads: int | None
    cores: int
    rounds: int
    worker: str
    isolated: bool = False
    unsupported: str = ""


@dataclass(frozen=True)
class Piece:
    """A cell in one round. The first round is 1."""

    cell: GridCell
    round: int


@dataclass(frozen=True)
class Step:
    """The pieces to measure next, in one go.

    `seconds` is the expected wall time with starts of workers and warm-ups, and `at_most_seconds` its upper end.
    `reason` is a short sentence for the live view.
    """

    pieces: tuple[Piece, ...]
    seconds: float
    at_most_seconds: float
    reason: str


@dataclass(frozen=True)
class Standing:
    """Where one question stands.

    `question` is one of QUESTIONS. `subject` names what it is about, such as "gradient boosting on local": a grid
    with several workloads has a standing for each. `choice` is the present answer in a fixed form, such as
    "xgboost". It is comparable with the choice of a full grid, and empty if nothing is known yet. `text` is a
    sentence with ranges. `doubt` says shortly what is open. It is empty if nothing is. `records` holds the ids of
    the records behind the answer.

    `to_resolve` says what would resolve the question. `seconds_to_resolve` is how long that takes; None if this is
    not known, or if it is hopeless. Both are empty or None if the question is resolved.
    """

    question: str
    verdict: Verdict
    choice: str
    text: str
    doubt: str
    records: tuple[str, ...]
    to_resolve: str = ""
    seconds_to_resolve: float | None = None
    subject: str = ""

    @property
    def is_resolved(self) -> bool:
        return self.verdict != "not resolved"
