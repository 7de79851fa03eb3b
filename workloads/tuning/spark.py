"""Engines that search on Spark: a trial a task, or a trial over the whole cluster."""

import logging
import os
import tempfile
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL
from sparkscale.contract.phrases import brief
from sparkscale.contract.record import TRIALS
from workloads.base import CPU_AND_GPU, SPARK_CONTEXT, SparkEngine
from workloads.libraries.tasks import SparkTasks, context_of
from workloads.quality.validation import validation_loss, with_params
from workloads.tuning.pattern import Loaded, SingleNodeModels, Spell, TuningEngine, TuningParams, Winner, written
from workloads.tuning.process import run_trial
from workloads.tuning.search import Optuna, search, search_by_hyperopt
from workloads.tuning.space import Parameters, configurations, grid
from workloads.tuning.trials import Answer, Job, Trial, failed, table_of, trial_of

log = logging.getLogger(__name__)

EVERYWHERE = "cluster"
"""Where a trial ran that had all of it."""


@dataclass(frozen=True)
class Shipped:
    """A job whose data Spark copies to each executor once, under these names."""

    job: Job
    names: tuple[str, str]
    bytes: int


class TrialsInTasks(SingleNodeModels, SparkEngine):
    """What trains single-node models in Spark's tasks, a thread each."""

    devices = CPU_AND_GPU
    trains_in_tasks = True
    keeps_processes = True
    starts_processes = True

    def spread(self, run: Context, split: Context) -> Shipped:
        # Spark wants to find them there as long as the session lives; they go with the worker's scratch
        paths = written(split, tempfile.mkdtemp(prefix="trials-"))
        run.spark.addArtifacts(*paths, file=True)
        job = self.job(split, run.case.threads, ("", ""))
        if run.case.device == "gpu":
            job = replace(job, bind_gpu=run.bind_gpu)
        first, second = (Path(path) for path in paths)
        return Shipped(job, (first.name, second.name), first.stat().st_size + second.stat().st_size)

    def for_winner(self, run: Context) -> Context:
        """On the driver, with as many cores as it may use of those that the cluster grants."""
        threads = min(run.cores, len(os.sched_getaffinity(0)))
        return run.with_case(threads=threads)

    def searched(self, run: Context, params: TuningParams, loaded: Loaded) -> list[Trial]:
        shipped: Shipped = loaded.rows
        found = self.in_tasks(run, params, shipped)
        copies = {trial.copy for trial in found if trial.copy}
        run.figure("bytes_shipped", shipped.bytes * len(copies))
        return found

    @abstractmethod
    def in_tasks(self, run: Context, params: TuningParams, shipped: Shipped) -> list[Trial]:
        """The whole search."""


class HyperoptSparkTrials(TrialsInTasks):
    """hyperopt's TPE with SparkTrials: a Spark job of one task for each trial, looked for once a second."""

    name = "hyperopt-sparktrials"
    needs = frozenset({SPARK_CONTEXT})

    def in_tasks(self, run: Context, params: TuningParams, shipped: Shipped) -> list[Trial]:
        from hyperopt import SparkTrials

        trials = SparkTrials(parallelism=params.parallelism or run.slots, spark_session=run.spark)
        return search_by_hyperopt(lambda parameters: in_task(shipped, parameters), params, trials)


class OptunaSpark(TrialsInTasks):
    """Optuna's TPE by ask and tell from a few driver threads: a Spark job of one task for each trial, the next one as
    soon as a trial is told.
    """

    name = "optuna-spark"

    def in_tasks(self, run: Context, params: TuningParams, shipped: Shipped) -> list[Trial]:
        at_once = params.parallelism or run.slots
        tasks = SparkTasks(run.spark)

        def ask_spark(parameters: Parameters) -> Answer:
            found: Answer = tasks.one(lambda values: in_task(shipped, values), parameters)
            return found

        sampler = Optuna(params.space, params.sampler_seed, params.random_starts)
        with ThreadPoolExecutor(at_once) as threads:
            return search(sampler, lambda values, _: threads.submit(ask_spark, values), at_once, params.trials)


def in_task(shipped: Shipped, parameters: Parameters) -> Answer:
    """A trial, in a Spark task."""
    from pyspark import SparkFiles

    first, second = (SparkFiles.get(name) for name in shipped.names)
    return run_trial(replace(shipped.job, data=(first, second)), parameters)


class OnCluster(TuningEngine, SparkEngine):
    """What trains MLlib's models, each over the whole cluster."""

    def spread(self, run: Context, split: Context) -> Any:  # noqa: ARG002
        engine: Any = self.model()
        return engine.load(split)


class HyperoptMLlib(OnCluster):
    """hyperopt's TPE, one MLlib model at a time over the whole cluster."""

    name = "hyperopt-mllib"

    def searched(self, run: Context, params: TuningParams, loaded: Loaded) -> list[Trial]:
        from hyperopt import Trials

        engine = self.model()

        def evaluate(parameters: Parameters) -> Answer:
            began = time.time()
            try:
                one = with_params(loaded.split, engine, params.model.changed(parameters))
                loss = cancelled_after(
                    run.spark, params.trial_deadline_seconds, lambda: validation_loss(one, engine, loaded.rows)
                )
            except TimeoutError:
                return failed("timeout", f"no model within {params.trial_deadline_seconds:g} s", began, EVERYWHERE)
            except Exception as problem:
                log.exception("a trial failed")
                return failed("failed", brief(problem), began, EVERYWHERE)
            return Answer(loss, "ok", None, began, time.time(), EVERYWHERE, "", None)

        return search_by_hyperopt(evaluate, params, Trials())


class MLlibCrossValidator(OnCluster):
    """MLlib's CrossValidator over the grid, several models at once (`parallelism`), each over the whole cluster.

    Differs: judges by three folds of the training rows, drawn at random, not by the validation part, so its losses
    are of other rows; compare the winners on the hold-out.
    """

    name = "mllib-crossvalidator"
    judges_on_split = False
    FOLDS = 3

    def prepare(self, run: Context) -> None:
        """It needs no validation part."""

    def load(self, run: Context) -> Loaded:
        engine: Any = self.model()
        return Loaded(run, engine.load(run))

    def tune(self, run: Context, loaded: Loaded) -> Winner:
        from pyspark.ml.tuning import CrossValidator

        params = self.params(run)
        engine: Any = self.model()
        points = list(configurations(grid(params.space, params.trials)))
        estimator = engine.made(run)
        maps = []
        for point in points:
            other = engine.made(with_params(run, engine, params.model.changed(point)))
            maps.append({estimator.getParam(p.name): v for p, v in other.extractParamMap().items() if other.isSet(p)})
        watched = Watched(estimator, len(points))
        validator = CrossValidator(
            estimator=watched.estimator,
            estimatorParamMaps=maps,
            evaluator=watched.evaluator(run),
            numFolds=self.FOLDS,
            parallelism=params.parallelism or run.slots,
            seed=run.case.model_seed,
        )
        began = time.time()
        found = validator.fit(engine.frame(loaded.rows))
        trials = watched.trials(points, found.avgMetrics, began)
        run.table(TRIALS, table_of(trials))
        return Winner(engine.finished(found.bestModel, loaded.rows), engine, trials, watched.spells)


class Watched:
    """Notes when CrossValidator trains and judges each configuration, which it does not tell itself."""

    def __init__(self, estimator: Any, configurations: int) -> None:
        self.spells: list[list[Spell]] = [[] for _ in range(configurations)]
        self._here = threading.local()
        self._inner = estimator.fitMultiple
        estimator.fitMultiple = lambda dataset, maps: Noting(self, self._inner(dataset, maps))
        self.estimator = estimator

    def trained(self, models: Iterator[tuple[int, Any]]) -> tuple[int, Any]:
        """The next model, by several threads at once; each judges what it has trained."""
        began = time.time()
        index, model = next(models)
        self._here.index, self._here.began = index, began
        return index, model

    def evaluator(self, run: Context) -> Any:
        """Log-loss or RMSE, in MLlib's words."""
        from pyspark.ml.evaluation import MulticlassClassificationEvaluator, RegressionEvaluator

        if run.data.task == "classification":
            found: Any = MulticlassClassificationEvaluator(labelCol=LABEL)
            found.setMetricName("logLoss")  # the constructor's type lacks it
        else:
            found = RegressionEvaluator(labelCol=LABEL, metricName="rmse")
        inner = found.evaluate

        def evaluate(dataset: Any, params: Any = None) -> Any:
            loss = inner(dataset, params)
            self.spells[self._here.index].append((self._here.began, time.time()))
            return loss

        found.evaluate = evaluate
        return found

    def trials(self, points: list[Parameters], losses: list[float], began: float) -> list[Trial]:
        """A row for each configuration, from the first fold's training to the last one's judgement."""
        found = []
        for number, (point, loss, spells) in enumerate(zip(points, losses, self.spells, strict=True)):
            start, end = spells[0][0], spells[-1][1]
            answer = Answer(float(loss), "ok", None, start, end, EVERYWHERE, "", None)
            found.append(trial_of(number, point, answer, None, end, began))
        return found


class Noting:
    """Iterates over fitted models; no generator, for several threads ask it at once."""

    def __init__(self, watched: Watched, models: Iterator[tuple[int, Any]]) -> None:
        self.watched = watched
        self.models = models

    def __iter__(self) -> "Noting":
        return self

    def __next__(self) -> tuple[int, Any]:
        return self.watched.trained(self.models)


def cancelled_after(spark: Any, seconds: float, work: Callable[[], float]) -> float:
    """What `work` returns, in a thread of its own, whose Spark jobs are cancelled when it takes longer.

    Raises TimeoutError then, and what `work` raises.
    """
    from pyspark import inheritable_thread_target

    tag, context = f"trial-{uuid4().hex}", context_of(spark)

    def tagged() -> float:
        if context is None:
            spark.addTag(tag)
        else:  # a session with tags of its own cannot be serialised, and closures of MLlib hold it (Spark 4.3)
            context.addJobTag(tag)
        return work()

    with ThreadPoolExecutor(1) as threads:
        # on Connect a thread has no session but what it inherits
        future = threads.submit(tagged if context else inheritable_thread_target(spark)(tagged))
        try:
            loss: float = future.result(timeout=seconds)
        except TimeoutError:
            while not future.done():
                (context.cancelJobsWithTag if context else spark.interruptTag)(tag)
                time.sleep(0.2)
            raise
        return loss
