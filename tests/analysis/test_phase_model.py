"""The model of phases and iterations: it beats the total where phases differ, and falls back to the total."""

import dataclasses
import math

import numpy as np
import pytest

from sparkscale.analysis.questions.phase_model import PhasedRun, PhaseModel, fit_phases
from sparkscale.analysis.questions.runtime_model import Run, fit
from sparkscale.contract.errors import ConfigError

PLACES = [(size, m) for size in (1000.0, 2000.0, 4000.0, 8000.0) for m in (1.0, 2.0, 4.0, 8.0)]


def run(size: float, m: float, noise: float = 0.0, seed: int = 0) -> PhasedRun:
    """A run whose loading scales, and whose iterations grow with the root of the size and pay for each node."""
    load, fitting = np.exp(noise * np.random.default_rng([seed, int(size), int(m)]).standard_normal(2))
    iterations = round(100 * math.sqrt(size / 1000))
    phases = {
        "load": float(load) * (1 + 0.003 * size / m),
        "fit": float(fitting) * iterations * (0.02 + 0.0001 * size / m + 0.004 * m),
    }
    return PhasedRun(size, m, phases, float(iterations))


def runs(noise: float = 0.02, seed: int = 0) -> list[PhasedRun]:
    return [run(*place, noise, seed) for place in PLACES]


def test_iterations_that_grow_with_the_size_are_predicted() -> None:
    model = fit_phases(runs(0.0))
    assert model.iterations is not None and model.why_total == ""
    assert model.iterations(16_000.0) == pytest.approx(400, rel=0.01)
    assert model.predict(16_000.0, 16.0).seconds == pytest.approx(run(16_000.0, 16.0).seconds, rel=0.01)


def test_constant_iterations_stay_constant() -> None:
    constant = [dataclasses.replace(each, iterations=20.0) for each in runs()]
    model = fit_phases(constant)
    assert model.iterations is None or model.iterations(64_000.0) == pytest.approx(20.0)


def error(model: PhaseModel, seed: int) -> tuple[float, float, bool]:
    """The errors of the phases and of the total for twice the size, and whether the interval has the new run."""
    new = run(16_000.0, 16.0, 0.02, seed).seconds
    by_phases, by_total = model.predict(16_000.0, 16.0), model.total.predict(16_000.0, 16.0)
    assert by_phases.seconds is not None and by_phases.interval is not None and by_total.seconds is not None
    low, high = by_phases.interval.low, by_phases.interval.high
    return abs(by_phases.seconds / new - 1), abs(by_total.seconds / new - 1), low <= new <= high


def test_phases_and_iterations_predict_better_than_the_total() -> None:
    errors = [error(fit_phases(runs(seed=seed)), seed) for seed in range(25)]
    by_phases, by_total, is_covered = np.mean(errors, axis=0)
    assert by_phases < 0.6 * by_total
    assert is_covered >= 0.85


def without_load(each: PhasedRun) -> PhasedRun:
    return dataclasses.replace(each, phases={"fit": each.seconds})


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        ([*runs()[:-1], without_load(runs()[-1])], "not all runs know all phases: only fit in all of them"),
        (
            [dataclasses.replace(each, phases={**each.phases, "layout": 0.0}) for each in runs()],
            "a phase took no time",
        ),
        (runs()[:2], "too few configurations"),
    ],
    ids=["unknown", "no time", "few"],
)
def test_it_falls_back_to_the_total(measured: list[PhasedRun], why: str) -> None:
    model = fit_phases(measured)
    assert model.phases == {} and model.why_total.startswith(why)
    total = fit([Run(each.size, each.scale_out, each.seconds) for each in measured])
    assert model.predict(2000.0, 1.0) == total.predict(2000.0, 1.0)


def test_what_the_total_refuses_is_refused() -> None:
    prediction = fit_phases(runs()).predict(1e6, 4.0)
    assert prediction.seconds is None
    assert prediction.why_none == "more than 10 times the largest measured size (8,000)"


def test_impossible_runs_are_refused() -> None:
    with pytest.raises(ConfigError, match="is impossible"):
        fit_phases([*runs(), PhasedRun(1000.0, 2.0, {"fit": -1.0})])
