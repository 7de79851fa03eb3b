"""Judges plans on stored records: times and qualities of the largest size, predicted without it.

The times of the largest size, of the largest number of cores, or of both are left out and predicted from the rest.
The quality with all rows is forecast from at most UP_TO of the rows.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sparkscale.analysis.questions import learning_curve
from sparkscale.analysis.questions.plan.basis import Basis, basis
from sparkscale.analysis.questions.plan.quality import qualities
from sparkscale.analysis.questions.plan.times import Times, judged, sizes, times
from sparkscale.store.store import Store

Protocol = Literal["size", "cores", "size and cores"]
PROTOCOLS: tuple[Protocol, ...] = ("size", "cores", "size and cores")
UP_TO = 1 / 4
"""The share of the rows from which the quality with all rows is forecast."""
MEDIAN_ERROR, HIGH_ERROR = 0.10, 0.20
"""The largest errors of times that are accepted, in the median and at the 90th percentile."""
QUALITY_ERROR = 0.003
"""The largest median error of a forecast quality that is accepted."""


@dataclass(frozen=True)
class Judged:
    """A prediction of one configuration of an engine, or of its quality.

    `error` is relative for times and absolute for qualities, as predicted less measured. It is None if there was no
    prediction: `why_none` gives the reason. `covered` is the share of the measured values within the interval.
    """

    workload: str
    engine: str
    what: str
    error: float | None = None
    covered: float = 0.0
    why_none: str = ""


@dataclass(frozen=True)
class Summary:
    """The errors of several predictions. Numbers are NaN if nothing was predicted."""

    predicted: int
    refused: int
    median: float
    high: float
    """The 90th percentile."""
    covered: float


def own_times(store: Store, workloads: Iterable[str] | None = None) -> list[Judged]:
    """Returns the predictions of times, by each protocol, for each engine of each workload of a store.

    `workloads` defaults to all that can be planned.
    """
    return [
        one
        for found in _bases(store, workloads)
        for job in found.jobs
        for protocol in PROTOCOLS
        for one in _of_times(found.workload, times(job, sizes(found, None)), protocol)
    ]


def own_qualities(store: Store, workloads: Iterable[str] | None = None) -> list[Judged]:
    """Returns the forecasts of the quality with all rows, for each engine of each workload of a store."""
    return [one for found in _bases(store, workloads) for one in _of_qualities(found)]


def summary(judged_ones: Sequence[Judged]) -> Summary:
    """Returns the errors over all predictions."""
    made = [one for one in judged_ones if one.error is not None]
    errors = np.abs([one.error for one in made if one.error is not None])
    if not made:
        return Summary(0, len(judged_ones), math.nan, math.nan, math.nan)
    return Summary(
        len(made),
        len(judged_ones) - len(made),
        float(np.median(errors)),
        float(np.quantile(errors, 0.9)),
        float(np.mean([one.covered for one in made])),
    )


def is_accepted(of_times: Summary, of_qualities: Summary) -> bool:
    """Returns true if the errors are within the accepted limits. An unknown error is not."""
    return of_times.median <= MEDIAN_ERROR and of_times.high <= HIGH_ERROR and of_qualities.median <= QUALITY_ERROR


def _bases(store: Store, workloads: Iterable[str] | None) -> Iterator[Basis]:
    if workloads is None:
        measured = (record.case for record in store.records() if not record.case.is_published)
        workloads = sorted({case.workload for case in measured if case.pattern == "data_parallel"})
    yield from (basis(store, workload) for workload in workloads)


def _of_times(workload: str, found: Times, protocol: Protocol) -> Iterator[Judged]:
    """Yields the prediction of each configuration that a protocol leaves out."""
    if len(found.sizes) < 2:
        return
    largest, most = found.sizes[-1], found.scale_outs[-1]
    if protocol != "size" and len(found.scale_outs) < 2:
        return

    def is_out(size: float, cores: float) -> tuple[bool, bool]:
        return protocol != "cores" and size == largest, protocol != "size" and cores == most

    rest = [run for run in found.runs if not any(is_out(run.size, run.scale_out))]
    places = sorted({(run.size, run.scale_out) for run in found.runs})
    wanted = (protocol != "cores", protocol != "size")
    for place in (place for place in places if is_out(*place) == wanted):
        seconds = [run.seconds for run in found.runs if (run.size, run.scale_out) == place]
        held = judged(rest, place, seconds)
        yield Judged(workload, found.job.engine, protocol, held.error, held.covered, held.why_none)


def _of_qualities(found: Basis) -> Iterator[Judged]:
    reached = qualities(found, 1.0)
    for (engine, _), learner in reached.learners.items() if reached else ():
        curve = learner.curve
        if curve is None or len(curve.rows) < 2:
            continue
        largest = float(curve.rows.max())
        made = learning_curve.forecast(curve.up_to(1.01 * UP_TO * largest), largest)
        if made.value is None or made.interval is None:
            yield Judged(found.workload, engine, "quality", why_none=made.why_none)
            continue
        measured = float(curve.quality[-1])
        is_covered = made.interval.low <= measured <= made.interval.high
        yield Judged(found.workload, engine, "quality", made.value - measured, float(is_covered))
