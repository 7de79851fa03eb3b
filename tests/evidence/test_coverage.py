"""Coverage by simulation: the true values are right, and printed intervals contain them as often as stated."""

from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from sparkscale.analysis.unit_quality import value
from sparkscale.cli.main import app
from sparkscale.evidence import coverage
from sparkscale.evidence.coverage import CRITERIA, Dominant, Kind, Scenario, simulated


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """The matrices are small: more threads only wait for each other, for several times as long."""
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize("kind", ["auc", "accuracy", "rmse", "inertia", "variance_explained"])
@pytest.mark.parametrize(("dominant", "units", "seeds"), [("units", 3000, 8), ("seeds", 100, 300)])
def test_the_truths_of_a_scenario_are_what_very_many_units_and_seeds_give(
    kind: Kind, dominant: Dominant, units: int, seeds: int
) -> None:
    """Both models judge the same rows, so a difference is known better than a level."""
    rows = 10_000 if (kind, dominant) == ("auc", "seeds") else 20_000  # an AUC costs units times rows
    scenario = Scenario(kind, units, seeds, rows, rows, dominant=dominant)
    given_up = CRITERIA[kind].given_up
    drawn = coverage.qualities(scenario, np.random.default_rng(1))
    pairs = np.array([[value(whole), value(part)] for whole, part in drawn])
    level, difference = coverage.true_values(scenario)
    assert pairs[:, 0].mean() == pytest.approx(level, abs=0.015)
    differences = np.asarray(given_up(pairs[:, 0], pairs[:, 1]))
    assert differences.mean() == pytest.approx(difference, abs=max(4 * differences.std() / seeds**0.5, 0.002))


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("auc", 5, 3, 500, 500),
        Scenario("auc", 50, 3, 30, 970, even=False),
        Scenario("auc", 20, 8, 100, 900),
        Scenario("auc", 20, 3, 1000, 1000, dominant="seeds"),
        Scenario("rmse", 10, 5, 0, 1000),
        Scenario("accuracy", 20, 5, 500, 500),
        Scenario("rounds", 1, 5, 0, 0),
    ],
    ids=repr,
)
def test_intervals_hold_the_truth_about_as_often_as_they_say(scenario: Scenario) -> None:
    """150 simulations: a share has a standard error of 1.8 points, and the limits are three of them away."""
    found = simulated(scenario, 150)
    assert 0.88 <= found.level <= 1.0
    assert np.isnan(found.difference) or 0.88 <= found.difference <= 1.0


def test_where_an_interval_cannot_hold_none_is_given() -> None:
    few = simulated(Scenario("auc", 20, 3, 6, 994), 20)
    assert few.not_given == 1.0
    assert np.isnan(few.difference)


def test_a_share_outside_of_the_limits_is_judged_by_a_second_larger_simulation() -> None:
    """Of ten simulations all hold in most scenarios, by chance: 100 % lies outside."""
    chosen = [Scenario("auc", units, 3, 500, 500) for units in (5, 10, 20)]
    first = [simulated(scenario, 10) for scenario in chosen]
    found = coverage.coverage(chosen, 10, 1, lambda _: None)
    assert [one.scenario for one in found] == chosen
    assert [one.repeats for one in found] == [10 if one.holds else 50 for one in first]
    assert 50 in {one.repeats for one in found}


def test_percentiles_of_the_crossed_bootstrap_alone_would_not_hold() -> None:
    """The reason why intervals are Student's: of three seeds the bootstrap knows too little."""
    found = simulated(Scenario("rmse", 50, 3, 0, 1000), 150)
    assert found.percentile < found.difference


def test_the_command_prints_a_table() -> None:
    result = CliRunner().invoke(
        app, ["evidence", "coverage", "--kind", "rounds", "--repeats", "20", "--processes", "1"]
    )
    assert result.exit_code == 0, result.output
    assert "How often a 95% interval contains the true value" in result.output
    assert "shares lie between 90% and 97%" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["coverage", "--kind", "f1"], "Unknown interval 'f1': choose from auc, rmse"),
        (["holdouts", "--lengths", "seven"], "--lengths: 'seven' is not a number of days"),
        (["holdouts", "--lengths", "0"], "--lengths: 0 is out of range: choose 1 to 36 days"),
        (["holdouts", "--fraction", "1/3"], "1/3 is no power of two"),
    ],
)
def test_a_wrong_request_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparkscale.cli.main import main

    monkeypatch.setattr("sys.argv", ["sparkscale", "evidence", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
