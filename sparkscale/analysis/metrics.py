"""The metric registry: every figure of one case, as a function of its records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from sparkscale.contract.record import RunRecord
from workloads import registry

Samples = Callable[[Sequence[RunRecord]], list[float]]
Direction = Literal["lower", "higher"]


@dataclass(frozen=True)
class Metric:
    """`samples` maps the records of one case to one number per execution that counts for it.

    `version` rises when the numbers stop being comparable with earlier ones. `patterns` are those whose records can
    carry it; empty: all.
    """

    name: str
    unit: str
    direction: Direction
    version: int
    summary: str
    samples: Samples
    patterns: tuple[str, ...] = ()


def timed(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Executions whose seconds count: ok, warm, and on the same executors from beginning to end."""
    return [r for r in records if r.outcome == "ok" and r.temperature == "warm" and not lost_executors(r)]


def lost_executors(record: RunRecord) -> int:
    """How many executors went away while the case ran: Spark did their work again, which is no time of the case."""
    return record.spark.executors_lost if record.spark else 0


def scored(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Executions whose quality counts: ok, warm or cold alike, for a model is no better for being cold."""
    return [record for record in records if record.outcome == "ok" and not record.is_warmup]


def time_to_model(record: RunRecord) -> float:
    """Seconds of the phases by which the pattern compares its engines (data-parallel: load + fit)."""
    pattern = registry.patterns()[record.case.pattern]
    return sum(record.seconds[phase] for phase in pattern.time_to_model)


def first_run(record: RunRecord) -> float | None:
    """Seconds that a one-off job pays: its worker's start, with Spark's session, and its time to model.

    None unless the execution was ok and the first in its worker, and in records from before starts were observed.
    """
    first = record.isolated and record.temperature == "cold" and not lost_executors(record)
    if record.outcome != "ok" or not first or record.start_seconds is None:
        return None
    return record.start_seconds + time_to_model(record)


def rows_per_second(record: RunRecord) -> float:
    """Rows of the case over its time to model: in inference, of those that a model was applied to."""
    return record.case.rows / time_to_model(record)


def time_with_layout(record: RunRecord) -> float:
    """Seconds of layout + load + fit, of a pattern that has a layout: what it costs to use one once."""
    return time_to_model(record) + record.seconds["layout"]


def _phase(name: str) -> Metric:
    def samples(records: Sequence[RunRecord]) -> list[float]:
        return [record.seconds[name] for record in timed(records) if name in record.seconds]

    patterns = tuple(pattern.name for pattern in registry.patterns().values() if name in pattern.phases)
    return Metric(f"seconds_{name}", "s", "lower", 1, f"seconds of the phase `{name}`", samples, patterns)


def _quality(
    name: str, unit: str, summary: str, value: Callable[[dict[str, float]], float | None], patterns: tuple[str, ...]
) -> Metric:
    def samples(records: Sequence[RunRecord]) -> list[float]:
        values = [value(record.quality) for record in scored(records)]
        return [number for number in values if number is not None]

    return Metric(name, unit, "lower", 1, summary, samples, patterns)


def _figure(name: str, unit: str, summary: str, pattern: str, direction: Direction = "lower") -> Metric:
    def samples(records: Sequence[RunRecord]) -> list[float]:
        return [record.figures[name] for record in timed(records) if name in record.figures]

    return Metric(name, unit, direction, 1, summary, samples, (pattern,))


def _given(name: str) -> Callable[[dict[str, float]], float | None]:
    return lambda quality: quality.get(name)


def _loss_of(name: str) -> Callable[[dict[str, float]], float | None]:
    """One minus a quality of which more is better."""
    return lambda quality: 1 - quality[name] if name in quality else None


LEARNT = ("data_parallel", "tuning")
"""Patterns in which one model is scored on the hold-out."""


@cache
def metrics() -> dict[str, Metric]:
    """Every metric by name."""
    phases = dict.fromkeys(phase for pattern in registry.patterns().values() for phase in pattern.phases)
    found = [
        Metric(
            "time_to_model",
            "s",
            "lower",
            1,
            "seconds until a model stands: load + fit; what engines are compared by",
            lambda records: [time_to_model(record) for record in timed(records)],
        ),
        Metric(
            "time_with_layout",
            "s",
            "lower",
            1,
            "seconds until all groups have models, rows laid out by group included: layout + load + fit",
            lambda records: [time_with_layout(record) for record in timed(records) if "layout" in record.seconds],
            ("per_group",),
        ),
        Metric(
            "models_per_second",
            "1/s",
            "higher",
            1,
            "models of groups over the seconds of load + fit",
            lambda records: [
                record.figures["models"] / time_to_model(record)
                for record in timed(records)
                if "models" in record.figures
            ],
            ("per_group",),
        ),
        Metric(
            "rows_per_second",
            "1/s",
            "higher",
            1,
            "rows of the case over the seconds of load + fit, or load + predict",
            lambda records: [rows_per_second(record) for record in timed(records)],
        ),
        *(_phase(name) for name in phases),
        Metric(
            "seconds_per_million_rows",
            "s",
            "lower",
            1,
            "time to model over millions of training rows",
            lambda records: [time_to_model(r) / r.case.rows * 1e6 for r in timed(records)],
        ),
        Metric(
            "peak_memory",
            "bytes",
            "lower",
            1,
            "peak proportional set size of the process tree, from executions that had one of their own",
            lambda records: [
                float(record.resources.peak_pss_bytes)
                for record in records
                if record.outcome == "ok" and record.resources.peak_pss_bytes is not None
            ],
        ),
        _quality(
            "auc_loss", "1 - AUC", "one minus the area under the ROC curve on the hold-out", _loss_of("auc"), LEARNT
        ),
        _quality("log_loss", "nats", "mean negative log-likelihood on the hold-out", _given("log_loss"), LEARNT),
        _quality(
            "objective",
            "nats",
            "what a logistic regression minimises, per training row: how far its optimiser came",
            _given("objective"),
            ("data_parallel",),
        ),
        _quality("rmse", "label units", "root of the mean squared error on the hold-out", _given("rmse"), LEARNT),
        _quality(
            "r2_loss",
            "1 - R²",
            "mean squared error on the hold-out over the label's variance",
            _loss_of("r2"),
            LEARNT,
        ),
        _quality(
            "inertia",
            "squared deviations",
            "mean squared distance of a hold-out row to its centre",
            _given("inertia"),
            ("data_parallel",),
        ),
        _quality(
            "variance_lost",
            "share",
            "one minus the share of the hold-out's variance that components or clusters explain",
            _loss_of("variance_explained"),
            ("data_parallel",),
        ),
        _quality(
            "unequal_cells",
            "share",
            "cells that are not what they should be",
            _loss_of("equal_cells"),
            ("data_parallel",),
        ),
        _quality(
            "error_rate",
            "share",
            "one minus the accuracy of the neighbours' vote",
            _loss_of("accuracy"),
            ("data_parallel_lazy",),
        ),
        _quality(
            "recall_loss",
            "1 - recall",
            "true neighbours that were not found",
            _loss_of("recall"),
            ("data_parallel_lazy",),
        ),
        _quality(
            "group_rmse",
            "label units",
            "root of the mean squared error, each group by its model",
            _given("group_rmse"),
            ("per_group",),
        ),
        _quality(
            "brier",
            "squared probability",
            "mean squared error of a probability, each group by its model",
            _given("brier"),
            ("per_group",),
        ),
        _figure("task_skew", "ratio", "the longest task's seconds over the mean task's", "per_group"),
        _figure("trials_per_second", "1/s", "trials of a search over its seconds", "tuning", "higher"),
        _figure(
            "dispatch_seconds_median",
            "s",
            "from asking for a trial to knowing its loss, without the trial",
            "tuning",
        ),
        _figure(
            "seconds_to_target",
            "s",
            "seconds of a search until the target loss; none where it was not reached",
            "tuning",
        ),
        _figure("best_loss", "loss", "the least validation loss of a search", "tuning"),
        _figure("model_load_seconds", "s", "seconds of loading a model, of all its loads together", "inference"),
        _figure("seconds_to_log_loss", "s", "seconds from the start of load to the target log-loss", "data_parallel"),
        _figure("seconds_per_epoch", "s", "median seconds of an epoch, the first not counted", "data_parallel"),
    ]
    return {metric.name: metric for metric in found}
