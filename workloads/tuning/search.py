"""Which configuration comes next, and how trials are kept running: samplers by ask and tell, and hyperopt's own loop.

TPE is aligned: both libraries begin with the same number of random configurations, take the best
min(ceil(GAMMA·sqrt(n)), 25) of n as good (hyperopt's rule), and look at CANDIDATES for each parameter. Failed
configurations are of an infinite loss to both.
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
from workloads.tuning.trials import Answer, Trial, trial_of

GAMMA = 0.25
MOST_GOOD = 25
CANDIDATES = 24


def good(trials: int) -> int:
    """How many of so many trials TPE takes as good (hyperopt.tpe.ap_split_trials)."""
    return min(math.ceil(GAMMA * math.sqrt(trials)), MOST_GOOD)


class Sampler(Protocol):
    """`ask` names the next configuration, None when there are no more; each is told once, in any order."""

    def ask(self) -> Parameters | None: ...

    def tell(self, parameters: Parameters, answer: Answer) -> None: ...


class Grid:
    """Every point of a grid, in order."""

    def __init__(self, space: Space, most: int) -> None:
        self._left: Iterator[Parameters] = configurations(grid(space, most))

    def ask(self) -> Parameters | None:
        return next(self._left, None)

    def tell(self, parameters: Parameters, answer: Answer) -> None:
        """It learns nothing."""


class Optuna:
    """Optuna's TPE, or its random sampler where `random_starts` is None."""

    def __init__(self, space: Space, seed: int, random_starts: int | None) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler: Any = optuna.samplers.RandomSampler(seed)
        if random_starts is not None:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "`gamma` has been deprecated", FutureWarning)  # it goes with 6.0
                sampler = optuna.samplers.TPESampler(
                    n_startup_trials=random_starts, n_ei_candidates=CANDIDATES, gamma=good, seed=seed
                )
        self._study = optuna.create_study(sampler=sampler)
        self._distributions = for_optuna(space)
        self._asked: dict[int, Any] = {}

    def ask(self) -> Parameters:
        trial = self._study.ask(self._distributions)
        parameters = dict(trial.params)
        self._asked[id(parameters)] = trial
        return parameters

    def tell(self, parameters: Parameters, answer: Answer) -> None:
        self._study.tell(self._asked.pop(id(parameters)), answer.loss)


def search(
    sampler: Sampler, submit: Callable[[Parameters, int], "Future[Answer]"], at_once: int, count: int
) -> list[Trial]:
    """Keeps so many trials running until there were `count`.

    `submit` is told a place, from 0 on, that no other running trial has.
    """
    began = time.time()
    running: dict[Future[Answer], tuple[int, int, float]] = {}
    places = list(range(at_once))
    trials: list[Trial] = []
    asked: list[Parameters] = []
    exhausted = False
    while running or not exhausted:
        while not exhausted and len(running) < at_once:
            parameters = sampler.ask() if len(asked) < count else None
            if parameters is None:
                exhausted = True
            else:
                place, when = places.pop(), time.time()
                running[submit(parameters, place)] = len(asked), place, when
                asked.append(parameters)
        for done in wait(running, return_when=FIRST_COMPLETED).done:
            told = time.time()
            number, place, when = running.pop(done)
            places.append(place)
            answer = done.result()
            sampler.tell(asked[number], answer)
            trials.append(trial_of(number, asked[number], answer, when, told, began))
    return trials


def tpe_of_hyperopt(random_starts: int) -> Any:
    """What `fmin` calls for the next configuration."""
    from functools import partial

    from hyperopt import tpe

    return partial(tpe.suggest, n_startup_jobs=random_starts, gamma=GAMMA, n_EI_candidates=CANDIDATES)


def search_by_hyperopt(evaluate: Callable[[Parameters], Answer], params: TuningParams, trials: Any) -> list[Trial]:
    """`fmin` with these trials (hyperopt.Trials or SparkTrials): as `search`.

    The times of asking and telling are hyperopt's own: when it booked a trial, and refreshed it with a result.
    """
    from hyperopt import STATUS_OK, fmin

    def objective(drawn: Parameters) -> dict[str, Any]:
        values = {name: getattr(value, "item", lambda value=value: value)() for name, value in drawn.items()}
        answer = evaluate(values)
        return {"status": STATUS_OK, "loss": answer.loss, "values": values, "answer": tuple(answer)}

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
    found = []
    for number, trial in enumerate(trials.trials):
        result = trial["result"]
        booked, refreshed = (trial[name].replace(tzinfo=UTC).timestamp() for name in ("book_time", "refresh_time"))
        answer = Answer(*result["answer"]) if "answer" in result else lost(trial, booked, refreshed)
        found.append(trial_of(number, result.get("values", {}), answer, booked, refreshed, began))
    return found


def lost(trial: Any, booked: float, refreshed: float) -> Answer:
    """Of a trial whose Spark task failed, with its executor, say."""
    error = "; ".join(map(str, trial["misc"].get("error", ("its Spark task failed",))))[:MOST_OF_AN_ERROR]
    return Answer(math.inf, "failed", error, booked, refreshed, "", "", None)
