"""Answers beyond measured sizes and cores: intervals contain the truth as often as stated, few verdicts are false.

The scenarios are those of `sparkscale evidence forecasts`.
"""

import numpy as np
import pytest
from typer.testing import CliRunner

from sparkscale.cli.main import app
from sparkscale.evidence import forecasts
from sparkscale.evidence.forecasts import FALSE, LEAST, MOST, Judged, Scenario, simulated

SCENARIOS = forecasts.scenarios()
REPEATS = {"rows": 60, "cores": 400}
"""A crossover of rows takes several times as long as one of cores."""


def standard_error(share: float, repeats: int) -> float:
    return float(np.sqrt(share * (1 - share) / repeats))


@pytest.mark.parametrize(
    ("question", "name", "true_value"),
    [
        ("rows", "within the measured sizes", 4.5 / 3e-5),
        ("rows", "beyond the measured sizes", 19.5 / 2e-5),
        ("rows", "10 % too slow at ten times the sizes", np.inf),
        ("cores", "mostly parallel, 40 cores", 40),
        ("cores", "coherency, 25 cores", 25),
        ("cores", "contention, 10 % faster", 90),  # (100 - 10)/N is 1
        ("cores", "coherency, 10 % too slow", np.inf),
    ],
)
def test_true_values(question: str, name: str, true_value: float) -> None:
    found = {one.true_value() for one in SCENARIOS if (one.question, one.name) == (question, name)}
    assert len(found) == 1
    assert found.pop() == pytest.approx(true_value, rel=1e-3)


@pytest.mark.slow  # half a minute and more together
@pytest.mark.parametrize("scenario", SCENARIOS, ids=repr)
def test_intervals_and_verdicts_are_right_as_often_as_they_say(scenario: Scenario) -> None:
    """A share may be two standard errors outside of the limits, by chance."""
    repeats = 400 if scenario.name.startswith("n·log n") else REPEATS[scenario.question]
    found = simulated(scenario, repeats)
    assert found.covered >= LEAST - 2 * standard_error(LEAST, repeats)
    if np.isfinite(scenario.true_value()):
        assert found.covered <= MOST + 2 * standard_error(MOST, repeats)
    assert found.false <= FALSE + 2 * standard_error(FALSE, repeats)


@pytest.mark.parametrize("name", ["mostly parallel, 6 cores", "coherency, 6 cores", "contention, 10 % too slow"])
def test_eight_rounds_resolve_most_answers(name: str) -> None:
    (scenario,) = (one for one in SCENARIOS if one.name == name and one.rounds == 8)
    assert simulated(scenario, 100).resolved > 0.9


@pytest.mark.parametrize(
    ("covered", "name", "is_wrong"),
    [
        (0.84, "mostly parallel, 6 cores", True),
        (0.90, "mostly parallel, 6 cores", False),
        (0.96, "mostly parallel, 6 cores", True),
        (1.00, "contention, 10 % too slow", False),
    ],
)
def test_too_much_coverage_of_a_finite_value_is_wrong_too(covered: float, name: str, is_wrong: bool) -> None:
    scenario = next(one for one in SCENARIOS if one.name == name)
    assert Judged(scenario, 400, covered, 1.0, 0.0).is_covered_wrongly == is_wrong


def test_the_command_prints_a_table() -> None:
    result = CliRunner().invoke(
        app, ["evidence", "forecasts", "--question", "cores", "--repeats", "10", "--processes", "1"]
    )
    assert result.exit_code == 0, result.output
    assert "How often a 90% interval contains the true number of rows or cores" in result.output
    assert "of 20 coverages are below 85%" in " ".join(result.output.split())


def test_an_unknown_question_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparkscale.cli.main import main

    monkeypatch.setattr("sys.argv", ["sparkscale", "evidence", "forecasts", "--question", "days"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "Unknown question 'days': choose from rows, cores." in capsys.readouterr().err
