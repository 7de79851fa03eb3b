"""The metric registry: every figure of one case, as a function of its records."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from sparkscale.analysis.statistics import Spread
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
    in_history: bool = True
    """Whether asv tracks it. It does not track what vanishes when it becomes worse: that would look like nothing."""


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


def latest(records: Iterable[RunRecord]) -> list[RunRecord]:
    """The last record of each execution, warm-ups not counted."""
    found: dict[tuple[str, int, bool], RunRecord] = {}
    for record in records:
        if not record.is_warmup:
            found[record.case.id, record.round, record.isolated] = record
    return list(found.values())


def spread_of_times(
    records: Iterable[RunRecord], seconds: Callable[[RunRecord], float] = time_to_model
) -> Spread | None:
    """Seconds of the warm executions, a timeout as longer than any. Executions that ended without a time are counted,
    as is a timeout in a phase that is not timed, such as `predict`.

    None where none of them has a time or a timeout.
    """
    tried = [record for record in latest(records) if not record.isolated and record.outcome != "unsupported"]
    samples = [seconds(record) for record in timed(tried)]
    timeouts = [record for record in tried if record.outcome == "timeout" and _was_timed(record)]
    limits = [record.deadline_seconds for record in timeouts if record.deadline_seconds is not None]
    return Spread.of([*samples, *(math.inf for _ in timeouts)], len(tried), min(limits, default=None))


def first_run(record: RunRecord) -> float | None:
    """Seconds that a one-off job pays: its worker's start, with Spark's session, and its time to model.

    None unless the execution was ok and the first in its worker, and in records from before starts were observed.
    """
    first = record.isolated and record.temperature == "cold" and not lost_executors(record)
    if record.outcome != "ok" or not first or record.start_seconds is None:
        return None
    return record.start_seconds + time_to_model(record)


def _was_timed(record: RunRecord) -> bool:
    """Whether time ran out in a phase by which engines are compared. Records of earlier releases do not say."""
    return record.phase is None or record.phase in registry.patterns()[record.case.pattern].time_to_model


def rows_per_second(record: RunRecord) -> float:
    """Rows of the case over its time to model: in inference, of those that a model was applied to."""
    return record.case.rows / time_to_model(record)


def models_per_second(record: RunRecord) -> float:
    """Models of groups over the time to all of them."""
    return record.figures.get("models", 0.0) / time_to_model(record)


def time_with_layout(record: RunRecord) -> float:
    """Seconds of layout + load + fit, of a pattern that has a layout: what it costs to use one once."""
    return time_to_model(record) + record.seconds["layout"]


def memory_needed(record: RunRecord) -> int | None:
    """Bytes that a node engine's case needs beyond an idle worker that imported the same modules.

    None for a Spark engine, whose peak follows from its heap, and for a record without a peak or a baseline.
    """
    peak, baseline = record.resources.peak_pss_bytes, record.resources.baseline_bytes
    if record.outcome != "ok" or record.case.placement == "spark" or peak is None or baseline is None:
        return None
    return max(0, peak - baseline)


def _phase(name: str) -> Metric:
    def samples(records: Sequence[RunRecord]) -> list[float]:
        return [record.seconds[name] for record in timed(records) if name in record.seconds]

    return Metric(f"seconds_{name}", "s", "lower", 1, f"seconds of the phase `{name}`", samples, carrying(name))


def _quality(name: str, unit: str, summary: str, stored: str, value: Callable[[float], float] = float) -> Metric:
    """From the stored quality `stored`, of the patterns whose workloads declare it."""

    def samples(records: Sequence[RunRecord]) -> list[float]:
        return [value(record.quality[stored]) for record in scored(records) if stored in record.quality]

    return Metric(name, unit, "lower", 1, summary, samples, carrying(stored))


def _figure(name: str, unit: str, summary: str, direction: Direction = "lower", in_history: bool = True) -> Metric:
    def samples(records: Sequence[RunRecord]) -> list[float]:
        return [record.figures[name] for record in timed(records) if name in record.figures]

    return Metric(name, unit, direction, 1, summary, samples, carrying(name), in_history)


def _lost(quality: float) -> float:
    """The loss of a quality whose best value is 1."""
    return 1 - quality


def carrying(name: str) -> tuple[str, ...]:
    """Names of the patterns whose records can carry a phase, a quality or a figure: they, or their workloads, declare
    it. Raises LookupError if none does.
    """
    declaring = dict.fromkeys(
        workload.pattern.name
        for workload in registry.workloads().values()
        if name in (*workload.pattern.phases, *workload.pattern.figures)
        or name in (*workload.quality.judged_by.values(), *workload.quality.beside)
    )
    if not declaring:
        raise LookupError(f"No pattern and no workload declares '{name}'.")
    return tuple(declaring)


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
            carrying("layout"),
        ),
        Metric(
            "models_per_second",
            "1/s",
            "higher",
            1,
            "models of groups over the seconds of load + fit",
            lambda records: [models_per_second(record) for record in timed(records) if "models" in record.figures],
            carrying("models"),
        ),
        Metric(
            "rows_per_second",
            "1/s",
            "higher",
            1,
            "rows of the case over the seconds of load + fit, or load + predict",
            lambda records: [rows_per_second(record) for record in timed(records)],
        ),
        Metric(
            "groups_without_model",
            "groups",
            "lower",
            1,
            "groups that have no model, for whatever reason",
            lambda records: [
                r.figures["groups"] - r.figures["models"] for r in scored(records) if "groups" in r.figures
            ],
            carrying("models"),
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
        Metric(
            "memory_needed",
            "bytes",
            "lower",
            1,
            "peak memory of a node engine beyond an idle worker with the same imports",
            lambda records: [float(found) for record in records if (found := memory_needed(record)) is not None],
        ),
        _quality("auc_loss", "1 - AUC", "one minus the area under the ROC curve on the hold-out", "auc", _lost),
        _quality("log_loss", "nats", "mean negative log-likelihood on the hold-out", "log_loss"),
        _quality(
            "objective",
            "nats",
            "what a logistic regression minimises, per training row: how far its optimiser came",
            "objective",
        ),
        _quality("rmse", "label units", "root of the mean squared error on the hold-out", "rmse"),
        _quality(
            "r2_loss",
            "1 - R²",
            "mean squared error on the hold-out over the label's variance",
            "r2",
            _lost,
        ),
        _quality(
            "inertia",
            "squared deviations",
            "mean squared distance of a hold-out row to its centre",
            "inertia",
        ),
        _quality(
            "variance_lost",
            "share",
            "one minus the share of the hold-out's variance that components or clusters explain",
            "variance_explained",
            _lost,
        ),
        _quality(
            "cells_lost",
            "share",
            "cells that a pipeline of all training rows would have made otherwise",
            "kept_cells",
            _lost,
        ),
        _quality(
            "error_rate",
            "share",
            "one minus the accuracy of the neighbours' vote",
            "accuracy",
            _lost,
        ),
        _quality(
            "recall_loss",
            "1 - recall",
            "true neighbours that were not found",
            "recall",
            _lost,
        ),
        _quality(
            "group_rmse",
            "label units",
            "root of the mean squared error, each group by its model",
            "group_rmse",
        ),
        _quality(
            "brier",
            "squared probability",
            "mean squared error of a probability, each group by its model",
            "brier",
        ),
        _figure("task_skew", "ratio", "the longest task's seconds over the mean task's"),
        _figure("trials_per_second", "1/s", "trials of a search over its seconds", "higher"),
        _figure(
            "dispatch_seconds_median",
            "s",
            "from asking for a trial to knowing its loss, without the trial",
        ),
        _figure(
            "seconds_to_target",
            "s",
            "seconds of a search until the target loss; none where it was not reached",
            in_history=False,
        ),
        _figure("best_loss", "loss", "the least validation loss of a search"),
        _figure("model_load_seconds", "s", "seconds of loading a model, of all its loads together"),
        _figure("seconds_to_log_loss", "s", "seconds from the start of load to the target log-loss"),
        _figure("seconds_per_epoch", "s", "median seconds of an epoch, the first not counted"),
    ]
    return {metric.name: metric for metric in found}
