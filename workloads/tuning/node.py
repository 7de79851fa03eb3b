"""Engines that search on one node, with one trial at a time on all cores, or several at once on one core each."""

import os
import tempfile
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ClassVar

from sparkscale.contract.context import Context
from workloads.base import CPU_AND_GPU, NodeEngine
from workloads.tuning.pattern import Loaded, SingleNodeModels, TuningParams, written
from workloads.tuning.process import TrialProcess, run_trial
from workloads.tuning.search import Grid, Optuna, Sampler, search, search_by_hyperopt
from workloads.tuning.space import Parameters
from workloads.tuning.trials import Job, Trial, TrialResult


def devices_of(run: Context) -> list[str]:
    """Returns CUDA's names of the GPUs of this process. Returns one empty name if the process has no GPU."""
    if not run.gpus:
        return [""]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(number) for number in range(run.gpus)]


class OnNode(SingleNodeModels, NodeEngine):
    """Base of engines that search on one node. The data is in files that every process maps into memory."""

    devices = CPU_AND_GPU
    starts_processes = True
    at_once: ClassVar[bool] = False
    """If true, several trials run at the same time."""

    def spread(self, run: Context, split: Context) -> Job:
        threads = 1 if self.at_once else run.case.known_threads
        files = written(split, run.stack.enter_context(tempfile.TemporaryDirectory(prefix="trials-")))
        return self.job(split, threads, files)


class Serial(OnNode):
    """Base of engines that run one trial after the other, each on all cores."""

    def searched(self, run: Context, params: TuningParams, loaded: Loaded) -> list[Trial]:
        process = TrialProcess(loaded.rows)
        run.at_end(process.close)
        gpu = devices_of(run)[0]
        return self.one_by_one(params, lambda parameters: process.run(parameters, gpu))

    @abstractmethod
    def one_by_one(self, params: TuningParams, evaluate: Callable[[Parameters], TrialResult]) -> list[Trial]:
        """Runs the whole search. `evaluate` runs one trial."""


class GridSearch(Serial):
    """An exhaustive grid search, one trial after the other, each on all cores.

    Differs: tries the configurations of a grid in a fixed order, in which the last parameter changes first. So its
    best loss is meaningful only at the end of the search.
    """

    name = "grid"

    def one_by_one(self, params: TuningParams, evaluate: Callable[[Parameters], TrialResult]) -> list[Trial]:
        def submit(parameters: Parameters, place: int) -> "Future[TrialResult]":  # noqa: ARG001
            future: Future[TrialResult] = Future()
            future.set_result(evaluate(parameters))
            return future

        return search(Grid(params.space, params.trials), submit, 1, params.trials)


class Hyperopt(Serial):
    """hyperopt's TPE, one trial after the other, each on all cores."""

    name = "hyperopt"

    def one_by_one(self, params: TuningParams, evaluate: Callable[[Parameters], TrialResult]) -> list[Trial]:
        from hyperopt import Trials

        return search_by_hyperopt(evaluate, params, Trials())


class AtOnce(OnNode):
    """Base of engines that run several trials at once, in joblib's processes with one thread each.

    A sampler chooses the configurations (see `search`).
    """

    at_once = True

    @abstractmethod
    def sampler(self, params: TuningParams) -> Sampler:
        """Returns the sampler, which chooses the configurations."""

    def searched(self, run: Context, params: TuningParams, loaded: Loaded) -> list[Trial]:
        from joblib.externals.loky import ProcessPoolExecutor

        job: Job = loaded.rows
        at_once = params.parallelism or run.slots
        devices = devices_of(run)
        executor: Any = ProcessPoolExecutor(min(at_once, run.slots), timeout=None)
        run.at_end(lambda: executor.shutdown(wait=True, kill_workers=True))

        def submit(parameters: Parameters, place: int) -> "Future[TrialResult]":
            future: Future[TrialResult] = executor.submit(run_trial, job, parameters, devices[place % len(devices)])
            return future

        return search(self.sampler(params), submit, at_once, params.trials)


class RandomJoblib(AtOnce):
    """Random search (Optuna's random sampler), several trials at once on one core each, in processes of joblib."""

    name = "random-joblib"

    def sampler(self, params: TuningParams) -> Sampler:
        return Optuna(params.space, params.sampler_seed, None)


class OptunaJoblib(AtOnce):
    """Optuna's TPE, several trials at once on one core each, in processes of joblib."""

    name = "optuna-joblib"

    def sampler(self, params: TuningParams) -> Sampler:
        return Optuna(params.space, params.sampler_seed, params.random_starts)
