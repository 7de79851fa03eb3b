"""The charts of a report: what follows from records with known times and qualities."""

import math
from pathlib import Path

import pytest

from sparkscale.analysis.blocks import Block, Chart, Grid, Heading, Series, Text
from sparkscale.analysis.patterns.data_parallel.charts import is_near
from sparkscale.analysis.report import FAILURES, report
from sparkscale.present import cells
from sparkscale.store import archive
from sparkscale.store.store import Store
from tests.builders import FRACTIONS, ROUNDS_OF_TIMES, Writer, case, sklearn_and_mllib

RECORDS = Path(__file__).parents[2] / "docs" / "results" / "records"


def charts_of(store: Store) -> dict[str, Chart]:
    """The charts of the last run, by title."""
    blocks = report(store, store.invocation(), has_charts=True)
    return {block.title: block for block in blocks if isinstance(block, Chart)}


def test_fits_cross_where_the_engine_becomes_faster(store: Store) -> None:
    sklearn_and_mllib(store, lambda fraction: 3.0 + fraction)
    chart = charts_of(store)["Time to model against training rows"]
    assert [fit.name for fit in chart.fits] == ["mllib", "sklearn"]
    (limit,) = chart.limits
    assert (limit.axis, limit.label) == ("x", "mllib faster than sklearn")
    assert limit.value == pytest.approx(2.9 / 7 * 64_000, rel=0.02)
    assert limit.low is not None
    assert limit.high is not None
    assert limit.low <= limit.value <= limit.high
    mllib, sklearn = chart.fits
    is_faster = [own < other for own, other in zip(mllib.y, sklearn.y, strict=True)]
    assert is_faster == [x > limit.value for x in mllib.x]
    assert max(mllib.x) == pytest.approx(10 * 64_003, rel=0.01)


def test_every_round_is_a_dot_with_its_record(store: Store) -> None:
    sklearn_and_mllib(store, lambda fraction: 3.0 + fraction)
    found = charts_of(store)
    records = {record.id[:8]: record for record in store.records()}
    for title in ("Time to model against training rows", "Quality against training rows"):
        dots = found[title].dots
        assert len(dots) == 2 * ROUNDS_OF_TIMES * len(FRACTIONS)
        assert {dot.record for dot in dots} == set(records)
        assert all(records[dot.record].round == dot.round for dot in dots)
    assert len(found["Quality against time to model"].dots) == 2 * ROUNDS_OF_TIMES * len(FRACTIONS)


def test_memory_that_does_not_suffice_is_an_edge(store: Store) -> None:
    sklearn_and_mllib(store, lambda fraction: 3.0 + fraction, outcome_of_all="oom")
    (failed,) = charts_of(store)["Time to model against training rows"].failed
    assert (failed.series, failed.is_edge, failed.reason) == ("mllib", True, "oom: because oom")
    assert failed.x == pytest.approx(64_003)
    fits = {fit.name: fit for fit in charts_of(store)["Time to model against training rows"].fits}
    assert fits["mllib"].x[-1] == pytest.approx(64_003)  # no forecast goes beyond the memory
    assert fits["sklearn"].x[-1] > 300_000


def test_memory_that_suffices_for_more_rows_is_no_edge(store: Store) -> None:
    write = Writer(store)
    for fraction in FRACTIONS:
        fits = fraction != 1 / 2
        write(case("sklearn", fraction), 1, seconds=1.0 if fits else None, outcome="ok" if fits else "oom")
    (failed,) = charts_of(store)["Time to model against training rows"].failed
    assert not failed.is_edge


def test_another_failure_is_a_mark_and_no_edge(store: Store) -> None:
    sklearn_and_mllib(store, lambda fraction: 3.0 + fraction, outcome_of_all="failed")
    (failed,) = charts_of(store)["Time to model against training rows"].failed
    assert (failed.reason, failed.is_edge) == ("failed: because failed", False)


def test_what_a_sample_gives_up_is_drawn_beside_the_tolerance(store: Store) -> None:
    sklearn_and_mllib(store, lambda fraction: 3.0 + fraction)
    chart = charts_of(store)["What a sample gives up against all data"]
    assert {limit.label: limit.value for limit in chart.limits} == {
        "tolerance 0.005": 0.005,
        "as good as all data": 0.0,
    }
    sklearn = chart.series[0]
    assert sklearn.fractions == ("1/64", "1/32", "1/16", "1/8", "1/4", "1/2")
    assert sklearn.y[0] > sklearn.y[-1]
    assert all(low <= y <= high for low, y, high in zip(sklearn.low, sklearn.y, sklearn.high, strict=True))
    dots = [dot.y for dot in chart.dots if dot.series == "sklearn" and dot.fraction == "1/64"]
    assert len(dots) == ROUNDS_OF_TIMES
    assert sum(dots) / len(dots) == pytest.approx(sklearn.y[0])


def test_a_relative_loss_is_in_percent_as_its_tolerance_and_the_table(tmp_path: Path) -> None:
    (run,) = archive.take(RECORDS / "crossover-boosting.parquet", tmp_path)
    with Store.existing(tmp_path) as store:
        blocks = report(store, store.invocation(identity=run), has_charts=True)
        chart = charts_of(store)["What a sample gives up against all data"]
    assert chart.y == "RMSE worse by, %: estimate and interval"
    assert chart.note.endswith("Values are in percent of the RMSE with all data.")
    assert chart.limits[0].value == 1.0
    assert chart.limits[0].label == "tolerance 1 %"
    table = next(
        block for block in blocks if isinstance(block, Grid) and block.title.startswith("Is a sample enough?")
    )
    row = next(row for row in table.rows if row[0] == "xgboost")
    assert row[2] == "1/4"
    xgboost = next(series for series in chart.series if series.name == "xgboost")
    drawn = xgboost.y[xgboost.fractions.index("1/4")]
    assert cells.pieces(row[3], table.columns[3])[0] == f"{drawn:+.2f}%"


def test_the_forecast_of_a_learning_curve_begins_at_the_largest_size_and_widens(store: Store) -> None:
    sklearn_and_mllib(store, lambda fraction: 3.0 + fraction)
    chart = charts_of(store)["Quality against training rows"]
    fit = next(fit for fit in chart.fits if fit.name == "sklearn")
    assert (fit.x[0], fit.x[-1]) == pytest.approx((64_003, 4 * 64_003))
    widths = [high - low for low, high in zip(fit.low, fit.high, strict=True)]
    assert widths[-1] > widths[0]
    assert "forecasts, with their 90% intervals" in chart.note


def test_a_part_has_its_answers_before_its_figures_and_its_failures_at_its_end(store: Store) -> None:
    sklearn_and_mllib(store, lambda fraction: 3.0 + fraction, outcome_of_all="oom")
    blocks = report(store, store.invocation(), has_charts=True)
    (start,) = [number for number, block in enumerate(blocks) if _is_heading(block, "gradient_boosting on flights")]
    part = blocks[start + 1 :]
    part = part[: next((n for n, block in enumerate(part) if isinstance(block, Heading)), None)]
    assert part[0] == Text("Is a sample enough?")
    heading = blocks[start]
    assert isinstance(heading, Heading)
    assert heading.cluster == "local"
    first_chart = next(number for number, block in enumerate(part) if isinstance(block, Chart))
    first_grid = next(number for number, block in enumerate(part) if isinstance(block, Grid))
    assert first_chart < first_grid
    last = part[-1]
    assert isinstance(last, Grid)
    assert last.title == "Cases of this comparison without a result"
    assert [row[2] for row in last.rows] == ["oom"]
    assert f"5 of 70 executions have no result: 5 oom. See '{FAILURES}'." in [
        block.text for block in blocks if isinstance(block, Text)
    ]


def _is_heading(block: Block, text: str) -> bool:
    return isinstance(block, Heading) and text in block.text and not block.text.startswith("Best")


def test_a_ceiling_far_away_does_not_flatten_the_curves() -> None:
    line = Series("e", (1.0, 2.0), (0.70, 0.72), (0.69, 0.71), (0.71, 0.73))
    assert is_near(0.75, [line])
    assert not is_near(0.9, [line])
    assert not is_near(math.inf, [line])
