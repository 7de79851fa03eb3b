"""When a warm-up ends, and which sample follows one on which it failed."""

import time
from typing import Any

import pytest

from sparkscale.contract.case import Case, Placement
from sparkscale.contract.record import ErrorInfo, Outcome, RunRecord
from sparkscale.measure.run import warmup
from sparkscale.measure.run.warmup import Passes


def ended(placement: Placement, seconds: float | None, outcome: Outcome = "ok", error: str = "") -> RunRecord:
    """A pass with this time to model; None: it has no time."""
    empty: dict[str, Any] = dict.fromkeys(("case", *RunRecord.model_fields), None)
    known = {
        "outcome": outcome,
        "seconds": {} if seconds is None else {"load": seconds / 2, "fit": seconds / 2, "predict": 0.0},
        "error": ErrorInfo(type=error, message="") if error else None,
        "case": Case.model_construct(**{**dict.fromkeys(Case.model_fields, None), **case_fields(placement)}),
    }
    return RunRecord.model_construct(**{**empty, **known})


def case_fields(placement: Placement) -> dict[str, Any]:
    return {"pattern": "data_parallel", "placement": placement, "fraction": 1 / 64, "rows": 4096}


def passes_until_warm(placement: Placement, seconds: list[float | None], monkeypatch: pytest.MonkeyPatch) -> int:
    """How many passes a warm-up has whose passes take so long, and score in no time."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    passes = Passes(ended(placement, None).case)
    for number, took in enumerate(seconds, start=1):
        now += took or 1.0
        if passes.enough(ended(placement, took, "ok" if took else "invalid")):
            return number
    raise AssertionError("never warm")


@pytest.mark.parametrize(
    ("placement", "seconds", "passes"),
    [
        ("node", [3.0], 1),
        ("spark", [3.0, 1.5, 1.0, 0.95], 4),
        ("spark", [1.0, 1.1], 2),
        ("spark", [0.7, 0.5, 0.42], 3),
        ("spark", [1.0, 0.85, 1.0, 0.85, 0.9], 5),
        ("spark", [11.0, 5.0], 2),
        ("spark", [31.0], 1),
        ("spark", [4.0, 3.0, 2.0, 1.5], 4),
        ("spark", [None, None, *[None] * 9], 11),
        ("spark", [None, 2.0, 2.0], 3),
    ],
    ids=[
        "node",
        "agree",
        "within 10 %",
        "within 0.1 s",
        "apart",
        "a second after a long one",
        "none after a very long one",
        "time is spent",
        "without a time",
        "one without a time",
    ],
)
def test_a_jvm_is_warmed_until_two_passes_agree_or_the_time_is_spent(
    placement: Placement, seconds: list[float | None], passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert passes_until_warm(placement, seconds, monkeypatch) == passes


@pytest.mark.parametrize(
    ("outcome", "error", "step"),
    [
        ("failed", "DatasetError", warmup.NEXT),
        ("failed", "ValueError", warmup.FOUR_TIMES),
        ("unsupported", "EngineUnsupported", warmup.FOUR_TIMES),
        ("timeout", "DeadlineExceeded", 0),
        ("oom", "MemoryError", 0),
        ("failed", "DeadlineExceeded", 0),
        ("failed", "WorkerDied", 0),
        ("failed", "ScratchError", 0),
        ("failed", "DriverDied", 0),
    ],
)
def test_a_larger_sample_is_tried_only_where_it_can_help(outcome: Outcome, error: str, step: int) -> None:
    assert warmup.step(ended("spark", None, outcome, error)) == step
