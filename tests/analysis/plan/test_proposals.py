"""What a plan proposes to measure: runs that can be made, on data and places that exist, within the time."""

from pathlib import Path
from typing import Any

import pytest

from sparkscale.analysis.blocks import Grid, Text
from sparkscale.analysis.questions.plan.basis import basis
from sparkscale.analysis.questions.plan.plan import plan
from sparkscale.analysis.questions.plan.proposal_report import change, proposal_report
from sparkscale.analysis.questions.plan.proposals import Proposed, proposed
from sparkscale.analysis.questions.plan.wish import Wish
from sparkscale.contract.errors import ConfigError
from sparkscale.store.store import Store
from tests.analysis.plan.measured import ROWS, Measured, measured
from tests.conftest import Call

SYNTHETIC = {"kind": "classification", "rows": 80_000, "features": 10, "seed": 0}
SMALL = (1 / 64, 1 / 32, 1 / 16, 1 / 8)


def wanted(store: Store, rows: int, within: float = 600.0, **fields: Any) -> Proposed:
    """What to measure for a number of rows, from records of XGBoost on 2 cores."""
    basis = measured(store, **{"engines": ("xgboost",), "dataset": "made", **fields})
    return proposed(plan(basis, Wish(rows)), basis.offers, within)


def wanted_again(store: Store, rows: int, **fields: Any) -> Proposed:
    """What to measure after the same was measured again."""
    Measured(engines=("xgboost",), dataset="made", **fields).into(store, "again", 5)
    found = basis(store, "gradient_boosting")
    return proposed(plan(found, Wish(rows)), found.offers, 600.0)


def words(runs: Proposed) -> str:
    return " ".join(block.text for block in proposal_report(runs, "COMMAND") if isinstance(block, Text))


def test_larger_fractions_are_proposed_for_all_rows(store: Store) -> None:
    runs = wanted(store, ROWS, fractions=SMALL)
    fractions = {run.fraction for run, _, _ in runs.runs}
    assert fractions and min(fractions) > max(SMALL)
    assert {run.larger for run, _, _ in runs.runs} == {1}
    for before, after in zip(runs.proposal.before, runs.proposal.after, strict=True):
        assert before is not None and after is not None and after < before


def test_a_synthetic_data_set_may_be_larger(store: Store) -> None:
    runs = wanted(store, 8 * ROWS, definition=SYNTHETIC)
    larger = [(run, expected) for run, expected, _ in runs.runs if run.larger > 1]
    assert larger
    for run, expected in larger:
        assert expected.size == run.rows == pytest.approx(run.larger * ROWS, rel=0.02)
    grid = next(block for block in proposal_report(runs, "COMMAND") if isinstance(block, Grid))
    assert f"classification --rows {larger[0][0].larger * 80_000}" in [row[1] for row in grid.rows]


def test_a_table_has_only_its_fractions(store: Store) -> None:
    runs = wanted(store, 8 * ROWS, definition={"kind": "table", "rows": 80_000}, fractions=SMALL)
    assert {run.larger for run, _, _ in runs.runs} == {1}
    assert all(run.rows <= 1.01 * ROWS for run, _, _ in runs.runs)


def test_warmups_count_in_the_time(store: Store) -> None:
    cold = wanted(store, 8 * ROWS, definition=SYNTHETIC)
    warm = wanted_again(store, 8 * ROWS, definition=SYNTHETIC, warmup=7.0)
    assert warm.proposal.overhead == pytest.approx(cold.proposal.overhead + 7.5)  # its load takes half a second


def test_all_runs_end_in_time(store: Store) -> None:
    runs = wanted(store, 8 * ROWS, within=30.0, definition=SYNTHETIC)
    assert runs.runs
    most = sum(count * (expected.high + runs.proposal.overhead) for _, expected, count in runs.runs)
    assert most == pytest.approx(runs.proposal.high)
    assert most <= 30


def test_without_time_nothing_is_proposed_and_the_reason_is_printed(store: Store) -> None:
    runs = wanted(store, 8 * ROWS, within=0.1, definition=SYNTHETIC)
    assert runs.runs == ()
    assert words(runs).startswith("No run that ends within 0.1 s makes the time of xgboost much surer.")


def test_nothing_beyond_ten_times_what_was_measured_is_proposed(store: Store) -> None:
    runs = wanted(store, ROWS, fractions=SMALL[:2])
    assert max(run.rows for run, _, _ in runs.runs) <= 10 * ROWS / 32
    assert runs.left_out["more than 10 times the largest measured size"] == 4  # 1/2 and 1, on 1 and 2 cores
    assert "Not proposed: 4 × more than 10 times the largest measured size." in words(runs)


def test_a_sample_that_does_not_fit_is_not_proposed(store: Store) -> None:
    runs = wanted(store, 8 * ROWS, definition=SYNTHETIC, memory=2**30, peak=lambda rows: 2**28 + 5000 * rows)
    assert runs.left_out["does not fit into memory"] == 4  # 4 and 8 times the rows, on 1 and 2 cores
    assert all(run.larger < 4 for run, _, _ in runs.runs)


def test_fewer_threads_of_a_node_are_candidates(store: Store) -> None:
    """On 2 cores only, the influence of the cores is not known. It does not matter for a run on 2 cores."""
    runs = wanted(store, 8 * ROWS, definition=SYNTHETIC)
    assert {run.cores for run, _, _ in runs.runs} == {2}
    assert {run.threads for run, _, _ in runs.runs} == {None}


def test_an_engine_on_spark_is_measured_on_the_measured_profiles(store: Store) -> None:
    cores = (1, 2, 4, 8)
    runs = wanted(store, 8 * ROWS, engines=("mllib",), cores=cores, definition=SYNTHETIC, rounds=1)
    assert runs.runs
    for run, expected, _ in runs.runs:
        assert run.cluster == f"c{run.cores}" and run.cores in cores
        assert expected.scale_out == run.cores
        assert run.threads is None


def test_the_report_says_how_much_surer_the_answer_becomes(store: Store) -> None:
    text = words(wanted(store, 8 * ROWS, definition=SYNTHETIC))
    assert "starts of workers, warm-ups and other phases. Making data is not included." in text
    assert "Now the time of xgboost with 512,000 rows is known within a factor of" in text
    assert text.endswith("COMMAND")


def test_the_change_names_both_times(store: Store) -> None:
    option = plan(measured(store, engines=("xgboost",)), Wish(ROWS)).answer
    assert change(option, option).text.startswith(f"Before these runs, xgboost with {option.rows:,.0f} rows: ")


def test_an_engine_with_one_size_has_nothing_to_judge_runs_by(store: Store) -> None:
    """MLlib would meet the wish, but it has times at one size only."""
    Measured(engines=("mllib",), fractions=(1.0,)).into(store, "d", day=1)
    with pytest.raises(ConfigError, match="measured with one size only"):
        wanted(store, ROWS, engines=("mllib",), fractions=(1.0,), dataset="flights")


def test_the_command_prints_what_to_measure(tmp_path: Path, sparkscale: Call) -> None:
    with Store.open(tmp_path) as store:
        Measured(engines=("xgboost",), fractions=SMALL).into(store)
    own = ("plan", "--workload", "gradient_boosting", "--rows", "64000", "--out", str(tmp_path), "--within", "5m")
    printed = sparkscale(*own, "--propose", "--format", "markdown")
    assert printed.returncode == 0, printed.stderr
    assert "## What to measure next" in printed.stdout
    assert f"sparkscale {' '.join(own)} --format markdown --measure" in printed.stdout
    assert "What to measure next" not in sparkscale(*own).stdout


def test_records_of_another_host_are_not_added_to(tmp_path: Path, sparkscale: Call) -> None:
    with Store.open(tmp_path) as store:
        Measured(engines=("xgboost",), fractions=SMALL).into(store)
    own = ("plan", "--workload", "gradient_boosting", "--rows", "64000", "--out", str(tmp_path))
    answer = sparkscale(*own, "--measure", "--within", "5m")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.endswith(
        "Error: The records were measured on another host, so new ones cannot be added to them: measure there, or "
        "begin here with `sparkscale run`.\n"
    )
    assert not (tmp_path / "proposed.toml").exists()


def test_a_wrong_time_is_refused(tmp_path: Path, sparkscale: Call) -> None:
    answer = sparkscale(
        "plan", "--workload", "x", "--rows", "1e6", "--propose", "--within", "soon", "--out", str(tmp_path)
    )
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "Error: --within soon is no duration: write it like 90s, 20m or 1h30m.\n"
