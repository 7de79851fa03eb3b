"""TPE is the same in both libraries as far as its numbers go, and trials are kept running."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hyperopt import Trials, tpe

from workloads.tuning import search as searching
from workloads.tuning.gradient_boosting import TuningBoostingParams
from workloads.tuning.search import GAMMA, Optuna, good_trials, search, search_by_hyperopt
from workloads.tuning.space import Parameters, Range
from workloads.tuning.trials import TrialResult

SPACE = {"x": Range(low=-5.0, high=5.0), "y": Range(low=1e-3, high=1.0, scale="log")}


def answer(loss: float, outcome: Any = "ok") -> TrialResult:
    now = time.time()
    return TrialResult(loss, outcome, None, now - 0.001, now, "here/1", "", None)


def bowl(parameters: Parameters) -> TrialResult:
    """Its least loss is 0, at x = 1 and y = 0.1."""
    return answer((parameters["x"] - 1) ** 2 + np.log10(parameters["y"] / 0.1) ** 2)


@pytest.mark.parametrize("trials", [1, 2, 10, 17, 100, 10_001])
def test_both_libraries_take_as_many_trials_as_good(trials: int) -> None:
    numbers, losses = np.arange(trials), np.random.default_rng(0).normal(size=trials)
    below, above = tpe.ap_split_trials(numbers, losses, numbers, losses, GAMMA)
    assert len(below) == good_trials(trials)
    assert len(below) + len(above) == trials


def test_tpe_of_both_libraries_finds_what_random_search_does_not() -> None:
    """In 60 trials, by the median of five seeds."""

    def best(sampler: Any) -> float:
        found = search(sampler, lambda values, _: done(bowl(values)), 1, 60)
        return min(trial.loss for trial in found)

    def best_of_hyperopt(seed: int) -> float:
        params = TuningBoostingParams(trials=60, sampler_seed=seed).model_copy(update={"space": SPACE})
        found = search_by_hyperopt(bowl, params, Trials())
        return min(trial.loss for trial in found)

    seeds = range(5)
    randomly = np.median([best(Optuna(SPACE, seed, None)) for seed in seeds])
    assert np.median([best(Optuna(SPACE, seed, 10)) for seed in seeds]) < randomly / 2
    assert np.median([best_of_hyperopt(seed) for seed in seeds]) < randomly / 2


def done(found: TrialResult) -> "Future[TrialResult]":
    future: Future[TrialResult] = Future()
    future.set_result(found)
    return future


def test_so_many_run_at_once_each_in_a_place_of_its_own() -> None:
    taken: set[int] = set()
    most, lock = 0, threading.Lock()

    def trial(parameters: Parameters, place: int) -> TrialResult:
        nonlocal most
        with lock:
            assert place not in taken
            taken.add(place)
            most = max(most, len(taken))
        time.sleep(0.01)
        with lock:
            taken.remove(place)
        return bowl(parameters)

    with ThreadPoolExecutor(8) as threads:
        found = search(Optuna(SPACE, 0, 5), lambda values, place: threads.submit(trial, values, place), 3, 30)
    assert most == 3
    assert (
        sorted(trial.number for trial in found) == list(range(30)) == list(range(len({t.parameters for t in found})))
    )
    assert taken == set()


def test_failed_trials_are_of_infinite_loss_and_the_search_goes_on() -> None:
    def half(parameters: Parameters) -> TrialResult:
        return bowl(parameters) if parameters["x"] > 0 else answer(float("inf"), "failed")

    found = search(Optuna(SPACE, 0, 5), lambda values, _: done(half(values)), 1, 30)
    params = TuningBoostingParams(trials=30).model_copy(update={"space": SPACE})
    others = search_by_hyperopt(half, params, Trials())
    for trials in (found, others):
        assert len(trials) == 30
        assert 0 < sum(trial.outcome == "failed" for trial in trials) < 25
        assert all((trial.loss == float("inf")) == (trial.outcome == "failed") for trial in trials)


def test_a_time_of_hyperopts_is_utc() -> None:
    """It has no zone, and this machine may have another one."""
    params = TuningBoostingParams(trials=3).model_copy(update={"space": SPACE})
    found = search_by_hyperopt(bowl, params, Trials())
    assert all(abs(trial.told) < 60 for trial in found)
    assert searching.MOST_GOOD == 25
