"""Defines metrics: numbers of one case, computed from its records. Lists the metrics that every pattern has."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sparkscale.analysis.statistics import Spread
from sparkscale.contract.declared import Direction
from sparkscale.contract.record import RunRecord

Samples = Callable[[Sequence[RunRecord]], list[float]]


@dataclass(frozen=True)
class Metric:
    """A metric. `samples` turns the records of one case into numbers: one for each execution that counts.

    `version` increases when new numbers are not comparable with earlier numbers. `patterns` names the patterns that
    have the metric; empty means all.
    """

    name: str
    unit: str
    direction: Direction
    version: int
    summary: str
    samples: Samples
    patterns: tuple[str, ...] = ()
    in_history: bool = True
    """If true, asv tracks the metric. It must be false for a metric that has no value when results get worse."""


def timed(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Returns executions with valid seconds: ok, warm, and without a lost executor."""
    return [r for r in records if r.outcome == "ok" and r.temperature == "warm" and not lost_executors(r)]


def lost_executors(record: RunRecord) -> int:
    """Returns the number of executors lost during the case. Spark did their work again, so its time is invalid."""
    return record.spark.executors_lost if record.spark else 0


def scored(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Returns executions with a valid quality: ok, warm or cold, but no warm-ups."""
    return [record for record in records if record.outcome == "ok" and not record.is_warmup]


def time_to_model(record: RunRecord) -> float:
    """Returns the seconds of the phases that count as time to model (data-parallel: load + fit)."""
    return sum(record.seconds[phase] for phase in record.declared.time_to_model)


def latest(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Returns the last record of each execution, without warm-ups.

    Executions that were stopped with the command that measured them are left out: they say nothing about their cases.
    """
    last_records: dict[tuple[str, int, bool], RunRecord] = {}
    for record in records:
        if not record.is_warmup and not record.is_cut:
            last_records[record.case.id, record.round, record.isolated] = record
    return list(last_records.values())


def spread_of_times(
    records: Iterable[RunRecord], seconds: Callable[[RunRecord], float] = time_to_model
) -> Spread | None:
    """Returns the spread of the seconds of warm executions. A timeout counts as longer than any time.

    The number `executions` of the result includes executions without a time, such as a timeout in a phase that is
    not timed (`predict`). Returns None if no execution has a time or a timeout in a timed phase.
    """
    attempts = [record for record in latest(records) if not record.isolated and record.outcome != "unsupported"]
    samples = [seconds(record) for record in timed(attempts)]
    stopped = timeouts(attempts)
    limits = [record.deadline_seconds for record in stopped if record.deadline_seconds is not None]
    return Spread.of([*samples, *(math.inf for _ in stopped)], len(attempts), min(limits, default=None))


def first_run(record: RunRecord) -> float | None:
    """Returns the seconds of a first run: start of the worker with Spark's session, and cold time to model.

    None unless the execution is ok, was the first in its worker, and lost no executor. Also None in records of
    earlier releases, which did not observe the start.
    """
    first = record.isolated and record.temperature == "cold" and not lost_executors(record)
    if record.outcome != "ok" or not first or record.start_seconds is None:
        return None
    return record.start_seconds + time_to_model(record)


def timeouts(records: Iterable[RunRecord], phase: str | None = None) -> list[RunRecord]:
    """Returns warm executions that ran into their deadline in this phase, or in a phase of unknown name.

    If `phase` is None, returns those that ran into it in a phase that counts as time to model.
    """
    stopped = [record for record in records if record.outcome == "timeout" and not record.isolated]
    return [record for record in stopped if (_was_timed(record) if phase is None else record.phase in (None, phase))]


def _was_timed(record: RunRecord) -> bool:
    """Returns true if the deadline fell in a phase that counts as time to model, or if the phase is not known."""
    return record.phase is None or record.phase in record.declared.time_to_model


def rows_per_second(record: RunRecord) -> float:
    """Returns the rows of the case divided by its time to model. In inference, these are the predicted rows."""
    return record.case.rows / time_to_model(record)


def memory_needed(record: RunRecord) -> int | None:
    """Returns the bytes that a node engine's case needs beyond an idle worker with the same imports.

    None if the outcome is not ok, or if the record has no peak or no baseline. Also None for a Spark engine, because
    its peak follows from its heap.
    """
    peak, baseline = record.resources.peak_pss_bytes, record.resources.baseline_bytes
    if record.outcome != "ok" or record.case.placement == "spark" or peak is None or baseline is None:
        return None
    return max(0, peak - baseline)


TIME_TO_MODEL = Metric(
    "time_to_model",
    "s",
    "lower",
    1,
    "seconds until a model stands: load + fit; what engines are compared by",
    lambda records: [time_to_model(record) for record in timed(records)],
)
ROWS_PER_SECOND = Metric(
    "rows_per_second",
    "1/s",
    "higher",
    1,
    "rows of the case over the seconds of load + fit, or load + predict",
    lambda records: [rows_per_second(record) for record in timed(records)],
)
SECONDS_PER_MILLION_ROWS = Metric(
    "seconds_per_million_rows",
    "s",
    "lower",
    1,
    "time to model over millions of training rows",
    lambda records: [time_to_model(r) / r.case.rows * 1e6 for r in timed(records)],
)
PEAK_MEMORY = Metric(
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
)
MEMORY_NEEDED = Metric(
    "memory_needed",
    "bytes",
    "lower",
    1,
    "peak memory of a node engine beyond an idle worker with the same imports",
    lambda records: [float(needed) for record in records if (needed := memory_needed(record)) is not None],
)
EVERYWHERE = (TIME_TO_MODEL, ROWS_PER_SECOND, SECONDS_PER_MILLION_ROWS, PEAK_MEMORY, MEMORY_NEEDED)
"""Metrics that every record can have."""
