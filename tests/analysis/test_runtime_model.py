"""The model of the run time: known coefficients, cliffs, refusals, and coverage of intervals."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from sparkscale.analysis.questions.runtime_model import Run, RuntimeModel, fit
from sparkscale.contract.errors import ConfigError

THETA = {"1": 20.0, "s/m": 0.05, "log m": 3.0, "m": 1.5, "s": 0.002, "1/m": 60.0}
SIZES = (1000.0, 2000.0, 3000.0, 4000.0, 6000.0)
SCALE_OUTS = (2.0, 4.0, 6.0, 8.0, 10.0)


def true_seconds(size: float, m: float) -> float:
    values = {"1": 1.0, "s/m": size / m, "log m": math.log(m), "m": m, "s": size, "1/m": 1 / m}
    return sum(THETA[term] * value for term, value in values.items())


def runs(
    sizes: Iterable[float] = SIZES, scale_outs: Sequence[float] = SCALE_OUTS, noise: float = 0.0, seed: int = 0
) -> list[Run]:
    """One run per configuration. `noise` is the standard deviation of the logarithm of the seconds."""
    random = np.random.default_rng(seed)
    return [
        Run(size, m, true_seconds(size, m) * math.exp(noise * random.standard_normal()))
        for size in sizes
        for m in scale_outs
    ]


def slower(measured: Iterable[Run], factor: float, places: Iterable[tuple[float, float]]) -> list[Run]:
    """The runs, of which those at some sizes and scale-outs take `factor` times as long."""
    slow = set(places)
    return [
        Run(each.size, each.scale_out, each.seconds * (factor if (each.size, each.scale_out) in slow else 1))
        for each in measured
    ]


def test_known_coefficients_are_recovered() -> None:
    model = fit(runs())
    assert model.coefficients == pytest.approx(THETA, rel=1e-6)
    assert (model.left_out, model.beyond_memory) == ({}, ())
    ahead = model.predict(20_000.0, 40.0)
    assert ahead.seconds == pytest.approx(true_seconds(20_000.0, 40.0), rel=1e-6)
    assert ahead.interval is not None and ahead.caution == ""
    assert ahead.interval.low == pytest.approx(ahead.interval.high, rel=1e-4), "without noise there is no doubt"


def test_work_that_grows_faster_than_the_size_is_recovered() -> None:
    """Sorting takes n·log n. Sizes that span less than a factor of 8 do not show it."""
    sizes = [1000.0 * 2**step for step in range(5)]

    def seconds(size: float, m: float) -> float:
        return 2 + 0.004 * size / m * (1 + math.log(size / 1000))

    measured = [Run(size, m, seconds(size, m)) for size in sizes for m in SCALE_OUTS]
    model = fit(measured)
    assert model.coefficients["s log s/m"] == pytest.approx(0.004, rel=1e-6)
    assert model.predict(64_000.0, 20.0).seconds == pytest.approx(seconds(64_000.0, 20.0), rel=1e-5)
    assert "s log s/m" not in fit([run for run in measured if run.size < 8000]).coefficients


def test_coefficients_are_not_negative() -> None:
    falling = [Run(size, m, 100 - 0.001 * size - m) for size in SIZES for m in SCALE_OUTS]
    model = fit(falling)
    assert min(model.coefficients.values()) >= 0
    assert model.coefficients["s"] == model.coefficients["m"] == 0


def test_a_slow_run_of_several_has_no_influence() -> None:
    repeated = [*runs(), *runs(), *slower(runs(), 10.0, [(3000.0, 6.0)])]
    assert fit(repeated).coefficients == pytest.approx(THETA, rel=1e-6)


@pytest.mark.parametrize(
    ("sizes", "scale_outs", "left_out"),
    [
        (SIZES[:1], SCALE_OUTS, {"s/m": "only one size was measured", "s": "only one size was measured"}),
        (SIZES, SCALE_OUTS[:1], dict.fromkeys(("s/m", "log m", "m", "1/m"), "only one scale-out was measured")),
        (
            SIZES[:2],
            SCALE_OUTS[:2],
            {
                "log m": "the measured configurations cannot tell it apart from 1, s/m, s, 1/m",
                "m": "the measured configurations cannot tell it apart from 1, s/m, s, 1/m",
            },
        ),
    ],
    ids=["one size", "one scale-out", "two of each"],
)
def test_terms_that_cannot_be_identified_are_named(
    sizes: Sequence[float], scale_outs: Sequence[float], left_out: dict[str, str]
) -> None:
    model = fit(runs(sizes, scale_outs))
    assert model.left_out == left_out
    assert set(model.coefficients) == set(THETA) - set(left_out)


@pytest.mark.parametrize(
    ("measured", "size", "scale_out", "name"),
    [
        (runs(SIZES[:1]), 2000.0, 4.0, "size was measured (1,000)"),
        (runs(SIZES, SCALE_OUTS[:1]), 2000.0, 4.0, "scale-out was measured (2)"),
        ([Run(500 * m, m, 10 + m) for m in SCALE_OUTS], 4000.0, 4.0, "size per node was measured (500)"),
    ],
)
def test_what_did_not_vary_is_not_extrapolated(measured: list[Run], size: float, scale_out: float, name: str) -> None:
    prediction = fit(measured).predict(size, scale_out)
    assert prediction.seconds is None and prediction.interval is None
    assert prediction.why_none == f"only one {name}, so its influence is not known"


@pytest.mark.parametrize("scale_out", [4.1, 6.0])
def test_two_scale_outs_do_not_show_what_more_nodes_cost(scale_out: float) -> None:
    prediction = fit(runs(SIZES, SCALE_OUTS[:2])).predict(3000.0, scale_out)
    assert prediction.seconds is None and prediction.interval is None
    assert prediction.why_none == (
        "only 2 scale-outs were measured within memory (2 and 4), which cannot show what more nodes cost: "
        "measure one more"
    )


def test_three_scale_outs_and_two_sizes_are_predicted_with_a_caution() -> None:
    model = fit(runs(SIZES[:2], (2.0, 4.0, 8.0, 16.0), noise=0.03))
    assert model.predict(1500.0, 20.0).caution == ""
    beyond = model.predict(4000.0, 20.0)
    assert beyond.seconds is not None
    assert beyond.caution == (
        "the interval may be too narrow: 2 sizes cannot show whether the time grows in a straight line"
    )


def test_what_did_not_vary_is_predicted_at_its_measured_value() -> None:
    one_size = fit(runs(SIZES[:1])).predict(SIZES[0], 12.0)
    assert one_size.seconds == pytest.approx(true_seconds(SIZES[0], 12.0), rel=1e-6)
    one_scale_out = fit(runs(SIZES, SCALE_OUTS[:1])).predict(9000.0, SCALE_OUTS[0])
    assert one_scale_out.seconds == pytest.approx(true_seconds(9000.0, SCALE_OUTS[0]), rel=1e-6)


CLIFF = [(4000.0, 2.0), (6000.0, 2.0)]


@pytest.mark.parametrize(("size", "scale_out"), [(4000.0, 2.0), (5000.0, 2.0), (8000.0, 4.0), (20_000.0, 8.0)])
def test_nothing_is_predicted_across_a_cliff(size: float, scale_out: float) -> None:
    prediction = fit(slower(runs(), 4.0, CLIFF)).predict(size, scale_out)
    assert prediction.seconds is None and prediction.interval is None
    assert prediction.why_none.startswith(f"perhaps beyond memory: {size / scale_out:,.0f} per node")
    assert prediction.why_none.endswith("at 4,000 on 2, 6,000 on 2 the job was beyond memory")


@pytest.mark.parametrize(("size", "scale_out"), [(3000.0, 2.0), (6000.0, 4.0), (20_000.0, 20.0)])
def test_the_near_side_of_a_cliff_is_predicted(size: float, scale_out: float) -> None:
    prediction = fit(slower(runs(), 4.0, CLIFF)).predict(size, scale_out)
    assert prediction.seconds == pytest.approx(true_seconds(size, scale_out), rel=1e-6)


@pytest.mark.parametrize(
    ("size", "scale_out", "why"),
    [
        (61_000.0, 10.0, "more than 10 times the largest measured size (6,000)"),
        (6000.0, 102.0, "more than 10 times the largest measured scale-out (10)"),
        (98.0, 10.0, "less than a 10th of the smallest measured size (1,000)"),
    ],
)
def test_nothing_is_predicted_beyond_10_times_what_was_measured(size: float, scale_out: float, why: str) -> None:
    assert fit(runs()).predict(size, scale_out).why_none == why


def test_ten_times_what_was_measured_is_predicted() -> None:
    prediction = fit(runs()).predict(60_000.0, 100.0)
    assert prediction.seconds == pytest.approx(true_seconds(60_000.0, 100.0), rel=1e-5)


def covers(model: RuntimeModel, size: float, scale_out: float, seed: int, noise: float) -> bool:
    """Whether the interval contains a new run."""
    new = true_seconds(size, scale_out) * math.exp(noise * np.random.default_rng([seed, 1]).standard_normal())
    interval = model.predict(size, scale_out).interval
    assert interval is not None
    return interval.low <= new <= interval.high


def test_intervals_contain_nine_runs_in_ten() -> None:
    """They contain more if the terms are exactly right. `test_plan_bench` has real jobs, which deviate."""
    places = [(3000.0, 6.0), (6000.0, 12.0), (12_000.0, 10.0), (12_000.0, 20.0)]
    models = [(seed, fit(runs(noise=0.05, seed=seed))) for seed in range(60)]
    contained = [covers(model, *place, seed, 0.05) for seed, model in models for place in places]
    assert 0.87 <= np.mean(contained) <= 0.98


def test_runs_that_differ_too_much_for_an_interval_give_no_prediction() -> None:
    made = [fit(runs(scale_outs=(2.0,), noise=1.5, seed=seed)).predict(2 * max(SIZES), 2.0) for seed in range(10)]
    refused = [each for each in made if each.seconds is None]
    assert refused
    assert all(each.why_none.startswith("the measured runs differ too much for an interval") for each in refused)
    assert all(each.interval.high < 1e6 * each.seconds for each in made if each.interval and each.seconds)


def test_an_interval_widens_with_noise_and_distance() -> None:
    def width(noise: float, size: float, scale_out: float) -> float:
        interval = fit(runs(noise=noise)).predict(size, scale_out).interval
        assert interval is not None
        return math.log(interval.high / interval.low)

    assert width(0.04, 3000.0, 6.0) > 2 * width(0.01, 3000.0, 6.0)
    assert width(0.04, 20_000.0, 40.0) > 1.2 * width(0.04, 3000.0, 6.0)


def test_with_few_configurations_the_interval_is_wide_and_says_so() -> None:
    few, many = (fit(runs(SIZES[:1], range(2, 2 + count), 0.05)).predict(SIZES[0], 4.0) for count in (6, 7))
    assert few.caution == "the interval is wide: 6 of 7 configurations it needs"
    assert many.caution == ""
    models = [(seed, fit(runs(SIZES[:2], SCALE_OUTS[:2], 0.05, seed))) for seed in range(60)]
    assert np.mean([covers(model, 1500.0, 4.0, seed, 0.05) for seed, model in models]) >= 0.9


@pytest.mark.parametrize(("size", "scale_out"), [(6000.0, 12.0), (3000.0, 12.0), (6000.0, 6.0)])
def test_three_sizes_and_scale_outs_are_enough_for_twice_as_much(size: float, scale_out: float) -> None:
    models = [(seed, fit(runs(SIZES[:3], SCALE_OUTS[:3], 0.05, seed))) for seed in range(40)]
    assert np.mean([covers(model, size, scale_out, seed, 0.05) for seed, model in models]) >= 0.83


def test_what_the_terms_miss_on_some_nodes_is_corrected_there() -> None:
    """On 6 nodes, the job takes 10 % longer than the terms say, at every size."""
    measured = slower(runs(noise=0.005), 1.1, [(size, 6.0) for size in SIZES])
    at_measured, far = (fit(measured).predict(12_000.0, m) for m in (6.0, 60.0))
    assert at_measured.seconds == pytest.approx(1.1 * true_seconds(12_000.0, 6.0), rel=0.03)
    assert at_measured.interval is not None and far.interval is not None
    near, away = (math.log(each.high / each.low) for each in (at_measured.interval, far.interval))
    assert away > 2 * near


@pytest.mark.parametrize(
    "measured",
    [[], runs(SIZES[:1], SCALE_OUTS[:1]), runs(SIZES[:1], SCALE_OUTS[:1]) * 5],
    ids=["none", "one", "repeats"],
)
def test_one_configuration_is_not_enough(measured: list[Run]) -> None:
    count = len(set(measured))
    message = (
        f"needs at least 2 configurations within memory, and there are {count}: measure more sizes or scale-outs"
    )
    with pytest.raises(ConfigError, match=message):
        fit(measured)


@pytest.mark.parametrize(
    "run",
    [Run(0.0, 2.0, 1.0), Run(1.0, 0.5, 1.0), Run(1.0, 2.0, 0.0), Run(1.0, 2.0, -1.0), Run(1.0, 2.0, math.nan)],
    ids=str,
)
def test_impossible_runs_are_refused(run: Run) -> None:
    with pytest.raises(
        ConfigError, match="is impossible: size and seconds must be above 0, and the scale-out at least"
    ):
        fit([*runs(), run])


def test_an_impossible_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="a run of size -1 at scale-out 4"):
        fit(runs()).predict(-1.0, 4.0)
