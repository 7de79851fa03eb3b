"""Measures a base, a head and the base again, round by round, until every verdict is decided or the time is over."""

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from sparkscale.analysis.duration import amount
from sparkscale.analysis.questions.two_sides import fewest_rounds
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import count
from sparkscale.contract.record import CodeState
from sparkscale.contract.threshold import Threshold
from sparkscale.history.asv_benchmarks import absolute_if_file
from sparkscale.history.gate import arms, state
from sparkscale.history.gate.arms import ArmRecords, Round
from sparkscale.history.gate.cases import matching_blocks, single_cases, write_suite
from sparkscale.history.gate.checkouts import SHORT, Side, checked_out, commit_of, head_state, python_for
from sparkscale.history.gate.order import ARMS, TITLES, Arm
from sparkscale.history.gate.probe import known_cases, run_options
from sparkscale.history.gate.state import ArmDone, GateState, Missing
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import planned_cases
from sparkscale.measure.plan.suite import Block
from sparkscale.measure.run.lock import machine_lock
from sparkscale.measure.worker.descriptions import ROOT
from sparkscale.store.store import Store

BASE, SUITE, ROUNDS = "main", "asv", 8
Say = Callable[[str], None]


@dataclass(frozen=True)
class GateRequest:
    """The request of the user. A field is None if the user did not give this option.

    `within_seconds` limits the wall time of this call. With `resume`, the last gate below `out` goes on.
    """

    out: Path
    base: str | None = None
    suite: str | None = None
    rounds: int | None = None
    within_seconds: float | None = None
    is_dirty: bool = False
    resume: bool = False


@dataclass(frozen=True)
class Arms:
    """The records of the three arms, in all complete rounds. `thresholds` are those of the suite."""

    base: ArmRecords
    head: ArmRecords
    again: ArmRecords
    thresholds: tuple[Threshold, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What is not decided after a look: the `Case.experiment` of every case that more rounds should measure.

    The experiments may come from the records of any arm.
    """

    undecided: frozenset[str]


Decide = Callable[[Arms, int, int], Decision]
"""A function of the arms, the number of complete rounds and the number of all rounds: what is not decided yet?

It is called after each round, and depends on nothing else, so that a resumed gate decides the same. A case that was
decided once is not measured again, so it has fewer records than `rounds`.
"""


@dataclass(frozen=True)
class Measured:
    """A gate that ended. `stopped` is a sentence that says why it ended. `folder` holds the state and all records."""

    state: GateState
    folder: Path
    arms: Arms
    decision: Decision
    stopped: str

    @property
    def rounds(self) -> int:
        """The number of complete rounds."""
        return self.state.complete_rounds


def measure_arms(request: GateRequest, decide: Decide, say: Say) -> Measured:
    """Measures the arms, and calls `decide` after each round. Calls `say` with a message about each step.

    It ends when nothing is undecided, when all rounds are done, or before a round that would not end in time. Raises
    ConfigError before anything is measured if the request is wrong, and GateError if a round fails.
    """
    started = time.monotonic()
    head = head_state(request.is_dirty or request.resume)
    with machine_lock():
        gate, folder = _resumed(request, head) if request.resume else (None, None)
        if gate is None or folder is None:
            gate, sides, folder = _begun(request, head, say)
        else:
            sides = _sides(gate.base, head, say)
        loop = _Loop(gate, folder, sides, decide, say, started, request.within_seconds or gate.within_seconds)
        return loop.run()


def _resumed(request: GateRequest, head: CodeState) -> tuple[GateState, Path]:
    """Returns the last gate and its folder. Raises ConfigError if the request or the code differs from it."""
    gate, folder = state.last(request.out.absolute())
    requested = None if request.suite is None else absolute_if_file(request.suite, Path.cwd())
    for option, value, before in (
        ("base", request.base, gate.base_revision),
        ("suite", requested, gate.suite),
        ("rounds", request.rounds, gate.rounds),
    ):
        if value is not None and value != before:
            raise ConfigError(
                f"The gate to resume has --{option} {before}, not {value}: leave --{option} out, or start a new gate."
            )
    if head != gate.head:
        raise ConfigError(f"The gate to resume measures {gate.head} as head, not {head}: start a new gate.")
    return gate, folder


def _begun(request: GateRequest, head: CodeState, say: Say) -> tuple[GateState, dict[Arm, Side], Path]:
    """Returns a new gate, its sides by arm, and its folder with the state."""
    out = request.out.absolute()
    Store.check_writable(out)
    revision = request.base or BASE
    commit = commit_of(revision)
    suite_name = absolute_if_file(request.suite or SUITE, Path.cwd())
    measured_suite = single_cases(suite.load(suite_name))
    sides = _sides(commit, head, say)
    missing_on_base, missing_on_head = _missing(sides, measured_suite, suite_name)
    if len(missing_on_base) == len(measured_suite.measure):
        raise ConfigError(
            f"{revision} knows no case of the suite {measured_suite.name}, such as {missing_on_base[0].case} "
            f"({missing_on_base[0].reason}). Choose another suite."
        )
    gate = GateState(
        id=uuid.uuid4().hex[:12],
        started_at=datetime.now(UTC),
        suite=suite_name,
        measured_suite=measured_suite,
        base_revision=revision,
        base=commit,
        head=head,
        rounds=request.rounds or ROUNDS,
        order_seed=random.SystemRandom().randrange(2**32),
        within_seconds=request.within_seconds,
        missing_on_base=missing_on_base,
        missing_on_head=missing_on_head,
    )
    folder = out / state.FOLDER / gate.id
    folder.mkdir(parents=True)
    state.save(gate, folder)
    return gate, sides, folder


def _sides(base: str, head: CodeState, say: Say) -> dict[Arm, Side]:
    """Returns the checkout of each arm, ready to measure."""
    base_side = _side("base", CodeState(commit=base, dirty=False), say)
    return {"base": base_side, "head": _side("head", head, say), "again": base_side}


def _side(arm: Arm, code: CodeState, say: Say) -> Side:
    """Returns a clone of the commit, or this checkout itself if it has changes.

    Raises ConfigError if its packages cannot be installed, or if its code does not start.
    """
    title = f"{TITLES[arm]}, commit {str(code.commit)[:SHORT]}"
    say(
        f"checking out the {title}" if code.dirty is False else f"the {title}, is measured with its changes in {ROOT}"
    )
    root = checked_out(str(code.commit)) if code.dirty is False else ROOT
    try:
        python = python_for(root)
    except ConfigError as error:
        raise ConfigError(f"The packages of the {title}, are not complete: {error}") from error
    side = Side(root, python, code)
    return replace(side, run_options=run_options(side, title))


def _missing(
    sides: dict[Arm, Side], measured_suite: suite.Suite, suite_name: str
) -> tuple[tuple[Missing, ...], tuple[Missing, ...]]:
    """Returns the cases that the base does not know, and those that only the base's suite of this name has."""
    if sides["base"].root == sides["head"].root:
        return (), ()
    own_suite = suite_name if suite_name in suite.names() else ""
    known = known_cases(sides["base"], measured_suite, measured_suite.measure, own_suite)
    keys = ("workload", "engine", "dataset", "fraction", "device", "set")
    heads = {" ".join(case.key(key) for key in keys) for case in planned_cases(measured_suite)}
    return known.missing, tuple(Missing(case=case) for case in known.own if case not in heads)


@dataclass
class _Loop:
    """The rounds of one gate."""

    gate: GateState
    folder: Path
    sides: dict[Arm, Side]
    decide: Decide
    say: Say
    started: float
    within_seconds: float | None

    def run(self) -> Measured:
        blocks, decision = self.gate.shared_blocks, Decision(frozenset())
        if self.gate.ended:
            self.say(
                f"this gate has ended: {self.gate.ended}. Its verdicts are final; to measure more, start a new one"
            )
        for number in range(1, self.gate.rounds + 1):
            if number > self.gate.complete_rounds:
                if self.gate.ended:
                    return self._measured(decision, self.gate.ended)
                if number > 1 and self._is_late(number, len(blocks)):
                    return self._ended(decision, f"the next would not end within {amount(self.within_seconds or 0)}")
                self._measure_round(number, blocks)
            measured = self._arms(number)
            decision = self.decide(measured, number, self.gate.rounds)
            blocks = self._undecided(decision, measured, blocks)
            if not blocks and number < self.gate.rounds:
                return self._measured(decision, "every verdict is decided")
        return self._measured(decision, "")

    def _ended(self, decision: Decision, reason: str) -> Measured:
        """Ends the gate at its time limit. Its verdicts are final, if so many rounds can have any.

        A gate that went on would test the same comparisons once more than was planned.
        """
        if self.gate.complete_rounds >= fewest_rounds(1):
            self.gate = self.gate.model_copy(update={"ended": reason})
            state.save(self.gate, self.folder)
        return self._measured(decision, reason)

    def _measured(self, decision: Decision, reason: str) -> Measured:
        """Returns the result. `reason` says why it ended before the last round; empty if it did not."""
        done, rounds = self.gate.complete_rounds, self.gate.rounds
        stopped = f"Stopped after {done} of {count(rounds, 'round')}: {reason}." if reason else ""
        stopped = stopped or f"Measured all {count(rounds, 'round')}."
        return Measured(self.gate, self.folder, self._arms(done), decision, stopped)

    def _arms(self, rounds: int) -> Arms:
        """Returns the records of all arms in the first rounds."""
        every = [arms.arm_records(self.gate, arm, self.folder / arm) for arm in ARMS]
        base, head, again = (
            replace(one, records=tuple(each for each in one.records if each.round <= rounds)) for one in every
        )
        return Arms(base, head, again, self.gate.measured_suite.gate)

    def _undecided(self, decision: Decision, measured: Arms, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        """Returns the suite blocks to measure further: those of undecided cases that were not decided before."""
        cases = {
            record.case.id: record.case
            for arm in (measured.base, measured.head, measured.again)
            for record in arm.records
            if record.case.experiment in decision.undecided
        }
        known = self.gate.measured_suite.measure
        if not all(matching_blocks(self.gate.measured_suite, known, [case]) for case in cases.values()):
            return blocks  # rather too much is measured than a case is lost
        return matching_blocks(self.gate.measured_suite, blocks, cases.values())

    def _measure_round(self, number: int, blocks: tuple[Block, ...]) -> None:
        for arm in self.gate.orders[number - 1]:
            if self.gate.has(number, arm):
                continue
            self.say(f"round {number} of {self.gate.rounds}, {TITLES[arm]}{self._estimate(number, len(blocks))}")
            new = self.gate.new_blocks if (number, arm) == (1, "head") else ()
            folder = self.folder / "rounds" / str(number) / arm
            file = write_suite(self.gate.measured_suite, [*blocks, *new], folder / "suite")
            one = Round(number, arm, file, folder)
            seconds = arms.measure(one, self.sides[arm], self.say)
            arms.collect(one, self.gate, self.folder / arm)
            done = ArmDone(round=number, arm=arm, seconds=seconds, cases=len(blocks))
            self.gate = self.gate.model_copy(update={"done": (*self.gate.done, done)})
            state.save(self.gate, self.folder)
            arms.remove_records(folder)

    def _is_late(self, round_number: int, cases: int) -> bool:
        """Returns true if a round of this number of cases would probably not end in time."""
        if self.within_seconds is None:
            return False
        arms_left = sum(not self.gate.has(round_number, arm) for arm in ARMS)
        seconds = arms_left * (self._arm_seconds(cases) or 0.0)
        return time.monotonic() - self.started + seconds > self.within_seconds

    def _arm_seconds(self, cases: int) -> float | None:
        """Returns the median wall time of one arm in earlier rounds, if possible in rounds of the same cases."""
        same = [one.seconds for one in self.gate.done if one.cases == cases]
        every = same or [one.seconds for one in self.gate.done]
        return median(every) if every else None

    def _estimate(self, number: int, cases: int) -> str:
        """Returns how long the rest takes at most, such as ", about 4 min left". Empty if it is not known."""
        seconds = self._arm_seconds(cases)
        if seconds is None:
            return ""
        done = sum(self.gate.has(number, arm) for arm in ARMS)
        arms_left = len(ARMS) * (self.gate.rounds - number + 1) - done
        return f", at most about {amount(seconds * arms_left)} left"
