"""Runs searches. Either our loop calls a sampler's `ask` and `tell`, or hyperopt runs its own loop.

`ask` returns the next configuration, and `tell` takes the result of a configuration.

The sampler TPE (tree-structured Parzen estimator) works in the same way in Optuna and in hyperopt. Both libraries
begin with the same number of random configurations. Both count the best min(ceil(GAMMA·sqrt(n)), MOST_GOOD) of n
configurations as good (hyperopt's rule). Both consider CANDIDATES values for each parameter, and give a failed
configuration an infinite loss.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import UTC
from typing import Any, Protocol

import numpy as np

from sparkscale.contract.phrases import MOST_OF_AN_ERROR
from workloads.tuning.pattern import TuningParams
from workloads.tuning.space import Parameters, Space, configurations, for_hyperopt, for_optuna, grid
from workloads.tuning.trials import Trial, TrialResult, trial_of

GAMMA = 0.25
MOST_GOOD = 25
CANDIDATES = 24


def good_trials(trials: int) -> int:
    """Returns the number of good trials for TPE, out of `trials` trials (hyperopt.tpe.ap_split_trials)."""
    return min(math.ceil(GAMMA * math.sqrt(trials)), MOST_GOOD)


class Sampler(Protocol):
    """Chooses configurations. `ask` returns the next configuration, or None if there are no more.

    Each configuration and its result are passed to `tell` once, in any order.
    """

    def ask(self) -> Parameters | None: ...

    def tell(self, parameters: Parameters, result: TrialResult) -> None: ...


class Grid:
    """Chooses every point of a grid, in order."""

    def __init__(self, space: Space, most: int) -> None:
        self._remaining: Iterator[Parameters] = configurations(grid(space, most))

    def ask(self) -> Parameters | None:
        return next(self._remaining, None)

    def tell(self, parameters: Parameters, result: TrialResult) -> None:
        """Does nothing, because a grid does not learn from results."""


class Optuna:
    """Optuna's TPE sampler. If `random_starts` is None, Optuna's random sampler is used instead."""

    def __init__(self, space: Space, seed: int, random_starts: int | None) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler: Any = optuna.samplers.RandomSampler(seed)
        if random_starts is not None:
            with warnings.catch_warnings():
                # Optuna 6.0 removes `gamma`
                warnings.filterwarnings("ignore", "`gamma` has been deprecated", FutureWarning)
                sampler = optuna.samplers.TPESampler(
                    n_startup_trials=random_starts, n_ei_candidates=CANDIDATES, gamma=good_trials, seed=seed
                )
        self._study = optuna.create_study(sampler=sampler)
        self._distributions = for_optuna(space)
        self._open_trials: dict[int, Any] = {}

    def ask(self) -> Parameters:
        trial = self._study.ask(self._distributions)
        parameters = dict(trial.params)
        self._open_trials[id(parameters)] = trial
        return parameters

    def tell(self, parameters: Parameters, result: TrialResult) -> None:
        self._study.tell(self._open_trials.pop(id(parameters)), result.loss)


def search(
    sampler: Sampler, submit: Callable[[Parameters, int], "Future[TrialResult]"], at_once: int, count: int
) -> list[Trial]:
    """Runs `count` trials, `at_once` at a time. Returns the trials in the order in which they ended.

    The search ends earlier if the sampler has no more configurations. `submit` starts a trial from a configuration
    and a place. The place is a number below `at_once` that no other running trial has.
    """
    began = time.time()
    running: dict[Future[TrialResult], tuple[int, int, float]] = {}
    places = list(range(at_once))
    trials: list[Trial] = []
    submitted: list[Parameters] = []
    exhausted = False
    while running or not exhausted:
        while not exhausted and len(running) < at_once:
            parameters = sampler.ask() if len(submitted) < count else None
            if parameters is None:
                exhausted = True
            else:
                place, asked = places.pop(), time.time()
                running[submit(parameters, place)] = len(submitted), place, asked
                submitted.append(parameters)
        for done in wait(running, return_when=FIRST_COMPLETED).done:
            told = time.time()
            number, place, asked = running.pop(done)
            places.append(place)
            result = done.result()
            sampler.tell(submitted[number], result)
            trials.append(trial_of(number, submitted[number], result, asked, told, began))
    return trials


def tpe_of_hyperopt(random_starts: int) -> Any:
    """Returns hyperopt's TPE: the function that `fmin` calls for the next configuration."""
    from functools import partial

    from hyperopt import tpe

    return partial(tpe.suggest, n_startup_jobs=random_starts, gamma=GAMMA, n_EI_candidates=CANDIDATES)


def search_by_hyperopt(
    evaluate: Callable[[Parameters], TrialResult], params: TuningParams, trials: Any
) -> list[Trial]:
    """Runs a search with hyperopt's `fmin`, and returns the trials. `trials` is hyperopt's Trials or SparkTrials.

    hyperopt itself records when it asked for a trial (`book_time`) and when it learned the result
    (`refresh_time`).
    """
    from hyperopt import STATUS_OK, fmin

    def objective(drawn: Parameters) -> dict[str, Any]:
        values = {name: getattr(value, "item", lambda value=value: value)() for name, value in drawn.items()}
        result = evaluate(values)
        return {"status": STATUS_OK, "loss": result.loss, "values": values, "result": tuple(result)}

    began = time.time()
    fmin(
        objective,
        for_hyperopt(params.space),
        algo=tpe_of_hyperopt(params.random_starts),
        max_evals=params.trials,
        trials=trials,
        rstate=np.random.default_rng(params.sampler_seed),
        verbose=False,
        show_progressbar=False,
        return_argmin=False,
    )
    rows = []
    for number, trial in enumerate(trials.trials):
        returned = trial["result"]
        booked, refreshed = (trial[name].replace(tzinfo=UTC).timestamp() for name in ("book_time", "refresh_time"))
        result = TrialResult(*returned["result"]) if "result" in returned else lost(trial, booked, refreshed)
        rows.append(trial_of(number, returned.get("values", {}), result, booked, refreshed, began))
    return rows


def lost(trial: Any, booked: float, refreshed: float) -> TrialResult:
    """Returns a failed result for a trial that returned none, because its Spark task failed.

    `booked` and `refreshed` are hyperopt's times of the trial.
    """
    error = "; ".join(map(str, trial["misc"].get("error", ("its Spark task failed",))))[:MOST_OF_AN_ERROR]
    return TrialResult(math.inf, "failed", error, booked, refreshed, "", "", None)
