"""The state of a gate: what it measures, and what is done. It is a file, so that an interrupted gate goes on."""

from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from sparkscale.contract.errors import ConfigError, StoreError
from sparkscale.contract.record import CodeState
from sparkscale.history.gate.order import ARMS, Arm, Order, orders
from sparkscale.measure.plan.suite import Block, Suite
from sparkscale.present.writing import write_whole

FILE = "gate.json"
FOLDER = "gate"
"""The folder below `--out` that holds all gates."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArmDone(Frozen):
    """One arm of one round that was measured completely. `seconds` is its wall time, starts of processes included."""

    round: int
    arm: Arm
    seconds: float
    cases: int
    """The number of suite blocks with one case each that the arm measured."""


class Missing(Frozen):
    """A case that one side does not know. `reason` is empty if the side's own suite just leaves the case out."""

    case: str
    reason: str = ""


class GateState(Frozen):
    """One gate: its request, what it measures, and the arms that are done."""

    id: str
    started_at: AwareDatetime
    suite: str
    """The suite's name, or its absolute path, as the user requested it."""
    measured_suite: Suite
    """The head's suite with absolute paths. Each of its suite blocks has one case."""
    base_revision: str
    base: str
    """The base's commit."""
    head: CodeState
    rounds: int
    order_seed: int
    within_seconds: float | None
    missing_on_base: tuple[Missing, ...] = ()
    missing_on_head: tuple[Missing, ...] = ()
    done: tuple[ArmDone, ...] = ()
    ended: str = ""
    """Why the gate ended before its last round, if its verdicts are final. Otherwise empty."""

    @property
    def is_same_code(self) -> bool:
        """True if the head is the base's commit without changes, so that every difference is noise."""
        return self.head.commit == self.base and not self.head.dirty

    @property
    def orders(self) -> list[Order]:
        """The order of the arms in each round."""
        return orders(self.rounds, self.order_seed)

    @property
    def complete_rounds(self) -> int:
        """The number of rounds that all arms have measured."""
        return min(sum(one.arm == arm for one in self.done) for arm in ARMS)

    def has(self, number: int, arm: Arm) -> bool:
        """Returns true if the arm has measured this round."""
        return any((one.round, one.arm) == (number, arm) for one in self.done)

    @property
    def shared_blocks(self) -> tuple[Block, ...]:
        """The suite blocks, with one case each, that both sides know."""
        missing = {one.case for one in self.missing_on_base}
        return tuple(block for block in self.measured_suite.measure if label(block) not in missing)

    @property
    def new_blocks(self) -> tuple[Block, ...]:
        """The suite blocks, with one case each, that only the head knows."""
        shared = self.shared_blocks
        return tuple(block for block in self.measured_suite.measure if block not in shared)


def label(block: Block) -> str:
    """Returns a readable name of the only case of a suite block.

    It names all that differs between cases: "data_parallel.gradient_boosting xgboost flights 1/4 trees=10".
    """
    optional = [
        *(name for name in block.sets if name != "aligned"),
        *(name for name in block.devices if name != "cpu"),
        *([f"threads={block.threads}"] if block.threads else []),
        *(["isolated"] if block.isolate else []),
        *(f"{name}={value}" for name, value in sorted(block.params.items())),
    ]
    return " ".join([block.workload, *block.engines, *block.datasets, *block.fractions, *optional])


def save(state: GateState, folder: Path) -> None:
    """Writes the state into the folder of the gate. Raises ConfigError if it cannot be written."""
    write_whole(state.model_dump_json(indent=2), folder / FILE)


def load(folder: Path) -> GateState:
    """Reads the state in the folder of a gate. Raises StoreError if it is damaged."""
    path = folder / FILE
    try:
        return GateState.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StoreError(
            f"{path} cannot be read as the state of a gate: start a new gate, or remove this folder."
        ) from error


def last(out: Path) -> tuple[GateState, Path]:
    """Returns the gate below `out` that measured last, and its folder.

    Raises ConfigError if there is none, and StoreError if its state is damaged.
    """
    paths = sorted((out / FOLDER).glob(f"*/{FILE}"), key=lambda path: path.stat().st_mtime)
    if not paths:
        raise ConfigError(f"There is no gate to resume in {out / FOLDER}: start one without --resume.")
    return load(paths[-1].parent), paths[-1].parent
