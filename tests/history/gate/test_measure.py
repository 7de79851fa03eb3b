"""A real gate in a clone: a head that made one engine slower, interrupted, resumed, and stopped in time."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from sparkscale.contract.record import RunRecord
from sparkscale.history.gate import state
from sparkscale.history.gate.order import ARMS
from sparkscale.history.gate.state import GateState
from sparkscale.store.store import FILE, Store
from tests.history.cloning import Clone

pytestmark = [pytest.mark.spark, pytest.mark.slow]

SUITE = """
deadline_seconds = 120

[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost", "sklearn"]
fractions = ["1/64"]
params = { trees = 10, learning_rate = 0.3 }

[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["sklearn"]
fractions = ["1/64"]
params = { trees = 11, speed = "low" }
"""
"""The last parameter is new on the head: the base does not know the last case."""

PARAMETER = '''class BoostingParams(BoostedTrees):
    """The parameters of all engines. Only `xgboost-spark` uses `spark_workers`."""
'''

SLOWER = 2
"""Seconds that the head sleeps while the engine xgboost loads its rows."""

GATE = """
import json, sys
from pathlib import Path
from statistics import median
from sparkscale.analysis.metrics import latest, time_to_model, timed
from sparkscale.history.gate.measure import Decision, GateRequest, measure_arms
from sparkscale.history.gate.state import last, save

def decide(arms, complete_rounds, rounds):
    '''Decides that sklearn is the same after one round, and that xgboost is slower after two.'''
    known = [record for arm in (arms.base, arms.head, arms.again) for record in arm.records]
    slow = {r.case.experiment for r in known if r.case.engine == "xgboost"}
    return Decision(frozenset(slow if complete_rounds < 2 else ()))

messages = []
def gate(**options):
    del messages[:]
    measured = measure_arms(GateRequest(Path("results"), resume=True, **options), decide, messages.append)
    return [measured.stopped, measured.rounds, list(messages)]

done = [gate(within_seconds=0.001), gate(), gate()]

def decide(arms, complete_rounds, rounds):
    return Decision(frozenset(r.case.experiment for r in arms.base.records))

state, folder = last(Path("results").absolute())
save(state.model_copy(update={"ended": "the time was over"}), folder)
print(json.dumps([*done, gate()]))
"""
"""Resumes four times: without time for a second round, with it, when nothing is left to measure, and after the end.

A gate that its time limit ended after so few rounds has no final verdict, so the end is written into its state.
"""


@dataclass(frozen=True)
class Gate:
    """`interrupted` is what the first command wrote. `late`, `whole` and `again` are what the resumed gates say."""

    clone: Clone
    base: str
    head: str
    interrupted: str
    kept: GateState
    other: "subprocess.CompletedProcess[str]"
    late: tuple[str, int, list[str]]
    whole: tuple[str, int, list[str]]
    again: tuple[str, int, list[str]]
    ended: tuple[str, int, list[str]]
    shown: "subprocess.CompletedProcess[str]"
    state: GateState
    folder: Path

    def records(self, arm: str) -> list[RunRecord]:
        """The records of an arm, without warm-ups."""
        with Store.existing(self.folder / arm) as store:
            return [record for record in store.records() if not record.is_warmup]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    clone = Clone.make(tmp_path_factory.mktemp("gate"))
    base = clone.head()
    change(clone.root / "workloads" / "data_parallel" / "trees.py", "        import xgboost\n\n        rows", slept())
    boosting = clone.root / "workloads" / "data_parallel" / "gradient_boosting.py"
    change(boosting, PARAMETER, PARAMETER + '\n    speed: Literal["low", "high"] = "high"\n')
    head = clone.commit("one engine is slower")
    clone.suite.write_text(SUITE)
    command = ("sparkscale", "gate", "--base", "HEAD~1", "--suite", str(clone.suite), "--rounds", "3")
    interrupted = clone.interrupted(*command, after="[1/")
    kept, folder = state.last(clone.root / "results")
    other = clone.run("sparkscale", "gate", "--resume", "--rounds", "8")
    (clone.root / "results" / "resumed.py").write_text(GATE)
    done = clone.run("resumed", PYTHONPATH=os.pathsep.join([str(clone.root), str(clone.root / "results")]))
    assert done.returncode == 0, done.stderr
    late, whole, again, ended = json.loads(done.stdout.splitlines()[-1])
    shown = clone.run("sparkscale", "show", "--out", str(folder / "head"))
    last, _ = state.last(clone.root / "results")
    return Gate(clone, base, head, interrupted, kept, other, late, whole, again, ended, shown, last, folder)


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


def slept() -> str:
    return f"        import time\n\n        import xgboost\n\n        time.sleep({SLOWER})\n        rows"


def times(records: list[RunRecord], engine: str) -> list[float]:
    return [record.seconds["load"] + record.seconds["fit"] for record in records if record.case.engine == engine]


def test_ctrl_c_keeps_what_was_measured_and_says_how_to_go_on(gate: Gate) -> None:
    assert gate.interrupted.endswith(
        "Interrupted. Finished rounds are kept: continue with `sparkscale gate --resume --out results`.\n"
    )
    assert "Traceback" not in gate.interrupted
    assert "sparkscale run" not in gate.interrupted
    assert gate.kept.done == ()


def test_a_gate_goes_on_only_with_its_own_request(gate: Gate) -> None:
    assert gate.other.returncode == 2
    assert gate.other.stderr == (
        "Error: The gate to resume has --rounds 3, not 8: leave --rounds out, or start a new gate.\n"
    )


def test_each_arm_is_measured_by_its_own_commit(gate: Gate) -> None:
    for arm, commit in (("base", gate.base), ("head", gate.head), ("again", gate.base)):
        assert {(record.code.commit, record.code.dirty) for record in gate.records(arm)} == {(commit, False)}


def test_only_the_slower_engine_is_slower_and_only_on_the_head(gate: Gate) -> None:
    """A sleep is never too short. The other times are so far from it that a busy machine does not matter."""
    assert least(gate, "head", "xgboost") > SLOWER
    assert all(least(gate, arm, "xgboost") < SLOWER for arm in ("base", "again"))
    assert all(least(gate, arm, "sklearn") < SLOWER for arm in ARMS)


def least(gate: Gate, arm: str, engine: str) -> float:
    return min(times(gate.records(arm), engine))


def test_decided_cases_are_not_measured_again_and_each_execution_counts_once(gate: Gate) -> None:
    for arm in ARMS:
        measured = [(r.round, r.case.engine) for r in gate.records(arm) if r.case.params["trees"] == 10]
        assert sorted(measured) == [(1, "sklearn"), (1, "xgboost"), (2, "xgboost")]
        assert all(record.outcome == "ok" for record in gate.records(arm))


def test_the_arms_of_a_round_have_the_same_seeds_and_rounds_have_others(gate: Gate) -> None:
    seeds = [{(record.round, record.case.seeds) for record in gate.records(arm)} for arm in ARMS]
    assert seeds == [{(1, (1, 1)), (2, (2, 2))}] * 3


def test_a_case_that_the_base_does_not_know_is_named_and_measured_on_the_head_alone(gate: Gate) -> None:
    (missing,) = gate.state.missing_on_base
    assert missing.case == "data_parallel.gradient_boosting sklearn flights 1/64 speed=low trees=11"
    assert "speed" in missing.reason
    new = {arm: [r.round for r in gate.records(arm) if r.case.params["trees"] == 11] for arm in ARMS}
    assert new == {"base": [], "head": [1], "again": []}


def test_it_ends_when_the_time_is_over_or_every_verdict_is_decided(gate: Gate) -> None:
    stopped, rounds, messages = gate.late
    assert (stopped, rounds) == ("Stopped after 1 of 3 rounds: the next would not end within 1 s.", 1)
    assert [text.partition(", at")[0] for text in messages if text.startswith("round")] == spoken(gate.state, 1)
    stopped, rounds, messages = gate.whole
    assert (stopped, rounds) == ("Stopped after 2 of 3 rounds: every verdict is decided.", 2)
    assert [text.partition(", at")[0] for text in messages if text.startswith("round")] == spoken(gate.state, 2)
    assert all("left" in text for text in messages if text.startswith("round"))
    stopped, rounds, messages = gate.again
    assert (stopped, rounds) == (gate.whole[0], 2)
    assert not [text for text in messages if text.startswith("round")]


def test_a_gate_that_has_ended_measures_nothing_more(gate: Gate) -> None:
    stopped, rounds, messages = gate.ended
    assert (stopped, rounds) == ("Stopped after 2 of 3 rounds: the time was over.", 2)
    assert messages[-1].startswith("this gate has ended: the time was over. Its verdicts are final")


def spoken(of: GateState, number: int) -> list[str]:
    titles = {"base": "base", "head": "head", "again": "base again"}
    return [f"round {number} of 3, {titles[arm]}" for arm in of.orders[number - 1]]


def test_an_arm_is_shown_like_any_run_and_nothing_is_left_twice(gate: Gate) -> None:
    assert gate.shown.returncode == 0, gate.shown.stderr
    assert "xgboost" in gate.shown.stdout
    assert not list(gate.folder.glob(f"rounds/*/*/{FILE}*"))
    clones = {path.name for path in (gate.clone.root / ".asv" / "gate").iterdir()}
    assert clones == {gate.base[:12], gate.head[:12]}


def test_a_tree_with_changed_code_is_refused(gate: Gate) -> None:
    changed = gate.clone.root / "workloads" / "base.py"
    committed = changed.read_bytes()
    try:
        changed.write_bytes(committed + b"# changed")
        refused, resumed = gate.clone.answers(["gate", "--base", "HEAD~1"], ["gate", "--resume"])
    finally:
        changed.write_bytes(committed)
    assert (refused.returncode, resumed.returncode) == (2, 2)
    assert refused.stderr.startswith(f"Error: {gate.clone.root} has changes that are not committed, and a gate")
    assert (
        f"The gate to resume measures commit {gate.head} as head, not commit {gate.head} with the " in resumed.stderr
    )


def test_files_that_change_no_measurement_are_no_changes(gate: Gate) -> None:
    """Such as the file that the report is written to. The request fails only because of its base."""
    written = gate.clone.root / "gate.md"
    written.touch()
    (answer,) = gate.clone.answers(["gate", "--base", "no-such-branch"])
    written.unlink()
    assert answer.returncode == 2
    assert "has no revision 'no-such-branch'" in answer.stderr
