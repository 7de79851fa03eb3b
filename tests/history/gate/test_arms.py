"""One round of one arm: what is copied from it, and how its process may end."""

import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from types import MappingProxyType

import pytest

from sparkscale.contract.errors import GateError, StoreError
from sparkscale.contract.record import CodeState
from sparkscale.history.gate import arms
from sparkscale.history.gate.arms import Round
from sparkscale.history.gate.cases import single_cases
from sparkscale.history.gate.checkouts import Side
from sparkscale.history.gate.probe import known_cases, run_options
from sparkscale.history.gate.state import GateState
from sparkscale.measure.plan import suite
from sparkscale.measure.worker.descriptions import ROOT, code_state
from sparkscale.store.store import FILE, Store
from tests.builders import NOW, Writer, case, invocation

CODE = CodeState(commit="c", dirty=False)
"""The code of the records that Writer makes."""


def gate(*done: tuple[int, str]) -> GateState:
    return GateState.model_validate(
        {
            "id": "g",
            "started_at": NOW,
            "suite": "asv",
            "measured_suite": single_cases(suite.load("asv")),
            "base_revision": "main",
            "base": "c",
            "head": CODE,
            "rounds": 2,
            "order_seed": 1,
            "within_seconds": None,
            "done": [{"round": number, "arm": arm, "seconds": 1.0, "cases": 1} for number, arm in done],
        }
    )


def measured_round(
    folder: Path,
    number: int,
    executions: int = 2,
    change: Mapping[str, str] = MappingProxyType({}),
    origin: Mapping[str, str] = MappingProxyType({}),
) -> Round:
    """A round with a warm-up and two executions, as `sparkscale run --rounds 1` leaves it."""
    one = Round(number, "base", folder / "suite.toml", folder / f"round-{number}")
    with Store.open(one.folder) as store:
        run = invocation(f"run-{number}").model_copy(update={"executions": executions, "origin": dict(origin)})
        store.begin(run)
        write = Writer(store, f"run-{number}", lambda made: {"id": f"{made.id}-{number}", **change})
        write(case("xgboost", 1 / 64, seed=number), 1, 0.3, temperature="warmup")
        write(case("xgboost", 1 / 64, seed=number), 1, 0.2, noise=0.1)
        write(case("sklearn", 1 / 64, seed=number), 1, outcome="failed")
    return one


def side(folder: Path, program: str, code: CodeState = CODE) -> Side:
    """A checkout with this program as its `sparkscale`."""
    root = folder / "checkout"
    (root / "sparkscale").mkdir(parents=True, exist_ok=True)
    (root / "sparkscale" / "__init__.py").touch()
    (root / "sparkscale" / "__main__.py").write_text(dedent(program))
    return Side(root, Path(sys.executable), code)


def test_rounds_become_one_run_and_none_counts_twice(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    for number in (1, 2):
        one = measured_round(tmp_path, number)
        arms.collect(one, gate(), folder)
        arms.collect(one, gate(), folder)  # as after an interruption
    with Store.existing(folder) as store:
        (run,) = store.runs()
        records = store.records()
        assert (run, store.invocation(identity=run).imported, store.invocation(identity=run).suite) == (
            "g-base",
            True,
            "asv",
        )
        assert [(record.round, record.case.engine, record.outcome) for record in records] == [
            (number, engine, outcome)
            for number in (1, 2)
            for engine, outcome in (("xgboost", "ok"), ("xgboost", "ok"), ("sklearn", "failed"))
        ]
        assert [len(store.tables(record.id)) for record in records] == [0, 1, 0, 0, 1, 0]
        assert store.description(records[0].host).content["cpu"] == "Test CPU"


def test_a_round_that_another_arm_has_not_finished_does_not_count(tmp_path: Path) -> None:
    for number in (1, 2):
        arms.collect(measured_round(tmp_path, number), gate(), tmp_path / "base")
    half = gate((1, "base"), (1, "head"), (1, "again"), (2, "base"))
    assert {record.round for record in arms.arm_records(half, "base", tmp_path / "base").records} == {1}
    with pytest.raises(StoreError, match="head has lost the records of the gate: start a new gate"):
        arms.arm_records(half, "head", tmp_path / "head")


@pytest.mark.parametrize(
    ("change", "origin", "words"),
    [
        ({"host": "another"}, {}, "the host"),
        ({"software": "another"}, {}, "the packages of node engines"),
        ({}, {"profile 'local'": "other", "suite": "other"}, "profile 'local'"),
    ],
)
def test_rounds_under_other_conditions_are_never_pooled(
    tmp_path: Path, change: dict[str, str], origin: dict[str, str], words: str
) -> None:
    arms.collect(
        measured_round(tmp_path, 1, origin={"profile 'local'": "one", "suite": "one"}), gate(), tmp_path / "b"
    )
    origin = {"profile 'local'": "one", "suite": "another, because a case was decided", **origin}
    with pytest.raises(GateError, match=f"Something changed before round 2 of the base: {words}. Rounds under other"):
        arms.collect(measured_round(tmp_path, 2, change=change, origin=origin), gate(), tmp_path / "b")
    with Store.existing(tmp_path / "b") as store:
        assert {record.round for record in store.records()} == {1}


def test_a_request_that_the_checkout_refuses_is_named(tmp_path: Path) -> None:
    refusing = side(tmp_path, "import sys; print('Error: No such suite.', file=sys.stderr); sys.exit(2)")
    one = Round(1, "base", tmp_path / "suite.toml", tmp_path / "round")
    with pytest.raises(GateError, match=r"the base in round 1 ended with exit status 2: No such suite\."):
        arms.measure(one, refusing, lambda _: None)


@pytest.mark.parametrize(
    ("executions", "code", "status", "reason"),
    [
        (2, CODE, 0, None),
        (2, CODE, 1, None),
        (3, CODE, 1, r"measured only 2 of 3 executions: out of space"),
        (2, CODE, 3, r"ended with exit status 3: out of space"),
        (2, CodeState(commit="d", dirty=False), 0, r"was measured by commit c, not commit d: start a new gate"),
        (2, CodeState(commit="c", dirty=True, changes="e"), 0, r"was measured by commit c, not commit c with"),
    ],
)
def test_a_round_is_whole_and_of_the_expected_code(
    tmp_path: Path, executions: int, code: CodeState, status: int, reason: str | None
) -> None:
    """A case without a result, with which `sparkscale run` exits with 1, is no error of the gate."""
    one = measured_round(tmp_path, 1, executions)
    ending = side(tmp_path, f"import sys; print('out of space', file=sys.stderr); sys.exit({status})", code)
    if reason is None:
        assert arms.measure(one, ending, lambda _: None) > 0
        return
    with pytest.raises(GateError, match=reason):
        arms.measure(one, ending, lambda _: None)


def test_a_part_of_a_round_that_cannot_be_gone_on_with_is_measured_anew(tmp_path: Path) -> None:
    """`sparkscale run --resume` refuses, and the second call leaves another store."""
    one = measured_round(tmp_path, 1)
    other = measured_round(tmp_path / "other", 1)
    program = f"""
        import pathlib, shutil, sys
        if "--resume" in sys.argv:
            print("Error: another host", file=sys.stderr)
            sys.exit(2)
        assert not pathlib.Path({str(one.folder / FILE)!r}).exists()
        shutil.copy({str(other.folder / FILE)!r}, {str(one.folder / FILE)!r})
    """
    messages: list[str] = []
    arms.measure(one, side(tmp_path, program), messages.append)
    assert messages == ["round 1 of the base is measured anew: another host"]
    with Store.existing(one.folder) as store:
        assert len(store.records()) == 3


def test_a_checkout_is_asked_what_it_knows() -> None:
    here = Side(ROOT, Path(sys.executable), code_state())
    known = single_cases(suite.load("asv"))
    first = known.measure[0]
    new = first.model_copy(update={"engines": ("no-such-engine",)})
    answer = known_cases(here, known, [first, new], "asv")
    (missing,) = answer.missing
    assert missing.case.startswith("data_parallel.gradient_boosting no-such-engine flights 1/64")
    assert missing.reason.startswith("unknown engine 'no-such-engine': choose from ")
    assert "data_parallel.gradient_boosting xgboost flights 1/4 cpu aligned" in answer.own
    assert run_options(here, "base") == ("--no-report",)
