"""`sparkscale gate`: requests that are wrong, before anything is measured."""

from pathlib import Path

import pytest

from sparkscale.cli.options import duration
from sparkscale.contract.errors import ConfigError
from tests.conftest import Call


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("1.5h", 5400), (" 1H1M1S ", 3661)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration(text, "--within") == seconds


@pytest.mark.parametrize("text", ["", "20", "m", "20 minutes", "-5m", "30m1h", "0s", "0h0m", "1,5h", "nan s"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        duration(text, "--within")
    assert str(raised.value) == f"--within {text} is no duration: write it like 90s, 20m or 1h30m."


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--within", "soon"], "Error: --within soon is no duration: write it like 90s, 20m or 1h30m.\n"),
        (
            ["--resume", "--out", "{folder}"],
            "Error: There is no gate to resume in {folder}/gate: start one without --resume.\n",
        ),
        (["--dirty", "--base", "HEAD~1000000"], "has no revision 'HEAD~1000000': "),
        (
            ["--dirty", "--base", "HEAD", "--suite", "no-such-suite"],
            "Error: Unknown suite 'no-such-suite': choose from asv, ",
        ),
    ],
)
def test_a_wrong_request_is_one_sentence_and_leaves_nothing(
    sparkscale: Call, tmp_path: Path, options: list[str], sentence: str
) -> None:
    where = [] if "--out" in options else ["--out", str(tmp_path)]
    answer = sparkscale("gate", *[option.format(folder=tmp_path) for option in options], *where)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert sentence.format(folder=tmp_path) in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
