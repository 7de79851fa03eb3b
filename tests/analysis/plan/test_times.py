"""Times of options: known truths, refusals, and sizes with several numbers of columns."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from sparkscale.analysis.questions.phase_model import PhasedRun
from sparkscale.analysis.questions.plan.basis import Basis, basis
from sparkscale.analysis.questions.plan.times import Times, coverage, judged, sizes, times
from sparkscale.store.store import Store
from tests.analysis.plan.measured import ROWS, Measured, measured, node_seconds, spark_seconds


def times_of(found: Basis, engine: str, columns: int | None = None) -> Times:
    (job,) = (one for one in found.jobs if one.engine == engine)
    return times(job, sizes(found, columns))


def test_known_times_are_predicted_beyond_the_measured_rows_and_cores(store: Store) -> None:
    found = measured(store, cores=(1, 2, 4, 8))
    for engine, truth in (("xgboost", node_seconds), ("mllib", spark_seconds)):
        made = times_of(found, engine).predict(5 * ROWS, 16)
        assert made.seconds == pytest.approx(truth(5 * ROWS, 16), rel=0.1)
        assert made.interval is not None
        assert made.interval.low < truth(5 * ROWS, 16) < made.interval.high


def test_samples_of_other_seeds_are_one_size(store: Store) -> None:
    assert len(times_of(measured(store, cores=(1, 2)), "xgboost").sizes) == 7


@pytest.mark.parametrize("cores", [(2, 4), (1, 2, 4)])
def test_few_numbers_of_cores_are_not_extended(store: Store, cores: tuple[int, ...]) -> None:
    found = times_of(measured(store, cores=cores), "mllib")
    why = f"8 cores are outside of the measured {cores[0]} to 4: this needs 4 numbers of cores, and {len(cores)} were"
    assert found.predict(ROWS, 8).why_none.startswith(why)
    assert found.predict(2 * ROWS, 4).seconds == pytest.approx(spark_seconds(2 * ROWS, 4), rel=0.1)


def test_nothing_is_predicted_for_ten_times_the_rows_and_more(store: Store) -> None:
    why = times_of(measured(store), "xgboost").predict(11 * ROWS, 2).why_none
    assert why.startswith("more than 10 times the largest measured size")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"fractions": (1.0,)}, "only one size was measured (64,002 rows)"),
        ({"outcome": lambda *_: "failed"}, "no execution has a time"),
    ],
)
def test_a_job_without_a_model_says_why(store: Store, fields: dict[str, Any], why: str) -> None:
    found = times_of(measured(store, **fields), "xgboost")
    assert found.model is None
    assert found.predict(ROWS, 2).why_none == why


def test_a_configuration_with_a_failure_is_left_out(store: Store) -> None:
    fails: Any = lambda engine, fraction, _: "oom" if (engine, fraction) == ("xgboost", 1.0) else "ok"  # noqa: E731
    found = times_of(measured(store, outcome=fails), "xgboost")
    assert [one.rows for one in found.without_time] == [ROWS + 2]
    assert max(found.sizes) < ROWS


def test_other_columns_are_assumed_to_cost_in_proportion(store: Store) -> None:
    found = measured(store)
    twice = sizes(found, 20)
    assert twice.assumption.startswith(
        "Only 10 columns were measured, and 20 are planned: times and memory are assum"
    )
    assert twice.of(ROWS) == 2 * ROWS
    assert sizes(found, None).assumption == sizes(found, 10).assumption == ""


def test_several_numbers_of_columns_make_rows_times_columns_the_size(store: Store) -> None:
    synthetic = {"rows": 1, "seed": 0, "kind": "classification"}
    for day, columns in ((1, 20), (2, 10)):
        fields = Measured(columns=columns, dataset=f"d{columns}", definition={**synthetic, "features": columns})
        fields.into(store, f"of{columns}-", day)
    found = basis(store, "gradient_boosting")
    assert found.column_counts == [10, 20]
    made = times_of(found, "xgboost", 40)
    size = sizes(found, 40)
    assert "rows × columns: 10, 20 columns were measured" in size.assumption
    assert made.predict(size.of(ROWS), 2).seconds == pytest.approx(node_seconds(4 * ROWS, 2), rel=0.1)


def drawn_truth(random: np.random.Generator) -> Callable[[float, float], float]:
    """A run time that follows the model, with terms of random weight."""
    shares = random.dirichlet(np.full(6, 0.5))

    def seconds(size: float, m: float) -> float:
        terms = (1.0, 4 * size / m, np.log(m) / np.log(4), m / 4, size, 4 / m)
        return float(np.dot(shares, terms))

    return seconds


def is_covered(seed: int, scale_outs: Sequence[int], size: float, cores: int, noise: float = 0.05) -> bool:
    """Whether the interval of a plan contains a new run, for a drawn truth that is measured with noise."""
    random = np.random.default_rng(seed)
    truth = drawn_truth(random)

    def run(s: float, m: int) -> PhasedRun:
        return PhasedRun(s, m, {"fit": truth(s, m) * float(np.exp(noise * random.standard_normal()))})

    runs = [run(2.0**-power, m) for power in range(5) for m in scale_outs for _ in range(3)]
    held = judged(runs, (size, cores), [run(size, cores).seconds])
    assert held.error is not None, held.why_none
    return bool(held.covered)


def test_numbers_of_cores_beyond_memory_do_not_count() -> None:
    """Four numbers of cores were measured, and one core takes three times as long as it should."""

    def seconds(size: float, m: int) -> float:
        return (1 + 40 * size / m) * (3 if m == 1 else 1)

    runs = [PhasedRun(2.0**-power, m, {"fit": seconds(2.0**-power, m)}) for power in range(5) for m in (1, 2, 4, 8)]
    held = judged(runs, (1.0, 16), [seconds(1.0, 16)])
    assert held.error is None
    assert held.why_none.endswith("this needs 4 numbers of cores, and 3 were measured within memory")
    assert judged(runs, (1.0, 8), [seconds(1.0, 8)]).error is not None


@pytest.mark.slow
@pytest.mark.parametrize("size", [1.0, 2.0])
@pytest.mark.parametrize("scale_outs", [(1, 2, 4, 8), (2, 4, 6, 8)])
def test_from_four_numbers_of_cores_twice_the_cores_are_covered(scale_outs: tuple[int, ...], size: float) -> None:
    """Nine intervals in ten should contain the run, and not fewer than 85 % by more than chance explains."""
    repeats = 50
    covered = [is_covered(seed, scale_outs, size, 2 * scale_outs[-1]) for seed in range(repeats)]
    assert np.mean(covered) >= 0.85 - 2 * np.sqrt(0.85 * 0.15 / repeats)


def test_coverage_counts_what_cannot_be_predicted(store: Store) -> None:
    found = measured(store, cores=(1, 2, 4, 8), engines=("xgboost",))
    made = coverage([times_of(found, "xgboost")])
    assert made.predicted + made.refused == 28
    assert made.refused == 0
    assert made.covered >= 0.85
    assert made.error < 0.02


def test_two_sizes_cannot_be_predicted_without_each_other(store: Store) -> None:
    made = coverage([times_of(measured(store, fractions=(0.5, 1.0)), "xgboost")])
    assert (made.predicted, made.refused) == (0, 2)
    assert np.isnan(made.covered)
