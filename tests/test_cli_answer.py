"""`sparkscale answer`: what it prints for a store, and what it says to a wrong request."""

import json
from pathlib import Path

import pytest

from tests.conftest import Call

ARCHIVE = Path(__file__).parents[1] / "docs" / "results" / "records" / "quick.parquet"
PUBLISHED = """engine,rows,seconds,cores,where,workers
mllib,10000000,830,32,one server,
mllib,10000000,330,320,cluster,10
lightgbm,10000000,7,16,one server,
"""


@pytest.fixture
def quick(tmp_path: Path, sparkscale: Call) -> str:
    """The folder with the records of a run of the suite `quick`."""
    out = str(tmp_path / "out")
    assert sparkscale("import", str(ARCHIVE), "--out", out).returncode == 0
    return out


def test_three_paragraphs_with_verdicts_and_evidence(sparkscale: Call, quick: str) -> None:
    done = sparkscale("answer", "--out", quick)
    assert done.returncode == 0
    words = " ".join(done.stdout.split())
    for expected in (
        "Is a sample enough? (flights, cluster local, cpu)",
        "• logistic regression: Yes. For sklearn, 1/4 of the rows is enough",
        "at most the tolerated 0.005 is over 99 %",
        "Which engine on one node?",
        "• gradient boosting, 10 trees: Not resolved. xgboost takes",
        "Does Spark pay, and from which size?",
        "To resolve it, measure 5 rounds instead of 3: about",
        "Evidence: 125 records of run aac623f62672.",
    ):
        assert expected in words


def test_show_begins_with_the_same_paragraphs(sparkscale: Call, quick: str) -> None:
    answer, show = (sparkscale(command, "--out", quick).stdout for command in ("answer", "show"))
    paragraphs = answer[answer.index("Answers") : answer.index("Evidence")].strip()
    assert paragraphs in show


def test_json_lists_the_records_behind_each_answer(sparkscale: Call, quick: str) -> None:
    done = sparkscale("answer", "--format", "json", "--run", "aac623f62672", "--out", quick)
    answers = [block for block in json.loads(done.stdout) if block["kind"] == "answer"]
    assert {answer["verdict"] for answer in answers} == {"yes", "not resolved", None}
    assert all(len(answer["evidence"]) >= 3 for answer in answers)


def test_a_budget_has_one_answer_for_each_job(sparkscale: Call, quick: str) -> None:
    done = sparkscale("answer", "--seconds", "0.3", "--out", quick)
    words = " ".join(done.stdout.split())
    assert "• gradient boosting: For 0.3 s use xgboost, 1/4 of the rows, 10 trees: AUC 0.71" in words
    assert "Is a sample enough?" not in words
    done = sparkscale("answer", "--cost", "0.01", "--out", quick)
    assert "No price of this cluster is known" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--data", "classification"], "has no records of this data set: measure it with `sparkscale run`. It has"),
        (["--data", "nothing"], "Unknown data set 'nothing': choose from "),
        (["--label", "late"], "--label needs --data."),
        (["--run", "aac623f62672", "--data", "flights"], "--run and --data exclude each other"),
        (["--seconds", "1", "--cost", "1"], "--seconds and --cost exclude each other"),
        (["--run", "other"], "There is no run other in "),
    ],
)
def test_a_wrong_request_is_one_sentence(sparkscale: Call, quick: str, arguments: list[str], expected: str) -> None:
    done = sparkscale("answer", "--out", quick, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_empty_folder_says_what_to_do(sparkscale: Call, tmp_path: Path) -> None:
    done = sparkscale("answer", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "measure some with `sparkscale run`" in done.stderr


def test_published_tables_are_answered(sparkscale: Call, tmp_path: Path) -> None:
    """Issue: MLlib took 830 s on 32 cores and 330 s on 320, LightGBM 7 s."""
    (tmp_path / "public.csv").write_text(PUBLISHED)
    out = str(tmp_path / "out")
    assert sparkscale("import", str(tmp_path / "public.csv"), "--out", out).returncode == 0
    words = " ".join(sparkscale("answer", "--out", out).stdout.split())
    assert "How many cores does Spark need? (public, published, cpu) • public: No." in words
    assert (
        "no number of cores measured makes up for it: with 320 cores mllib takes 47 times as long as lightgbm on one "
        "node with 16 cores. Others published these times: it is not known how much they vary."
    ) in words
