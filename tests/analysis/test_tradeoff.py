"""What a sample saves and costs, from a store of records with known times and scores."""

import io
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkscale.analysis import blocks, every_metric, metrics, problems
from sparkscale.analysis.crossed import Estimate
from sparkscale.analysis.patterns.data_parallel import comparison as tradeoff
from sparkscale.analysis.patterns.data_parallel.cell import Step
from sparkscale.analysis.patterns.data_parallel.comparison import SampleAnswer
from sparkscale.analysis.patterns.data_parallel.report import TradeoffReport
from sparkscale.analysis.statistics import Interval
from sparkscale.analysis.unit_quality import value
from sparkscale.present import cells
from sparkscale.store.store import Store
from tests.analysis.reading import shown
from tests.builders import Writer, case, scores, stored
from workloads import registry

FRACTIONS = {1 / 64: 3.0, 1 / 16: 0.30, 1 / 4: 0.02, 1.0: 0.0}
"""How much noise is added to the scores of a model on all data."""


SEEDS = 5


@pytest.fixture
def filled(store: Store) -> Store:
    write = Writer(store)
    for fraction, noise in FRACTIONS.items():
        write(case("sklearn", fraction), 1, seconds=99.0, temperature="warmup", noise=noise)
        for number in range(1, SEEDS + 1):
            seconds = fraction * 8 * (1 + number / 10)
            write(case("sklearn", fraction, seed=number), number, seconds=seconds, noise=noise)
        write(
            case("sklearn", fraction), 1, seconds=50.0, temperature="cold", isolated=True, peak=int(fraction * 2**30)
        )
    write(case("sklearn", 1.0, "defaults"), 1, seconds=20.0, noise=0.1)
    write(case("mllib", 1.0), 1, outcome="timeout")
    write(case("mllib", 1.0), 2, outcome="timeout")
    return store


def curve(store: Store, engine: str) -> tradeoff.EngineCurve:
    (comparison,) = tradeoff.comparisons(store, store.records())
    return next(found for found in comparison.curves if found.engine == engine)


def test_warm_times_and_isolated_memory_are_never_mixed(filled: Store) -> None:
    full = curve(filled, "sklearn").full
    assert full is not None
    assert full.seconds is not None
    assert (full.seconds.low, full.seconds.median, full.seconds.high) == pytest.approx((8.8, 10.4, 12.0))
    assert full.peak_bytes is not None
    assert full.peak_bytes.median == 2**30
    assert metrics.SECONDS_PER_MILLION_ROWS.samples(full.records)[0] == pytest.approx(8.8 / 0.064001)


def test_a_failure_has_no_time(filled: Store) -> None:
    full = curve(filled, "mllib").full
    assert full is not None
    assert cells.text(full.seconds, blocks.seconds("s")) == "> any [0 of 2]"
    assert full.quality is None
    assert all(
        metric.samples(full.records) == [] for metric in every_metric.metrics(registry.descriptions()).values()
    )


def test_the_smallest_fraction_that_is_enough_and_what_it_saves(filled: Store) -> None:
    found = curve(filled, "sklearn")
    assert [step.verdict for step in found.steps] == ["not enough", "not enough", "enough"]
    answer = found.answer
    assert answer.step is not None
    assert answer.step.fraction == 1 / 4
    assert answer.step.confidence == pytest.approx(1.0)
    assert answer.text == "1/4 (1/16 not enough; 1/8 not measured)"
    share = found.share_of_full_seconds(1 / 4)
    assert share is not None
    assert (share.low, share.high, share.count) == pytest.approx((0.25, 0.25, SEEDS))


def test_the_quality_is_that_of_every_seed_not_of_the_first_execution(store: Store) -> None:
    write = Writer(store)
    noises = (0.0, 0.5, 1.0)
    for number, noise in enumerate(noises, start=1):
        write(case("sklearn", 1.0, seed=number), number, seconds=1.0, noise=noise)
    (comparison,) = tradeoff.comparisons(store, store.records())
    (cell,) = comparison.cells
    assert cell.quality is not None
    each = [value(quality) for quality in cell.qualities.values()]
    assert len(each) == len(noises)
    assert each[0] - each[2] > 0.05
    assert cell.quality.value == pytest.approx(np.mean(each))
    assert cell.quality.seeds == len(noises)


def test_differences_between_fractions_are_paired_by_seed(store: Store) -> None:
    """Seeds change the quality of all fractions alike: the difference hardly varies."""
    write = Writer(store)
    for number, noise in enumerate((0.0, 0.5, 1.0, 1.5, 2.0), start=1):
        write(case("sklearn", 1.0, seed=number), number, seconds=1.0, noise=noise)
        write(case("sklearn", 1 / 4, seed=number), number, seconds=1.0, noise=noise)
    (step,) = curve(store, "sklearn").steps
    assert step.estimate.value == pytest.approx(0.0, abs=1e-12)
    full = curve(store, "sklearn").full
    assert full is not None
    assert full.quality is not None
    assert full.quality.standard_error > 0.01


def step(fraction: float, low: float, high: float, seeds: int = SEEDS) -> Step:
    middle = (low + high) / 2
    return Step(fraction, Estimate(middle, Interval(low, high), 0.001, 10.0, 70, 70.0, seeds), tolerance=0.005)


ENOUGH, NOT_ENOUGH, OPEN = (-0.001, 0.004), (0.006, 0.02), (0.001, 0.009)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(*ENOUGH, "enough"), (*NOT_ENOUGH, "not enough"), (*OPEN, "not resolved"), (0.0, 0.005, "enough")],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(low: float, high: float, verdict: str) -> None:
    assert step(0.25, low, high).verdict == verdict


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ({1 / 64: ENOUGH, 1 / 16: NOT_ENOUGH, 1 / 4: NOT_ENOUGH}, "more than 1/4; 1/2 was not measured"),
        ({1 / 64: ENOUGH, 1 / 16: NOT_ENOUGH, 1 / 4: ENOUGH}, "1/4 (1/16 not enough; 1/8 not measured)"),
        ({1 / 4: ENOUGH, 1 / 2: NOT_ENOUGH}, "more than 1/2"),
        ({1 / 8: NOT_ENOUGH}, "more than 1/8; 1/2, 1/4 were not measured"),
        ({1 / 4: OPEN, 1 / 2: ENOUGH}, "1/2 (1/4 not resolved)"),
        ({1 / 4: OPEN}, "1/4 not resolved; 1/2 was not measured"),
        ({1 / 4: ENOUGH, 1 / 2: ENOUGH}, "1/4"),
        ({}, "no smaller fraction than all data was measured"),
    ],
)
def test_fractions_are_tested_from_the_largest_down(steps: dict[float, tuple[float, float]], text: str) -> None:
    """The first lucky fraction is not the answer, and nothing is said of fractions that nobody measured."""
    assert SampleAnswer.of([step(fraction, *interval) for fraction, interval in steps.items()]).text == text


@pytest.mark.parametrize(
    ("steps", "lost", "text"),
    [
        ({1 / 8: ENOUGH, 1 / 2: ENOUGH}, [1 / 4], "1/2 (1/4 has no result)"),
        ({1 / 16: NOT_ENOUGH}, [1 / 4], "1/4 has no result"),
        ({1 / 4: NOT_ENOUGH}, [1 / 16], "more than 1/4; 1/2 was not measured"),
    ],
)
def test_the_search_ends_at_a_fraction_without_a_result(
    steps: dict[float, tuple[float, float]], lost: list[float], text: str
) -> None:
    assert SampleAnswer.of([step(fraction, *interval) for fraction, interval in steps.items()], lost).text == text


def test_with_fewer_than_five_seeds_a_verdict_is_for_these_samples() -> None:
    assert SampleAnswer.of([step(1 / 2, *ENOUGH, seeds=3)]).text == "1/2, for the 3 samples drawn here"
    assert SampleAnswer.of([step(1 / 2, *NOT_ENOUGH, seeds=1)]).text == "more than 1/2, for the one sample drawn here"


def test_where_the_data_do_not_decide_the_word_is_not_resolved(store: Store) -> None:
    write = Writer(store)
    for fraction, noise in {1 / 4: 0.23, 1.0: 0.0}.items():
        for number in range(1, SEEDS + 1):
            write(case("sklearn", fraction, seed=number), number, seconds=1.0, noise=noise)
    answer = curve(store, "sklearn").answer
    assert not answer.is_enough
    assert answer.text == "1/4 not resolved; 1/2 was not measured"


def test_a_share_of_times_needs_a_time_of_every_execution(store: Store) -> None:
    """280 s and two timeouts were printed as 280.00, and their share as if they were all."""
    write = Writer(store)
    for number in (1, 2, 3):
        write(case("sklearn", 1 / 4, seed=number), number, seconds=10.0, noise=0.0)
    write(case("sklearn", 1.0, seed=1), 1, seconds=280.0, noise=0.0)
    for number in (2, 3):
        write(case("sklearn", 1.0, seed=number), number, outcome="timeout", phase="fit")
    found = curve(store, "sklearn")
    assert found.full is not None
    assert cells.text(found.full.seconds, blocks.seconds("s")) == "> 300 (280.00–> 300) [1 of 3]"
    assert found.share_of_full_seconds(1 / 4) is None


def test_a_timeout_outside_of_the_timed_phases_is_no_longer_time(store: Store) -> None:
    write = Writer(store)
    write(case("sklearn", 1.0, seed=1), 1, seconds=100.0, noise=0.0)
    write(case("sklearn", 1.0, seed=2), 2, outcome="timeout", phase="predict")
    full = curve(store, "sklearn").full
    assert full is not None
    assert cells.text(full.seconds, blocks.seconds("s")) == "100.00 [1 of 2]"


@pytest.mark.parametrize("units", [1, 2, 3])
def test_a_hold_out_of_few_units_prints_no_interval_and_resolves_nothing(store: Store, units: int) -> None:
    """Each with three rounds: one held-out store gave [0.8251, 0.8251] everywhere, and firm verdicts from it."""
    write = Writer(store)
    for number in (1, 2, 3):
        for fraction, noise in ((1 / 4, 2.0), (1.0, 0.0)):
            made = write(case("sklearn", fraction, seed=number), number, seconds=1.0)
            table = pq.read_table(io.BytesIO(scores(noise, number)))
            few = pa.array(table.column("unit").to_numpy() % units)
            content = stored(table.set_column(table.column_names.index("unit"), "unit", few))
            store.add(made.model_copy(update={"id": f"few {made.id}"}), {"scores": content})
    text = shown(store)
    assert f"1/4 not resolved: {units} unit" in " ".join(text.split())
    assert "AUC has no interval" in text
    assert "[0." not in text


def test_a_retried_failure_is_past(store: Store) -> None:
    write = Writer(store)
    write(case("sklearn", 1.0), 1, outcome="failed")
    assert problems.failed(store.records(), added=1)
    write(case("sklearn", 1.0), 1, seconds=1.0)
    assert not problems.failed(store.records(), added=1)
    assert problems.problems(store.records()) == []


def test_unsupported_is_shown_but_is_no_failure(store: Store) -> None:
    write = Writer(store)
    write(case("sklearn", 1.0), 1, outcome="unsupported")
    assert not problems.failed(store.records(), added=1)
    assert [(found.outcome, found.times) for found in problems.problems(store.records())] == [("unsupported", 1)]


def test_show_holds_what_was_measured_and_what_was_not(filled: Store) -> None:
    text = shown(filled)
    for expected in (
        "Test CPU, 2 cores, 16 GiB, Linux, 2 × Test GPU",
        "10.40 (8.80–12.00)",
        "1,024 MiB",
        "25% (25%–25%)",
        "trees=100",
        "timeout",
        "because timeout",
        "sklearn differs: a leaf needs",
        "5 rounds, each in a fresh worker",
    ):
        assert expected in text, text
    assert "99.0" not in text
    assert "50.0" not in text
    assert "Spark ran in local mode" in text


def test_one_round_has_no_range(store: Store) -> None:
    write = Writer(store)
    for fraction, seconds in {1 / 4: 1.0, 1.0: 2.0}.items():
        write(case("sklearn", fraction), 1, seconds=seconds, noise=0.05 * (1 - fraction))
    text = shown(store)
    assert "1 round, so without a range" in text
    assert re.search(r"│ +50% │", text)
    assert "Spark ran" not in text


def test_the_answer_says_how_large_the_models_are(store: Store) -> None:
    """A sample that is enough for ten trees may not be for a hundred."""
    write = Writer(store)
    for fraction, noise in {1 / 4: 0.2, 1.0: 0.0}.items():
        measured = case("sklearn", fraction)
        write(measured.model_copy(update={"params": {**measured.params, "trees": 10}}), 1, seconds=1.0, noise=noise)
    assert "for models with 10 trees" in " ".join(shown(store).split())


def test_the_answer_names_the_capacity_that_each_engine_chose(store: Store) -> None:
    write = Writer(store)
    chosen = {("sklearn", 1): 40, ("sklearn", 2): 80, ("xgboost", 1): 160, ("xgboost", 2): 160}
    for (engine, number), trees in chosen.items():
        measured = case(engine, 1.0, "tuned")
        params = {**measured.params, "capacity": {"param": "trees", "least": 10, "most": 640}}
        made = write(measured.model_copy(update={"params": params}), number, seconds=1.0, noise=0.0)
        kept = made.model_copy(update={"id": f"tuned {made.id}", "figures": {"capacity": float(trees)}})
        store.add(kept, {"scores": scores(0.0)})
        write(made.case.model_copy(update={"fraction": 1 / 4}), number, seconds=1.0, noise=0.1)
    told = "for models with trees chosen on all data: sklearn 40–80, xgboost 160"
    assert told in " ".join(shown(store).split())


@pytest.mark.parametrize(
    ("steps", "lost", "too_little", "would_resolve"),
    [
        ({1 / 2: ENOUGH}, (), False, ""),
        ({1 / 2: NOT_ENOUGH}, (), True, ""),
        ({1 / 4: NOT_ENOUGH}, (), False, "the fraction 1/2"),
        ({1 / 8: NOT_ENOUGH}, (), False, "the fractions 1/2, 1/4"),
        ({1 / 2: OPEN}, (), False, "more rounds, each with its own seeds"),
        ({}, (1 / 2,), False, "the cases without a result, measured again (--retry-failed)"),
        ({}, (), False, "a smaller fraction"),
    ],
)
def test_an_answer_says_what_would_resolve_it(
    steps: dict[float, tuple[float, float]], lost: tuple[float, ...], too_little: bool, would_resolve: str
) -> None:
    found = SampleAnswer.of([step(fraction, *interval) for fraction, interval in steps.items()], lost)
    assert (found.is_too_little, found.would_resolve) == (too_little, would_resolve)


def test_an_answer_needs_all_data(store: Store) -> None:
    write = Writer(store)
    for fraction in (1 / 16, 1 / 4):
        write(case("sklearn", fraction), 1, seconds=1.0, noise=0.1)
    answer = curve(store, "sklearn").answer
    assert (answer.text, answer.would_resolve) == ("not judged: all data was not measured", "all data")


def test_comparisons_of_one_subject_are_told_apart_by_their_parameters(store: Store) -> None:
    write = Writer(store)
    for trees in (10, 20):
        measured = case("sklearn", 1.0)
        measured = measured.model_copy(update={"params": {**measured.params, "trees": trees, "depth": 6}})
        write(measured, 1, seconds=float(trees), noise=0.1)
    headings = [line for line in shown(store).splitlines() if line.startswith("data_parallel.gradient_boosting on")]
    assert len(set(headings)) == 2
    assert all("depth" not in line for line in headings)


def test_one_thread_is_shown_beside_all_threads_and_never_mixed_with_them(store: Store) -> None:
    """Both have the same engine and fraction, so one curve would have held two cells of one fraction."""
    write = Writer(store)
    for number in range(1, SEEDS + 1):
        for fraction in (1 / 4, 1.0):
            write(case("sklearn", fraction, seed=number), number, seconds=2.0 * fraction, noise=0.1)
        alone = case("sklearn", 1.0, seed=number).model_copy(update={"threads": 1})
        write(alone, number, seconds=3.0, noise=0.1)
        write(alone.model_copy(update={"params": case("sklearn", 1.0, "defaults").params}), number, seconds=9.0)
        write(case("mllib", 1.0, seed=number).model_copy(update={"threads": 1}), number, seconds=6.0, noise=0.1)
    (comparison,) = tradeoff.comparisons(store, store.records())
    assert {curve.engine: len(curve.cells) for curve in comparison.curves} == {"sklearn": 2, "mllib": 1}
    (cell,) = comparison.one_thread["sklearn"].cells
    assert cell.seconds
    assert (cell.seconds.median, cell.seconds.count) == (3.0, SEEDS)
    assert comparison.defaults == {}
    full = curve(store, "sklearn").full
    assert full and full.seconds
    assert full.seconds.high == 2.0
    assert re.search(r"│ sklearn, 1 thread +│ 1 +│ 64,003 +│ +3\.00 │", shown(store))
    assert not any("sklearn, 1 thread" in answer.text for answer in TradeoffReport(comparison).answers())


def test_where_only_one_thread_was_measured_it_has_a_table(store: Store) -> None:
    Writer(store)(case("sklearn", 1.0).model_copy(update={"threads": 1}), 1, seconds=3.0, noise=0.1)
    (comparison,) = tradeoff.comparisons(store, store.records())
    assert comparison.curves == []
    assert "sklearn, 1 thread" in shown(store)


def test_a_case_of_one_thread_without_a_result_is_named(store: Store) -> None:
    write = Writer(store)
    write(case("sklearn", 1.0).model_copy(update={"threads": 1}), 1, outcome="failed")
    write(case("sklearn", 1.0), 1, seconds=1.0, noise=0.1)
    (problem,) = problems.problems(store.records())
    assert problem.subject == "data_parallel.gradient_boosting sklearn flights, 1 thread"
