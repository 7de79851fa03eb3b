"""The parallel-tuning pattern: its parameters and phases, the training of the winner, and the figures of a search."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self
from uuid import uuid4

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL
from sparkscale.contract.declared import Figure
from sparkscale.contract.errors import DatasetError, SparkscaleError
from sparkscale.contract.record import SCORES, TRIALS
from workloads.base import Engine, ModelEngine, ModelParams, Pattern, Quality
from workloads.data_parallel.pattern import InMemory
from workloads.io.filesystem import read_parquet
from workloads.quality.qualities import AUC, BY_LOG_LOSS, BY_RMSE, LOG_LOSS, R2, RMSE, SKILL
from workloads.quality.scoring import Scores, check_classes, classes, score_holdout
from workloads.quality.validation import validation_split, with_params
from workloads.tuning.space import Dimension, Range
from workloads.tuning.trials import Job, Trial, table_of

GIB = 2**30
Spell = tuple[float, float]
"""The times when work on a trial began and ended, in seconds from a moment that is the same for all trials."""


class AllTrialsFailed(SparkscaleError):
    """Raised if every trial of a search failed, so that no winner can be trained."""

    exit_code = 1


class TuningParams(ModelParams):
    """The parameters of every tuning workload.

    `model` holds the parameters of the model; a search changes those that `space` names. `target_loss` is a
    validation loss. Searches are compared by the time that they need to reach this loss.
    """

    trials: int = Field(default=24, ge=1)
    parallelism: int = Field(default=0, ge=0)
    """The number of trials that run at once; 0 means as many as there are slots."""
    random_starts: int = Field(default=8, ge=1)
    """The number of random configurations that are tried before TPE begins."""
    sampler_seed: int = Field(default=0, ge=0)
    trial_deadline_seconds: float = Field(default=60.0, gt=0)
    trial_memory_bytes: int = Field(default=2 * GIB, ge=1)
    """The memory limit of a trial's process."""
    target_loss: float | None = None
    space: dict[str, Dimension]

    @model_validator(mode="after")
    def _is_searchable(self) -> Self:
        if not self.space:
            raise ValueError("the space has no parameter")
        known = type(self.model).model_fields
        for name, dimension in self.space.items():
            if name not in known:
                raise ValueError(f"the space has an unknown parameter '{name}': choose from {', '.join(known)}")
            for value in _ends(dimension):
                try:
                    self.model.changed({name: value})
                except ValueError as problem:
                    raise ValueError(f"the space's '{name}' cannot be {value}") from problem
        return self


def _ends(dimension: Dimension) -> list[Any]:
    if isinstance(dimension, Range):
        return [dimension.value(number) for number in dimension.drawn]
    return list(dimension.choices)


FIGURES = (
    Figure(name="trials", unit="trials"),
    Figure(name="trials_failed", unit="trials", direction="lower"),
    Figure(
        name="trials_per_second",
        unit="1/s",
        direction="higher",
        summary="trials of a search over its seconds",
        metric=True,
    ),
    Figure(name="search_seconds", unit="s", direction="lower"),
    Figure(
        name="best_loss", unit="loss", direction="lower", summary="the least validation loss of a search", metric=True
    ),
    Figure(name="concurrency", unit="trials"),
    Figure(name="trial_seconds_median", unit="s", direction="lower"),
    Figure(
        name="dispatch_seconds_median",
        unit="s",
        direction="lower",
        summary="from asking for a trial to knowing its loss, without the trial",
        metric=True,
    ),
    Figure(
        name="seconds_to_target",
        unit="s",
        direction="lower",
        summary="seconds of a search until the target loss; none where it was not reached",
        metric=True,
        in_history=False,
    ),
    Figure(name="bytes_shipped", unit="bytes", direction="lower"),
)

TUNING = Pattern(
    name="tuning",
    phases=("load", "tune", "predict"),
    time_to_model=("load", "tune"),
    tables=(TRIALS, SCORES),
    target="target_loss",
    fixed_seeds=True,  # a target is valid for one validation part only, so rounds vary the sampler's seed instead
    report="tuning",
    figures=FIGURES,
    warmup={"trials": 2, "sampler_seed": 0, "target_loss": None},
)


@dataclass(frozen=True)
class Loaded:
    """The context with training and validation part, and the rows in the form that the engine's trials take."""

    split: Context
    rows: Any


@dataclass(frozen=True)
class Winner:
    """The result of a search: the trials, and the model of the best configuration, trained on all training rows."""

    model: Any
    engine: Any
    trials: list[Trial]
    spells: Sequence[Sequence[Spell]] | None = None
    """For each trial, the times when work on it began and ended. If None, work on a trial lasted from its start to
    its end."""


@dataclass(frozen=True)
class WinnerScores(Scores):
    """The winner's predictions, together with the trials of the search.

    `judged_on_split` is true if the losses of trials were computed on the validation part.
    """

    trials: list[Trial]
    spells: Sequence[Sequence[Spell]]
    judged_on_split: bool


class TuningEngine(ModelEngine):
    """An engine of this pattern: one way to search. `made_for` binds it to the model of the trials and the winner.

    A subclass defines `spread`, which gives trials access to the rows, and `searched`, which runs the trials.
    """

    judges_on_split: ClassVar[bool] = True
    """If true, the engine judges trials on the validation part, so its losses can be compared with those of other
    engines."""
    imports: ClassVar[tuple[str, ...]] = ()
    """The names of the modules that a process imports before it trains the model."""

    @classmethod
    def traits(cls) -> frozenset[str]:
        return super().traits() | ({"judges_on_split"} if cls.judges_on_split else frozenset())

    @classmethod
    def made_for(
        cls, kind: type[TuningParams], model: type[Engine], imports: tuple[str, ...] = ()
    ) -> "type[TuningEngine]":
        """Returns this engine bound to a workload's parameters and model."""
        return cls.specialised(model, model=model, kind=kind, imports=imports)

    split: Context
    """The context with the validation part as its hold-out. `prepare` sets this attribute."""

    def prepare(self, run: Context) -> None:
        """Makes the split. Raises DatasetError if the validation part has only one class."""
        self.split = validation_split(run)
        check_validation(self.split)

    def load(self, run: Context) -> Loaded:
        return Loaded(self.split, self.spread(run, self.split))

    def spread(self, run: Context, split: Context) -> Any:
        """Makes the rows of the training and the validation part available to the trials.

        Returns the object with which trials find the rows, such as a Job with the paths of files.
        """
        raise NotImplementedError

    def searched(self, run: Context, params: TuningParams, loaded: Loaded) -> list[Trial]:
        """Runs the whole search. Returns the trials."""
        raise NotImplementedError

    def tune(self, run: Context, loaded: Loaded) -> Winner:
        """Runs the search and trains the winner. Raises AllTrialsFailed if no trial has a loss."""
        params = self.params(run)
        trials = self.searched(run, params, loaded)
        run.table(TRIALS, table_of(trials))
        best = min(trials, key=lambda trial: trial.loss)
        if math.isinf(best.loss):
            raise AllTrialsFailed(f"All {len(trials)} trials failed; the first says: {trials[0].error}.")
        engine: Any = self.model()
        refitted = with_params(self.for_winner(run), engine, params.model.changed(best.configuration))
        return Winner(engine.fit(refitted, engine.load(refitted)), engine, trials)

    def for_winner(self, run: Context) -> Context:
        """Returns the context for training the winner and predicting with it."""
        return run

    def predict(self, run: Context, winner: Winner) -> WinnerScores:
        scores = winner.engine.predict(self.for_winner(run), winner.model)
        spells = winner.spells or [[(trial.start, trial.end)] for trial in winner.trials]
        return WinnerScores(scores.row, scores.score, winner.trials, spells, self.judges_on_split)


class SingleNodeModels(TuningEngine):
    """Base of engines that train single-node models in separate processes, on one node or in Spark tasks."""

    model: ClassVar[type[InMemory]]

    def job(self, split: Context, threads: int, data: tuple[str, str]) -> Job:
        """Returns the job for all processes that train trials."""
        params = self.params(split)
        context = replace(split.with_case(threads=threads), spark=None, stack=ExitStack(), figures={}, tables={})
        return Job(
            id=uuid4().hex,
            engine=self.model,
            params=params.model,
            run=context,
            data=data,
            imports=self.imports,
            deadline_seconds=params.trial_deadline_seconds,
            most_bytes=params.trial_memory_bytes,
        )


def check_validation(split: Context) -> None:
    """Raises DatasetError if the validation part has only one class, because then it cannot judge trials."""
    if split.data.task != "classification":
        return
    validation_classes = classes([split.data.holdout_path])
    if len(validation_classes) < 2:
        (only_class,) = validation_classes
        raise DatasetError(
            f"The validation part is all of class {only_class}, so no trial could be judged: measure a larger "
            "fraction."
        )


def written(split: Context, folder: str) -> tuple[str, str]:
    """Writes the training and the validation part as Arrow files. Returns their paths, in this order."""
    paths = []
    for name, sources in (("train", split.train_paths), ("validation", [split.data.holdout_path])):
        table = read_parquet(sources, [LABEL, *split.data.features]).combine_chunks()
        path = f"{folder}/{name}-{uuid4().hex}.arrow"
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        paths.append(path)
    return paths[0], paths[1]


def score(run: Context, scores: WinnerScores) -> dict[str, float]:
    """Returns the winner's qualities on the hold-out, and adds the figures of the search."""
    trials = scores.trials
    ok_trials = [trial for trial in trials if trial.outcome == "ok"]
    ended = max(trial.told for trial in trials)
    run.figure("trials", len(trials))
    run.figure("trials_failed", len(trials) - len(ok_trials))
    run.figure("trials_per_second", len(trials) / ended)
    run.figure("search_seconds", ended)
    run.figure("best_loss", min(trial.loss for trial in ok_trials))
    run.figure("concurrency", concurrency(scores.spells))
    trial_seconds = [
        sum(end - start for start, end in spells)
        for trial, spells in zip(trials, scores.spells, strict=True)
        if trial.outcome == "ok"
    ]
    run.figure("trial_seconds_median", float(np.median(trial_seconds)))
    dispatches = [trial.dispatch_seconds for trial in trials if trial.dispatch_seconds is not None]
    if dispatches:
        run.figure("dispatch_seconds_median", float(np.median(dispatches)))
    target = run.case.params["target_loss"]
    if target is not None and scores.judged_on_split:
        times_to_target = [trial.told for trial in ok_trials if trial.loss <= target]
        if times_to_target:
            run.figure("seconds_to_target", min(times_to_target))
    return score_holdout(run, scores)


def concurrency(spells: Sequence[Sequence[Spell]]) -> int:
    """Returns the largest number of trials that were in progress at the same time.

    `spells` holds, for each trial, the times when work on the trial began and ended (see `Spell`).
    """
    all_spells = [spell for spells_of_trial in spells for spell in spells_of_trial]
    events = sorted([(start, 1) for start, _ in all_spells] + [(end, -1) for _, end in all_spells])
    return int(np.cumsum([change for _, change in events]).max())


JUDGED = Quality(
    score,
    {"classification": BY_LOG_LOSS, "regression": BY_RMSE},
    (LOG_LOSS, AUC, RMSE, R2, SKILL),
    ("auc", "r2"),
    check_classes,
)
