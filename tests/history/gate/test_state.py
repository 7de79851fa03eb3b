"""The state of a gate, which a resumed gate reads."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sparkscale.contract.errors import ConfigError, StoreError
from sparkscale.contract.record import CodeState
from sparkscale.history.gate import state
from sparkscale.history.gate.cases import single_cases
from sparkscale.history.gate.order import ARMS
from sparkscale.history.gate.state import ArmDone, GateState, Missing, label
from sparkscale.measure.plan import suite


def gate_state(identity: str = "one", day: int = 1, **fields: Any) -> GateState:
    usual = {
        "id": identity,
        "started_at": datetime(2026, 11, day, tzinfo=UTC),
        "suite": "asv",
        "measured_suite": single_cases(suite.load("asv")),
        "base_revision": "main",
        "base": "b" * 40,
        "head": CodeState(commit="c" * 40, dirty=False),
        "rounds": 8,
        "order_seed": 1,
        "within_seconds": 1200.0,
    }
    return GateState.model_validate(usual | fields)


def done(*arms: tuple[int, str]) -> tuple[ArmDone, ...]:
    return tuple(ArmDone.model_validate({"round": r, "arm": arm, "seconds": 1.0, "cases": 1}) for r, arm in arms)


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = gate_state(done=done((1, "head")), missing_on_base=(Missing(case="a", reason="b"),))
    state.save(written, tmp_path)
    assert state.load(tmp_path) == written


def test_the_last_gate_is_resumed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no gate to resume in .*/gate: start one without --resume\."):
        state.last(tmp_path)
    for identity, measured in (("new", 1e9), ("old", 1e9 - 60), ("damaged", 1e9 - 120)):
        folder = tmp_path / state.FOLDER / identity
        folder.mkdir(parents=True)
        state.save(gate_state(identity), folder)
        if identity == "damaged":
            (folder / state.FILE).write_text("{")
        os.utime(folder / state.FILE, (measured, measured))
    last, folder = state.last(tmp_path)
    assert (last.id, folder) == ("new", tmp_path / state.FOLDER / "new")


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    (tmp_path / state.FILE).write_text('{"id": "one"')
    with pytest.raises(StoreError, match=r"gate\.json cannot be read as the state of a gate: start a new gate, or "):
        state.load(tmp_path)


def test_a_round_is_complete_when_all_arms_have_measured_it() -> None:
    first = [(1, arm) for arm in ARMS]
    assert gate_state().complete_rounds == 0
    assert gate_state(done=done(*first)).complete_rounds == 1
    begun = gate_state(done=done(*first, (2, "head"), (2, "base")))
    assert begun.complete_rounds == 1
    assert begun.has(2, "head")
    assert not begun.has(2, "again")


def test_a_head_with_changes_is_other_code_than_its_commit() -> None:
    assert gate_state(head=CodeState(commit="b" * 40, dirty=False)).is_same_code
    assert not gate_state(head=CodeState(commit="b" * 40, dirty=True, changes="1")).is_same_code
    assert not gate_state().is_same_code


def test_cases_that_the_base_does_not_know_are_only_the_heads() -> None:
    first, *others = gate_state().measured_suite.measure
    gate = gate_state(missing_on_base=(Missing(case=label(first)),))
    assert gate.new_blocks == (first,)
    assert gate.shared_blocks == tuple(others)
