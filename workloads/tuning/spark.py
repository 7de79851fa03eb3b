"""Engines that search on Spark. A trial is one Spark task, or it uses the whole cluster."""

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
from workloads.tuning.trials import Job, Trial, TrialResult, failed, table_of, trial_of

log = logging.getLogger(__name__)

EVERYWHERE = "cluster"
"""The value of `where` for a trial that ran on the whole cluster."""


@dataclass(frozen=True)
class Shipped:
    """A job, and the names of the job's two data files. Spark copies these files to each executor once.

    `bytes` is the size of both files together.
    """

    job: Job
    names: tuple[str, str]
    bytes: int


class TrialsInTasks(SingleNodeModels, SparkEngine):
    """Base of engines that train single-node models in Spark tasks, one thread each."""

    devices = CPU_AND_GPU
    trains_in_tasks = True
    keeps_processes = True
    starts_processes = True

    def spread(self, run: Context, split: Context) -> Shipped:
        # Spark needs these files as long as the session lives; they are removed with the worker's scratch folder
        paths = written(split, tempfile.mkdtemp(prefix="trials-"))
        run.spark.addArtifacts(*paths, file=True)
        job = self.job(split, run.case.known_threads, ("", ""))
        if run.case.device == "gpu":
            job = replace(job, bind_gpu=run.bind_gpu)
        first, second = (Path(path) for path in paths)
        return Shipped(job, (first.name, second.name), first.stat().st_size + second.stat().st_size)

    def for_winner(self, run: Context) -> Context:
        """Returns the context for training the winner on the driver, with the cores that the driver may use."""
        threads = min(run.cores, len(os.sched_getaffinity(0)))
        return run.with_case(threads=threads)

    def searched(self, run: Context, params: TuningParams, loaded: Loaded) -> list[Trial]:
        shipped: Shipped = loaded.rows
        trials = self.in_tasks(run, params, shipped)
        copies = {trial.copy for trial in trials if trial.copy}
        run.figure("bytes_shipped", shipped.bytes * len(copies))
        return trials

    @abstractmethod
    def in_tasks(self, run: Context, params: TuningParams, shipped: Shipped) -> list[Trial]:
        """Runs the whole search. Returns its trials."""


class HyperoptSparkTrials(TrialsInTasks):
    """hyperopt's TPE with SparkTrials. Each trial is a Spark job with one task.

    SparkTrials looks for results once a second.
    """

    name = "hyperopt-sparktrials"
    needs = frozenset({SPARK_CONTEXT})

    def in_tasks(self, run: Context, params: TuningParams, shipped: Shipped) -> list[Trial]:
        from hyperopt import SparkTrials

        trials = SparkTrials(parallelism=params.parallelism or run.slots, spark_session=run.spark)
        return search_by_hyperopt(lambda parameters: in_task(shipped, parameters), params, trials)


class OptunaSpark(TrialsInTasks):
    """Optuna's TPE in the driver, with a thread for each running trial. Each trial is a Spark job with one task.

    As soon as the loss of a trial is known, the next job starts.
    """

    name = "optuna-spark"

    def in_tasks(self, run: Context, params: TuningParams, shipped: Shipped) -> list[Trial]:
        at_once = params.parallelism or run.slots
        tasks = SparkTasks(run.spark)

        def ask_spark(parameters: Parameters) -> TrialResult:
            result: TrialResult = tasks.run_one(lambda values: in_task(shipped, values), parameters)
            return result

        sampler = Optuna(params.space, params.sampler_seed, params.random_starts)
        with ThreadPoolExecutor(at_once) as threads:
            return search(sampler, lambda values, _: threads.submit(ask_spark, values), at_once, params.trials)


def in_task(shipped: Shipped, parameters: Parameters) -> TrialResult:
    """Runs a trial in a Spark task."""
    from pyspark import SparkFiles

    first, second = (SparkFiles.get(name) for name in shipped.names)
    return run_trial(replace(shipped.job, data=(first, second)), parameters)


class OnCluster(TuningEngine, SparkEngine):
    """Base of engines that train MLlib's models. Each model is trained over the whole cluster."""

    def spread(self, run: Context, split: Context) -> Any:  # noqa: ARG002
        engine: Any = self.model()
        return engine.load(split)


class HyperoptMLlib(OnCluster):
    """hyperopt's TPE with one MLlib model at a time, over the whole cluster."""

    name = "hyperopt-mllib"

    def searched(self, run: Context, params: TuningParams, loaded: Loaded) -> list[Trial]:
        from hyperopt import Trials

        engine = self.model()

        def evaluate(parameters: Parameters) -> TrialResult:
            began = time.time()
            try:
                trial_context = with_params(loaded.split, engine, params.model.changed(parameters))
                loss = cancelled_after(
                    run.spark,
                    params.trial_deadline_seconds,
                    lambda: validation_loss(trial_context, engine, loaded.rows),
                )
            except TimeoutError:
                return failed("timeout", f"no model within {params.trial_deadline_seconds:g} s", began, EVERYWHERE)
            except Exception as problem:
                log.exception("a trial failed")
                return failed("failed", brief(problem), began, EVERYWHERE)
            return TrialResult(loss, "ok", None, began, time.time(), EVERYWHERE, "", None)

        return search_by_hyperopt(evaluate, params, Trials())


class MLlibCrossValidator(OnCluster):
    """MLlib's CrossValidator over a grid, with several models at once, each over the whole cluster.

    Differs: judges trials on three random folds of the training rows, not on the validation part. So its losses
    cannot be compared with the losses of other engines. Compare the winners on the hold-out.
    """

    name = "mllib-crossvalidator"
    judges_on_split = False
    FOLDS = 3

    def prepare(self, run: Context) -> None:
        """Does nothing, because CrossValidator needs no validation part."""

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
            configured = engine.made(with_params(run, engine, params.model.changed(point)))
            values = configured.extractParamMap().items()
            maps.append({estimator.getParam(p.name): v for p, v in values if configured.isSet(p)})
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
        fitted = validator.fit(engine.frame(loaded.rows))
        trials = watched.trials(points, fitted.avgMetrics, began)
        run.table(TRIALS, table_of(trials))
        return Winner(engine.finished(fitted.bestModel, loaded.rows), engine, trials, watched.spells)


class Watched:
    """Records the times when CrossValidator trains and judges each configuration.

    CrossValidator does not report these times.
    """

    def __init__(self, estimator: Any, configurations: int) -> None:
        self.spells: list[list[Spell]] = [[] for _ in range(configurations)]
        self._of_thread = threading.local()
        self._inner = estimator.fitMultiple
        estimator.fitMultiple = lambda dataset, maps: RecordedModels(self, self._inner(dataset, maps))
        self.estimator = estimator

    def trained(self, models: Iterator[tuple[int, Any]]) -> tuple[int, Any]:
        """Returns the next model and its index.

        Several threads call this; each thread then judges the model that it got.
        """
        began = time.time()
        index, model = next(models)
        self._of_thread.index, self._of_thread.began = index, began
        return index, model

    def evaluator(self, run: Context) -> Any:
        """Returns MLlib's evaluator of log-loss or RMSE, which also records the time of work on each model."""
        from pyspark.ml.evaluation import MulticlassClassificationEvaluator, RegressionEvaluator

        if run.data.task == "classification":
            evaluator: Any = MulticlassClassificationEvaluator(labelCol=LABEL)
            evaluator.setMetricName("logLoss")  # the type of the constructor does not know logLoss
        else:
            evaluator = RegressionEvaluator(labelCol=LABEL, metricName="rmse")
        inner = evaluator.evaluate

        def evaluate(dataset: Any, params: Any = None) -> Any:
            loss = inner(dataset, params)
            self.spells[self._of_thread.index].append((self._of_thread.began, time.time()))
            return loss

        evaluator.evaluate = evaluate
        return evaluator

    def trials(self, points: list[Parameters], losses: list[float], began: float) -> list[Trial]:
        """Returns one trial for each configuration. `began` is the time when the search began.

        A trial lasts from the first training of its configuration to the last judgement.
        """
        trials = []
        for number, (point, loss, spells) in enumerate(zip(points, losses, self.spells, strict=True)):
            start, end = spells[0][0], spells[-1][1]
            result = TrialResult(float(loss), "ok", None, start, end, EVERYWHERE, "", None)
            trials.append(trial_of(number, point, result, None, end, began))
        return trials


class RecordedModels:
    """An iterator over fitted models. It is not a generator, because several threads call it at once."""

    def __init__(self, watched: Watched, models: Iterator[tuple[int, Any]]) -> None:
        self.watched = watched
        self.models = models

    def __iter__(self) -> "RecordedModels":
        return self

    def __next__(self) -> tuple[int, Any]:
        return self.watched.trained(self.models)


def cancelled_after(spark: Any, seconds: float, work: Callable[[], float]) -> float:
    """Runs `work` in a new thread and returns its result. Errors of `work` are raised.

    If `work` takes longer than `seconds`, its Spark jobs are cancelled and TimeoutError is raised.
    """
    from pyspark import inheritable_thread_target

    tag, context = f"trial-{uuid4().hex}", context_of(spark)

    def tagged() -> float:
        if context is None:
            spark.addTag(tag)
        else:  # a session with tags cannot be serialised, and closures of MLlib hold the session (Spark 4.3)
            context.addJobTag(tag)
        return work()

    with ThreadPoolExecutor(1) as threads:
        # with Connect, a thread has a Spark session only if it inherits one
        future = threads.submit(tagged if context else inheritable_thread_target(spark)(tagged))
        try:
            loss: float = future.result(timeout=seconds)
        except TimeoutError:
            while not future.done():
                (context.cancelJobsWithTag if context else spark.interruptTag)(tag)
                time.sleep(0.2)
            raise
        return loss
