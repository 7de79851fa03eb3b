"""The report at the end of `decide`."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sparkscale.analysis.blocks import Answer, Heading, Text
from sparkscale.analysis.questions.decide.grid import GridCell, Standing
from sparkscale.contract.record import ErrorInfo, Outcome, RunRecord
from sparkscale.decide import report
from sparkscale.decide.loop import Decided
from tests import builders

RESUME = "sparkscale decide --resume --within 20m"
RESOLVED = Standing("engine", "yes", "xgboost", "xgboost is 2 (1.9–2.1) times as fast.", "", ("r",), subject="toy")
OPEN = Standing(
    "sample", "not resolved", "1/4", "1/4 may do.", "one round", ("r",), "2 rounds: about 4 min more", 240.0, "toy"
)
HOPELESS = replace(OPEN, seconds_to_resolve=None, to_resolve="")


def cell(engine: str, unsupported: str = "") -> GridCell:
    case = builders.case(engine, 0.25)
    return GridCell(
        key=case.experiment,
        workload=case.workload,
        engine=engine,
        placement="node",
        cluster="local",
        device="cpu",
        fraction=0.25,
        rows=case.rows,
        parameter_set="aligned",
        threads=2,
        cores=2,
        rounds=8,
        worker="node",
        unsupported=unsupported,
    )


def record(engine: str, outcome: Outcome = "ok") -> RunRecord:
    error = None if outcome == "ok" else ErrorInfo(type="E", message="It broke.\nTrace")
    made = builders.record(engine)
    return made.model_copy(update={"case": builders.case(engine, 0.25), "outcome": outcome, "error": error})


@pytest.fixture
def decided() -> Decided:
    return Decided(
        invocation=builders.invocation().model_copy(update={"command": "decide", "confidence": 0.95}),
        cells=(cell("xgboost"), cell("sklearn"), cell("mllib", "needs Java"), cell("broken")),
        standings=(OPEN, RESOLVED),
        records=(record("xgboost"), record("broken", "failed")),
        seconds=61.0,
        within_seconds=1200.0,
        stopped="no step that helps is sure to end in the time that is left",
        notes=("One thread is not compared.",),
    )


def texts(decided: Decided) -> list[str]:
    return [block.text for block in report.blocks(decided, RESUME) if isinstance(block, Heading | Text | Answer)]


def test_resolved_answers_come_first_then_what_is_open_and_how_to_go_on(decided: Decided) -> None:
    assert texts(decided) == [
        "Answers",
        "Which engine on one node? (flights, cluster local)",
        "xgboost is 2 (1.9–2.1) times as fast.",
        "Is a sample enough? (flights, cluster local)",
        "1/4 may do.",
        "Not resolved",
        "sample (toy): one round. To resolve it: 2 rounds: about 4 min more.",
        "Go on with all that was measured, and with a new time limit:",
        RESUME,
        "Engines without a result",
        "sklearn: it was not measured, because the time was too short or another engine decided the questions",
        "mllib: needs Java",
        f"broken: failed on {builders.case('broken', 0.25).rows:,} rows. It broke.",
        "Measured",
        "2 executions of the 24 that a run of the whole suite has (8 %), in 61 s of 20 min. It stopped because "
        "no step that helps is sure to end in the time that is left. Run one.",
        "One thread is not compared.",
    ]
    answers = [block for block in report.blocks(decided, RESUME) if isinstance(block, Answer)]
    assert [(answer.subject, answer.verdict) for answer in answers] == [("toy", "yes"), ("toy", "not resolved")]


def test_nothing_says_how_to_go_on_if_more_time_would_not_help(decided: Decided) -> None:
    found = texts(replace(decided, standings=(HOPELESS,)))
    assert "sample (toy): one round." in found
    assert RESUME not in found


def test_a_doubt_that_is_a_question_keeps_its_mark(decided: Decided) -> None:
    found = texts(replace(decided, standings=(replace(OPEN, doubt="is it worse?"),)))
    assert "sample (toy): is it worse? To resolve it: 2 rounds: about 4 min more." in found


def test_engines_that_no_question_is_about_are_not_missed(decided: Decided) -> None:
    on_spark = replace(cell("elsewhere"), placement="spark")

    def missed(*questions: str) -> dict[str, str]:
        asking = decided.invocation.model_copy(update={"questions": questions})
        return report.left_out(replace(decided, cells=(on_spark,), invocation=asking))

    assert missed("sample", "engine") == {}
    assert list(missed("engine", "cluster")) == ["elsewhere"]


def test_nothing_is_open_if_all_is_resolved(decided: Decided) -> None:
    found = replace(decided, standings=(RESOLVED,))
    assert found.is_resolved
    assert "Not resolved" not in texts(found)


def test_programs_get_the_same_as_json(decided: Decided) -> None:
    content: dict[str, Any] = json.loads(report.as_json(decided))
    assert content["resolved"] is False
    assert [(one["question"], one["verdict"], one["choice"]) for one in content["questions"]] == [
        ("sample", "not resolved", "1/4"),
        ("engine", "yes", "xgboost"),
    ]
    assert content["questions"][0]["seconds_to_resolve"] == 240.0
    assert content["without_result"]["mllib"] == "needs Java"
    assert (content["executions"], content["executions_of_suite"]) == (2, 24)
