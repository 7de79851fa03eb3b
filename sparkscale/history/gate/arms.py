"""Measures one round of one arm in a process of its own, and collects finished rounds in one store for each arm."""

import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cluster import processes
from sparkscale.analysis.metrics import latest
from sparkscale.contract.errors import ConfigError, GateError, StoreError
from sparkscale.contract.record import RunRecord
from sparkscale.history.gate.checkouts import Side
from sparkscale.history.gate.order import TITLES, Arm
from sparkscale.history.gate.state import GateState
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import FILE, Store

OUTPUT = "output.txt"
ERROR = "Error: "
TAIL = 20
"""The number of last lines of a process's errors that are kept to find its reason."""
PATIENCE_SECONDS = 5
USAGE = 2
"""The exit status of `sparkscale run` if the request is wrong, such as a resumption without a run."""
ENDED = (0, 1)
"""Exit statuses of a `sparkscale run` that measured everything. With 1, some case has no result."""


@dataclass(frozen=True)
class Round:
    """One round of one arm: what `sparkscale run` gets. `folder` is the round's own, for records and logs."""

    number: int
    arm: Arm
    suite: Path
    folder: Path

    def command(self, side: Side) -> list[str]:
        """Returns the command line. Round r has the seeds that it has in a `sparkscale run` of several rounds.

        All arms of a round have the same seeds, so that their qualities are paired.
        """
        seed = str(self.number - 1)
        where = ["--suite", str(self.suite), "--out", str(self.folder)]
        return [
            *(str(side.python), "-m", "sparkscale", "run", *where),
            *("--rounds", "1", "--seed", seed, *side.run_options),
        ]


@dataclass(frozen=True)
class ArmRecords:
    """The records of one arm in all complete rounds. `run` is the arm's only run in the store of `folder`."""

    arm: Arm
    folder: Path
    run: str
    records: tuple[RunRecord, ...]


def measure(one: Round, side: Side, say: Callable[[str], None]) -> float:
    """Measures the round of the arm, and returns its wall time in seconds.

    If an interrupted call has left records, it measures only what is missing. If the code cannot go on with them,
    they are removed, and the round is measured anew. Raises GateError if the process fails, if it left cases
    out, or if it measured other code.
    """
    started = time.monotonic()
    status, reason = None, ""
    if (one.folder / FILE).is_file():
        status, reason = _process([*one.command(side), "--resume"], side, one.folder)
        if status == USAGE:
            say(f"round {one.number} of the {TITLES[one.arm]} is measured anew: {reason}")
            remove_records(one.folder)
    if status in (None, USAGE):
        one.folder.mkdir(parents=True, exist_ok=True)
        status, reason = _process(one.command(side), side, one.folder)
    if status not in ENDED:
        raise GateError(
            f"Measuring the {TITLES[one.arm]} in round {one.number} ended with exit status {status}: {reason}"
        )
    _check(one, side, reason if status else "")
    return time.monotonic() - started


def _process(command: list[str], side: Side, folder: Path) -> tuple[int, str]:
    """Runs a command in its own process group. Returns its exit status and the last line of its errors.

    Its progress also goes to this process's stderr, and its report to a file. If this process is interrupted, it ends
    the new process and waits for it. If this process is killed, the new process is killed, too.
    """
    relay = _Relay()
    with (folder / OUTPUT).open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=side.root,
            env=side.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=processes.die_with_parent,  # noqa: PLW1509 - else it would measure beside a resumed gate
        )
        assert process.stderr is not None
        thread = threading.Thread(target=relay.read, args=(process.stderr,), daemon=True)
        thread.start()
        try:
            status = process.wait()
        except BaseException:
            relay.is_quiet = True  # else the process would say how to continue without the gate
            process.terminate()
            process.wait()
            raise
        finally:
            thread.join(PATIENCE_SECONDS)  # a process that outlives the run may hold the pipe open
    return status, relay.reason


@dataclass
class _Relay:
    """Copies the progress of a process to this process's stderr, but not its errors, and keeps the last lines."""

    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    is_quiet: bool = False

    def read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self.tail.append(line)
                if not self.is_quiet and not line.startswith(ERROR):
                    sys.stderr.write(line)
                    sys.stderr.flush()

    @property
    def reason(self) -> str:
        """The last error of the process, or else its last line."""
        lines = [line.strip() for line in self.tail if line.strip()]
        errors = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
        return (errors or lines or ["it gives no reason"])[-1]


def _check(one: Round, side: Side, reason: str) -> None:
    """Raises GateError if the round is incomplete, or if a record comes from other code than the checkout's.

    `reason` is the last line of the process's errors, or empty if every case has a result.
    """
    where = f"The {TITLES[one.arm]} in round {one.number}"
    try:
        with Store.existing(one.folder) as store:
            invocation = store.invocation()
            records = store.records(invocation.id)
    except ConfigError:
        raise GateError(f"{where} left no records{reason and f': {reason}'}.") from None
    except ValueError as error:  # Pydantic's
        raise GateError(
            f"{where} has records that this sparkscale cannot read: is the base newer than the head?"
        ) from error
    measured = len(latest(records))
    if reason and measured < invocation.executions:
        raise GateError(f"{where} measured only {measured} of {invocation.executions} executions: {reason}")
    for record in records:
        if (record.code.commit, record.code.dirty) != (side.code.commit, side.code.dirty) or (
            side.code.changes is not None and record.code.changes != side.code.changes
        ):
            raise GateError(f"{where} was measured by {record.code}, not {side.code}: start a new gate.")


def collect(one: Round, state: GateState, folder: Path) -> None:
    """Copies the records of a finished round into the arm's store.

    All rounds of an arm are one run there, with the gate's numbers of rounds. The run counts as imported, because
    `sparkscale run` cannot go on with it. A record that was copied before is not copied again.

    Raises GateError if the round was measured on another host, with other packages, or with other settings of a
    cluster than the rounds before.
    """
    run = run_id(state, one.arm)
    with Store.existing(one.folder) as source, Store.open(folder) as store:
        invocation = source.invocation()
        earlier = store.records(run)
        known = {record.id for record in earlier}
        if earlier:
            _check_conditions(one, source, store, store.invocation(identity=run))
        described = set(invocation.origin.values())
        for record in source.records(invocation.id):
            named = (record.host, record.software, record.session, record.data, record.model, record.workload)
            described |= {identity for identity in named if identity is not None}
        for identity in sorted(described):
            with suppress(KeyError):  # if the source lacks a description, so does the copy
                store.keep(source.description(identity))
        if run not in store.runs():
            store.begin(
                invocation.model_copy(
                    update={
                        "id": run,
                        "suite": state.suite,
                        "started_at": state.started_at,
                        "rounds": state.rounds,
                        "imported": True,
                        "executions": 0,
                    }
                )
            )
        for record in source.records(invocation.id):
            if record.id not in known:
                numbered = record.model_copy(update={"invocation": run, "round": one.number})
                store.add(numbered, source.tables(record.id))


def _check_conditions(one: Round, source: Store, store: Store, before: Invocation) -> None:
    invocation = source.invocation()
    changed = [
        name
        for name, identity in invocation.origin.items()
        if name != "suite" and before.origin.get(name, identity) != identity
    ]
    of_round, earlier = (
        {"the host": {r.host for r in records}, **_software(records)}
        for records in (source.records(invocation.id), store.records(before.id))
    )
    changed += [name for name, values in of_round.items() if name in earlier and values != earlier[name]]
    if changed:
        raise GateError(
            f"Something changed before round {one.number} of the {TITLES[one.arm]}: {', '.join(changed)}. Rounds "
            "under other conditions cannot be compared: start a new gate."
        )


def _software(records: Iterable[RunRecord]) -> dict[str, set[str]]:
    """Returns the software of node engines and of engines on Spark, which also have Java."""
    software: dict[str, set[str]] = {}
    for record in records:
        software.setdefault(f"the packages of {record.case.placement} engines", set()).add(record.software)
    return software


def run_id(state: GateState, arm: Arm) -> str:
    """Returns the id of the run that holds all rounds of an arm."""
    return f"{state.id}-{arm}"


def remove_records(folder: Path) -> None:
    """Removes the store of a folder. Logs and the printed reports stay."""
    for path in folder.glob(f"{FILE}*"):
        path.unlink()


def arm_records(state: GateState, arm: Arm, folder: Path) -> ArmRecords:
    """Returns the records of one arm, without those of a round that other arms have not finished.

    Raises StoreError if the arm's store is missing or damaged.
    """
    run = run_id(state, arm)
    try:
        with Store.existing(folder) as store:
            records = store.records(run)
    except ConfigError as error:
        raise StoreError(f"{folder} has lost the records of the gate: start a new gate.") from error
    return ArmRecords(arm, folder, run, tuple(one for one in records if one.round <= state.complete_rounds))
