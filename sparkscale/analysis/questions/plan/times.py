"""Predicts the time to model of each job, and says how often such predictions were right.

This is the only module of a plan that fits a model of the run time.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparkscale.analysis.questions.phase_model import PhasedRun, PhaseModel, fit_phases
from sparkscale.analysis.questions.plan.basis import Basis, Configuration, Job
from sparkscale.analysis.questions.runtime_model import Prediction
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import count, number
from sparkscale.contract.record import RunRecord

FEWEST_SCALE_OUTS = 4
"""Times on more or fewer cores than were measured are predicted only from at least this many numbers of cores.

On public run times (C3O), 90 % intervals contained 80 to 85 % of the runs on up to twice the nodes with three numbers
of nodes, and 88 to 93 % with four. In simulations, four give 96 % and more.
"""
ITERATIONS = "iterations"
"""The figure with which engines report the iterations of their fit."""
ALIKE = 1.03
"""Sizes up to this many times as large count as equal."""


@dataclass(frozen=True)
class Held:
    """A configuration that was predicted without its own runs. `error` is None if there was no prediction."""

    error: float | None = None
    covered: float = 0.0
    """The share of the runs that lie within the interval."""
    why_none: str = ""


@dataclass(frozen=True)
class Times:
    """The times of one job. `sizes` are those of its configurations, and `runs` holds all their times.

    `without_time` holds the configurations of which some execution has no time.
    """

    job: Job
    runs: tuple[PhasedRun, ...]
    without_time: tuple[Configuration, ...]

    @cached_property
    def model(self) -> PhaseModel | None:
        """The fitted model. None if too little was measured: `why_none` gives the reason."""
        return self._fitted[0]

    @property
    def why_none(self) -> str:
        return self._fitted[1]

    @cached_property
    def _fitted(self) -> tuple[PhaseModel | None, str]:
        sizes = self.sizes
        if not sizes:
            return None, "no execution has a time"
        if len(sizes) == 1:
            return None, f"only one size was measured ({number(sizes[0])} rows)"
        try:
            return fit_phases(self.runs), ""
        except ConfigError as error:
            return None, str(error)

    @property
    def sizes(self) -> list[float]:
        return sorted({run.size for run in self.runs})

    @property
    def scale_outs(self) -> list[float]:
        return sorted({run.scale_out for run in self.runs})

    def predict(self, size: float, cores: int) -> Prediction:
        """Returns the time of a run of this size on this number of cores, or the reason why it is not known."""
        if self.model is None:
            return Prediction(size, cores, why_none=self.why_none)
        return _cautious(self.model, size, cores)

    def fixed_seconds(self, cores: int) -> float | None:
        """Returns about the time that does not depend on the size: that of a ninth of the smallest size.

        Nothing is predicted below a tenth. None if it is not known.
        """
        return self.predict(self.sizes[0] / 9, cores).seconds if self.sizes else None

    def held_out(self) -> Iterator[Held]:
        """Yields the outcome of predicting each configuration from all others of the job."""
        by_place: dict[tuple[float, float], list[float]] = defaultdict(list)
        for run in self.runs:
            by_place[run.size, run.scale_out].append(run.seconds)
        for place, seconds in by_place.items():
            rest = [run for run in self.runs if (run.size, run.scale_out) != place]
            yield judged(rest, place, seconds)


def judged(rest: Sequence[PhasedRun], place: tuple[float, float], seconds: Sequence[float]) -> Held:
    """Returns how well the runs `rest` predict the seconds at another size and scale-out."""
    try:
        model = fit_phases(rest)
    except ConfigError as error:
        return Held(why_none=str(error))
    made = _cautious(model, *place)
    if made.seconds is None or made.interval is None:
        return Held(why_none=made.why_none)
    covered = np.mean([made.interval.low <= one <= made.interval.high for one in seconds])
    return Held(made.seconds / float(np.median(seconds)) - 1, float(covered))


def _cautious(model: PhaseModel, size: float, cores: float) -> Prediction:
    """Returns the model's prediction. Refuses to leave the range of too few scale-outs within memory."""
    scale_outs = sorted({each.scale_out for each in model.total.configurations})
    low, high = scale_outs[0], scale_outs[-1]
    if not low <= cores <= high and len(scale_outs) < FEWEST_SCALE_OUTS:
        measured = number(low) if low == high else f"{number(low)} to {number(high)}"
        within = " within memory" if model.total.beyond_memory else ""
        why = (
            f"{number(cores)} cores are outside of the measured {measured}: this needs {FEWEST_SCALE_OUTS} numbers "
            f"of cores, and {len(scale_outs)} {'was' if len(scale_outs) == 1 else 'were'} measured{within}"
        )
        return Prediction(size, cores, why_none=why)
    return model.predict(size, cores)


@dataclass(frozen=True)
class Sizes:
    """How rows become sizes. Sizes are rows, or rows times `columns` over `per`.

    `assumption` says in a sentence what is assumed. Empty if nothing is.
    """

    columns: int
    per: int
    assumption: str = ""

    def of(self, rows: float, columns: int | None = None) -> float:
        """Returns the size of a number of rows. `columns` defaults to the wished columns."""
        return rows * (self.columns if columns is None else columns) / self.per


def sizes(basis: Basis, columns: int | None) -> Sizes:
    """Returns how rows become sizes, for a wished number of columns. None: those of the newest data set."""
    measured = basis.column_counts
    wanted = columns or basis.columns
    if len(measured) > 1:
        shown = ", ".join(map(str, measured))
        return Sizes(
            wanted, basis.columns, f"Times are taken to follow rows × columns: {shown} columns were measured."
        )
    if wanted == basis.columns:
        return Sizes(wanted, wanted)
    assumption = (
        f"Only {count(basis.columns, 'column')} were measured, and {wanted} are planned: times and memory are "
        "assumed to grow in proportion."
    )
    return Sizes(wanted, basis.columns, assumption)


def times(job: Job, sizes: Sizes) -> Times:
    """Returns the times of a job, with sizes instead of rows."""
    runs = []
    without_time = []
    measured = {one: sizes.of(one.rows, one.columns) for one in job.configurations}
    shared = _shared(measured.values())
    for one, size in measured.items():
        if one.timed:
            runs += [_run(record, shared[size], one.cores) for record in one.timed]
        elif any(not record.isolated for record in one.records):
            without_time.append(one)
    return Times(job, tuple(runs), tuple(without_time))


def _run(record: RunRecord, size: float, cores: int) -> PhasedRun:
    """Returns an execution with the phases of its time to model, and the iterations if the engine reports them."""
    phases = {phase: record.seconds[phase] for phase in record.declared.time_to_model}
    return PhasedRun(size, cores, phases, record.figures.get(ITERATIONS))


def _shared(sizes: Iterable[float]) -> dict[float, float]:
    """Maps each size to the smallest one that is about as large, because each seed draws another number of rows."""
    shared: dict[float, float] = {}
    smallest = 0.0
    for size in sorted(sizes):
        smallest = smallest if smallest and size <= ALIKE * smallest else size
        shared[size] = smallest
    return shared


@dataclass(frozen=True)
class Coverage:
    """How often the intervals held when each configuration was predicted without its own runs."""

    predicted: int
    covered: float
    """The share of the runs that lay within their intervals. NaN if none was predicted."""
    error: float
    """The median of the absolute relative errors. NaN if none was predicted."""
    refused: int


def coverage(every: Iterable[Times]) -> Coverage:
    """Returns the outcome over all configurations of all jobs."""
    held = [one for times_of_job in every for one in times_of_job.held_out()]
    made = [(one.error, one.covered) for one in held if one.error is not None]
    if not made:
        return Coverage(0, math.nan, math.nan, len(held))
    errors, covered = zip(*made, strict=True)
    return Coverage(
        len(made), float(np.mean(covered)), float(np.median(np.abs(errors))), refused=len(held) - len(made)
    )
