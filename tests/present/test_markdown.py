"""Reports as Markdown and as JSON."""

import json
import math

from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import Answer, Column, Estimated, Grid, Heading, Text, Warning
from sparkscale.analysis.statistics import Interval, Spread
from sparkscale.present.markdown import written
from sparkscale.present.structured import as_json

GRID = Grid(
    "Costs of a|b",
    (blocks.name("engine"), blocks.seconds("time,\ns"), Column("AUC", ".3f")),
    (
        ("x|y_z", Spread.of([1.0, 2.0, math.inf], 3, 300.0), Estimated(0.75, Interval(0.7, 0.8))),
        ("b", None, 0.5),
    ),
)


def test_a_table_of_markdown_has_a_rule_and_escapes_what_is_special() -> None:
    text = written([Heading("Run", 1), GRID, Text("small", is_note=True), Warning("beware")])
    assert text.splitlines() == [
        "# Run",
        "",
        "Costs of a\\|b",
        "",
        "| engine | time, s | AUC |",
        "| --- | ---: | ---: |",
        "| x\\|y\\_z | 2.00 (1.00–> 300) [2 of 3] | 0.750 [0.700, 0.800] |",
        "| b | – | 0.500 |",
        "",
        "*small*",
        "",
        "**Warning:** beware",
    ]


def test_answers_are_one_list() -> None:
    assert written([Text("q:"), Answer("One."), Answer("Two.")]) == "q:\n\n- One.\n- Two.\n"


def test_json_holds_numbers_and_null_for_what_is_infinite() -> None:
    (grid,) = json.loads(as_json([GRID]))
    assert grid["kind"] == "grid"
    assert grid["rows"][0][1]["median"] == 2.0
    assert grid["rows"][0][1]["high"] is None
    assert grid["rows"][0][2] == {"value": 0.75, "interval": {"low": 0.7, "high": 0.8}, "is_doubtful": False}
    assert grid["rows"][1][1] is None


def test_an_answer_names_its_evidence() -> None:
    (answer,) = json.loads(as_json([Answer("It is.", "not resolved", ("r1", "r2"), "more rounds")]))
    assert answer == {
        "kind": "answer",
        "text": "It is.",
        "verdict": "not resolved",
        "evidence": ["r1", "r2"],
        "would_resolve": "more rounds",
        "question": "",
        "subject": "",
        "scope": "",
    }


def test_an_answer_to_a_question_begins_with_job_and_verdict() -> None:
    answer = Answer("1/4 is enough.", "not resolved", would_resolve="5 rounds", question="Why?", subject="forest")
    assert written([answer]) == "- forest: Not resolved. 1/4 is enough. To resolve it, measure 5 rounds.\n"


def test_code_stays_as_it_is() -> None:
    text = '[[target]]\ndataset_id = "d"'
    assert written([Text(text, is_code=True)]) == f"```\n{text}\n```\n"
    assert written([Text("use `a_b`, not a_b")]) == "use `a_b`, not a\\_b\n"
