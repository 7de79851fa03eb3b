"""The verdicts of a gate at each look, and what its report says, on records with a planted difference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparkscale.analysis.blocks import Answer, Block, Text, Warning
from sparkscale.contract.record import Outcome, RunRecord
from sparkscale.contract.threshold import Threshold
from sparkscale.history.gate.arms import ArmRecords
from sparkscale.history.gate.cases import single_cases
from sparkscale.history.gate.measure import Arms, Decision, Measured
from sparkscale.history.gate.order import Arm
from sparkscale.history.gate.state import GateState, Missing
from sparkscale.history.gate.verdicts import Judged, decide, judged
from sparkscale.measure.plan import suite
from sparkscale.store.store import Store
from tests.builders import Writer, case, invocation
from tests.sequential import Sequential

ENGINES = ("sklearn", "xgboost")
Change = Callable[[RunRecord], dict[str, Any]]


class Gate:
    """Three arms with records of two engines, each with a noise of 1 % and its factor."""

    def __init__(self, folder: Path, rounds: int = 12) -> None:
        self.folder, self.rounds = folder, rounds
        self.arms: dict[Arm, ArmRecords] = {}

    def write(
        self,
        arm: Arm,
        factors: dict[str, float] | None = None,
        *,
        noise: float = 0.01,
        rounds: int | None = None,
        outcomes: Callable[[str], Outcome] = lambda _: "ok",
        change: Change = lambda _: {},
    ) -> "Gate":
        generator = np.random.default_rng(list(arm.encode()))
        folder = self.folder / arm
        with Store.open(folder) as store:
            store.begin(invocation(arm))
            write = Writer(store, arm, lambda record: {"id": f"{arm}-{record.id}", **change(record)})
            for number in range(1, (rounds or self.rounds) + 1):
                for engine in ENGINES:
                    outcome = outcomes(engine)
                    factor = (factors or {}).get(engine, 1.0) * float(np.exp(generator.normal(0, noise)))
                    seconds = factor if outcome == "ok" else None
                    write(case(engine, 1.0, seed=number), number, seconds=seconds, outcome=outcome)
            self.arms[arm] = ArmRecords(arm, folder, arm, tuple(store.records(arm)))
        return self

    def after(self, rounds: int, thresholds: tuple[Threshold, ...] = ()) -> Arms:
        of = {
            arm: ArmRecords(arm, one.folder, one.run, tuple(r for r in one.records if r.round <= rounds))
            for arm, one in self.arms.items()
        }
        return Arms(of["base"], of["head"], of["again"], thresholds)

    def decision(self, rounds: int) -> Decision:
        """What is decided after this many rounds: the gate looks after each of them."""
        return decide(self.after(rounds), rounds, self.rounds)

    def undecided(self, rounds: int, thresholds: tuple[Threshold, ...] = ()) -> set[str]:
        """The engines that need more rounds after this many."""
        decision = decide(self.after(rounds, thresholds), rounds, self.rounds)
        records = [record for one in self.arms.values() for record in one.records]
        return {record.case.engine for record in records if record.case.experiment in decision.undecided}

    def state(self, done: int, **fields: Any) -> GateState:
        """The state after these complete rounds."""
        return GateState.model_validate(
            {
                "id": "one",
                "started_at": "2026-11-29T00:00:00Z",
                "suite": "asv",
                "measured_suite": single_cases(suite.load("asv")),
                "base_revision": "main",
                "base": "b" * 40,
                "head": {"commit": "c" * 40, "dirty": False},
                "rounds": self.rounds,
                "order_seed": 1,
                "within_seconds": None,
                "done": [
                    {"round": number, "arm": arm, "seconds": 1.0, "cases": 2}
                    for number in range(1, done + 1)
                    for arm in ("base", "head", "again")
                ],
                **fields,
            }
        )

    def judged(self, rounds: int | None = None, **fields: Any) -> Judged:
        """The gate as it ends after this many rounds."""
        done = self.rounds if rounds is None else rounds
        state = self.state(done, **fields)
        return judged(Measured(state, self.folder, self.after(done), self.decision(done), "Stopped for a test."))


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path).write("base").write("again")


def answer(of: Judged) -> Answer:
    return next(block for block in of.blocks if isinstance(block, Answer))


def texts(blocks: tuple[Block, ...]) -> str:
    return " ".join(block.text for block in blocks if isinstance(block, Text | Warning))


def test_nothing_is_decided_before_the_first_look(gate: Gate) -> None:
    gate.write("head", {"xgboost": 1.3})
    assert gate.undecided(1) == gate.undecided(5) == {"sklearn", "xgboost"}


def test_a_case_is_decided_at_a_look_and_stays_so(gate: Gate) -> None:
    """The looks of 12 rounds and few comparisons are after 6, 9 and 12 rounds."""
    gate.write("head", {"xgboost": 1.3, "sklearn": 1.049}, noise=0.02)
    assert gate.undecided(6) == {"sklearn"}
    assert gate.undecided(8) == {"sklearn"}
    # later rounds that say something else do not change a verdict
    base = gate.arms["base"]
    slow = tuple(
        r.model_copy(update={"seconds": {"load": 9.0, "fit": 9.0}})
        if r.round > 6 and r.case.engine == "xgboost"
        else r
        for r in base.records
    )
    gate.arms["base"] = ArmRecords("base", base.folder, base.run, slow)
    made = gate.judged()
    assert {row.subject.engine for row in made.head.compared.with_change("worse")} == {"xgboost"}


def test_after_all_rounds_nothing_is_measured_further(gate: Gate) -> None:
    gate.write("head", {"sklearn": 1.049}, noise=0.2)
    assert gate.undecided(12) == set()
    assert gate.undecided(11) == {"sklearn", "xgboost"}


def test_only_the_slower_engine_is_worse_and_the_noise_made_no_verdict(gate: Gate) -> None:
    made = gate.write("head", {"xgboost": 1.15}).judged()
    assert made.is_worse
    assert "data_parallel.gradient_boosting xgboost flights 1 on local (time_to_model × 1.1" in answer(made).text
    assert "sklearn" not in answer(made).text
    assert "which shows the noise of this machine: no false verdict in " in texts(made.blocks)
    assert list(made.head.after) == [6, 9, 12]
    assert sum(made.head.after.values()) == pytest.approx(0.05)


def test_equal_code_is_the_same(gate: Gate) -> None:
    made = gate.write("head").judged()
    assert (made.is_worse, made.is_too_little) == (False, False)
    assert answer(made).verdict == "no"


def test_a_drift_of_the_machine_is_shown_by_the_base_again(tmp_path: Path) -> None:
    made = Gate(tmp_path).write("base").write("again", {"xgboost": 1.2}).write("head").judged()
    warning = next(block.text for block in made.blocks if isinstance(block, Warning))
    assert warning.startswith("The noise of this machine alone made 1 false verdict in ")
    assert "(time_to_model: worse)" in warning


def test_two_rounds_are_too_little(tmp_path: Path) -> None:
    made = Gate(tmp_path, 2).write("base").write("again").write("head", {"xgboost": 2.0}).judged()
    assert (made.is_worse, made.is_too_little) == (False, True)
    assert "p of 2+2 rounds cannot be below 0.33" in answer(made).text


def test_a_gate_that_ended_early_spends_what_is_left(gate: Gate) -> None:
    made = gate.write("head", {"xgboost": 1.3, "sklearn": 1.049}, noise=0.02).judged(rounds=7)
    assert list(made.head.after) == [6, 7]
    assert sum(made.head.after.values()) == pytest.approx(0.05)
    assert made.is_worse


def test_a_gate_that_ended_at_a_planned_look_spends_what_is_left_there(gate: Gate) -> None:
    made = gate.write("head", {"xgboost": 1.3, "sklearn": 1.049}, noise=0.2).judged(rounds=9)
    assert list(made.head.after) == [6, 9]
    assert sum(made.head.after.values()) == pytest.approx(0.05)
    assert "The levels add up to 0.05" in texts(made.blocks)


def test_a_case_that_may_fail_more_often_is_measured_further(gate: Gate) -> None:
    def one_failure(record: RunRecord) -> dict[str, Any]:
        fails = record.round == 1 and record.case.engine == "xgboost"
        return {"outcome": "failed", "seconds": {}, "quality": {}} if fails else {}

    gate.write("head", change=one_failure)
    assert gate.undecided(6) == {"xgboost"}


def test_failures_of_the_base_again_are_noise_too(tmp_path: Path) -> None:
    fails: Callable[[str], Outcome] = lambda engine: "failed" if engine == "xgboost" else "ok"  # noqa: E731
    made = Gate(tmp_path).write("base").write("again", outcomes=fails).write("head").judged()
    warning = next(block.text for block in made.blocks if isinstance(block, Warning))
    assert "(outcomes: worse)" in warning


def test_a_case_that_fails_on_the_head_is_worse(gate: Gate) -> None:
    made = gate.write("head", outcomes=lambda engine: "failed" if engine == "xgboost" else "ok").judged()
    assert made.is_worse
    assert "(6 failed; base: 6 ok)" in answer(made).text


def test_another_version_of_a_workload_is_not_compared(gate: Gate) -> None:
    made = gate.write("head", change=lambda record: {"case": record.case.model_copy(update={"version": 2})}).judged()
    assert made.head.compared.rows == ()
    assert made.is_too_little
    assert "version 2 of the workload, not 1" in str(made.blocks)


def test_missing_cases_are_too_little_and_new_ones_are_not(gate: Gate) -> None:
    gate.write("head")
    lost = gate.judged(missing_on_head=[Missing(case="lost")])
    assert lost.is_too_little
    assert "Only the base has a case: lost." in texts(lost.blocks)
    new = gate.judged(missing_on_base=[Missing(case="new", reason="unknown engine")])
    assert not new.is_too_little
    assert "the base does not know it: new (unknown engine)" in texts(new.blocks)


@pytest.mark.parametrize("factor", [1.0, 1.06, 1.12, 1.3])
def test_the_rule_is_the_one_that_was_simulated(tmp_path: Path, factor: float) -> None:
    """`sparkscale evidence gate` simulates `Sequential`."""
    gate = Gate(tmp_path).write("base", noise=0.03).write("again").write("head", {"xgboost": factor}, noise=0.03)
    made = gate.judged()
    rule = Sequential[str](gate.rounds)
    for rounds in range(1, gate.rounds + 1):
        arms = gate.after(rounds)
        rule.decide(
            {
                engine: (
                    [
                        sum(r.seconds[p] for p in ("load", "fit"))
                        for r in arms.base.records
                        if r.case.engine == engine
                    ],
                    [
                        sum(r.seconds[p] for p in ("load", "fit"))
                        for r in arms.head.records
                        if r.case.engine == engine
                    ],
                )
                for engine in ENGINES
            },
            rounds,
        )
    of_gate = {row.subject.engine: row.change for row in made.head.compared.rows if row.metric == "time_to_model"}
    assert of_gate == {engine: verdict.change for engine, verdict in rule.verdicts.items()}


def test_thresholds_are_those_of_the_suite(gate: Gate) -> None:
    gate.write("head", {"xgboost": 1.15})
    loose = Threshold(metric="time_to_model", threshold=0.4)
    assert gate.undecided(6, (loose,)) == set()
    looked = judged(Measured(gate.state(12), gate.folder, gate.after(12, (loose,)), Decision(frozenset()), ""))
    assert not looked.is_worse
