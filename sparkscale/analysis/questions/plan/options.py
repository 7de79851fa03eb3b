"""The options of a plan: an engine, a place, a device and a fraction of the rows. Each is judged against the wish."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sparkscale.analysis.criterion import Criterion
from sparkscale.analysis.questions.plan.basis import Job
from sparkscale.analysis.questions.plan.memory import Fit, Memory
from sparkscale.analysis.questions.plan.quality import Given, Qualities
from sparkscale.analysis.questions.plan.times import Sizes, Times
from sparkscale.analysis.questions.plan.wish import Place, Wish
from sparkscale.analysis.questions.runtime_model import Prediction
from sparkscale.analysis.statistics import Interval
from sparkscale.contract.phrases import number

FRACTIONS = tuple(2.0**-power for power in range(7))

UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
LEAST_OF_A_UNIT = 1.5
"""A duration is shown in the largest unit of which it has at least this many."""

Verdict = Literal["meets", "meets, if it fits", "misses", "not known", "does not fit"]
ORDER: tuple[Verdict, ...] = ("meets", "meets, if it fits", "misses", "not known", "does not fit")


@dataclass(frozen=True)
class Option:
    """One way to run the job. `reasons` say in words why it does not meet the wish, or what is not known.

    `cost` is the predicted cost and `costs` its interval; None without a price, or without a time. `excess` is the
    largest factor by which an upper end is above its limit. It is 1 or less if no limit is missed.
    """

    job: Job
    place: Place
    fraction: float
    rows: float
    time: Prediction
    fit: Fit
    given: Given
    cost: float | None
    costs: Interval | None
    verdict: Verdict
    reasons: tuple[str, ...]
    excess: float

    @property
    def key(self) -> tuple[float, ...]:
        """Orders options: by verdict, then the cheapest that meets the wish, or the nearest miss.

        Options without a cost come after those with one, the fastest first.
        """
        seconds = math.inf if self.time.seconds is None else self.time.seconds
        cost = math.inf if self.cost is None else self.cost
        missed = math.inf if self.time.seconds is None else self.excess
        first = cost if self.verdict.startswith("meets") else missed
        return ORDER.index(self.verdict), first, cost, seconds, -self.fraction


@dataclass(frozen=True)
class Judge:
    """Judges options against a wish. `max_loss` is the wished one, or the tolerance of the workload.

    `needs_loss` is false if the user named no loss. All rows of an engine then count although its loss is not known.
    """

    wish: Wish
    max_loss: float
    needs_loss: bool
    criterion: Criterion | None

    def option(
        self, times: Times, memory: Memory, qualities: Qualities | None, sizes: Sizes, place: Place, fraction: float
    ) -> Option:
        """Returns one option with its verdict."""
        job, rows = times.job, self.wish.rows * fraction
        size = sizes.of(rows)
        why = other_kind(job, place)
        time = Prediction(size, place.cores, why_none=why) if why else times.predict(size, place.cores)
        fit = memory.fit(size, place)
        given = qualities.given(job.engine, job.device, fraction) if qualities else Given(why_none="no scores")
        cost = None if time.seconds is None else place.cost(time.seconds)
        costs = None
        if time.interval is not None and place.price is not None:
            low, high = place.cost(time.interval.low), place.cost(time.interval.high)
            costs = Interval(low or 0.0, high or 0.0)
        unknown, missed = list(self._unknown(time, given, costs, fraction)), list(self._missed(time, given, costs))
        excess = max((factor for factor, _ in missed), default=0.0)
        reasons = [*unknown, *(text for _, text in missed), *([fit.reason] if fit.reason else [])]
        verdict = _verdict(fit, bool(missed), bool(unknown))
        return Option(job, place, fraction, rows, time, fit, given, cost, costs, verdict, tuple(reasons), excess)

    def _unknown(self, time: Prediction, given: Given, costs: Interval | None, fraction: float) -> Iterator[str]:
        """Yields what is not known, but has to be."""
        if time.seconds is None:
            yield f"time not known: {time.why_none}"
        elif self.wish.budget is not None and costs is None:
            yield "cost not known: its profile has no [price]"
        if given.interval is None and (self.needs_loss or fraction < 1):
            yield f"loss not known: {given.why_none}"

    def _missed(self, time: Prediction, given: Given, costs: Interval | None) -> Iterator[tuple[float, str]]:
        """Yields each limit that an upper end is above, with the factor by which it is."""
        deadline, budget = self.wish.deadline, self.wish.budget
        if deadline is not None and time.interval is not None and time.interval.high > deadline:
            over = time.interval.high / deadline
            yield over, f"too slow: up to {spans(time.interval.high)}, {number(over, 2)} × the deadline"
        if budget is not None and costs is not None and costs.high > budget:
            yield (
                costs.high / budget,
                f"too dear: up to {number(costs.high)}, {number(costs.high / budget, 2)} × the budget",
            )
        if given.interval is not None and given.interval.high > self.max_loss:
            over = given.interval.high / self.max_loss if self.max_loss else math.inf
            shown = self.criterion.show_given_up(given.interval.high) if self.criterion else ""
            yield over, f"loses up to {shown}"


def _verdict(fit: Fit, has_missed: bool, has_unknown: bool) -> Verdict:
    if fit.verdict == "does not fit":
        return "does not fit"
    if has_unknown:
        return "not known"
    if has_missed:
        return "misses"
    return "meets" if fit.verdict == "fits" else "meets, if it fits"


def spans(seconds: float, interval: Interval | None = None) -> str:
    """Returns a duration with its interval in one unit, such as "0.42 s (0.30–0.51)" or "12 min (9.1–15)"."""
    unit, name = next(((size, name) for size, name in UNITS if seconds >= LEAST_OF_A_UNIT * size), UNITS[-1])
    shown = [
        number(one / unit, 2 if one < 10 * unit else max(2, len(str(round(one / unit)))))
        for one in (seconds, *((interval.low, interval.high) if interval else ()))
    ]
    return f"{shown[0]} {name}" + (f" ({shown[1]}–{shown[2]})" if interval else "")


def possible(jobs: Sequence[Job], places: Iterable[Place]) -> Iterator[tuple[Job, Place]]:
    """Yields each job with each place where it can run.

    On a kind of cluster where an engine was not measured, its job on another kind stands for it, without a time.
    """
    measured = {(job.engine, job.device, job.kind) for job in jobs}
    for place in places:
        named = set()
        for job in jobs:
            if job.placement != place.placement or (job.device == "gpu" and not place.gpus):
                continue
            is_own = not other_kind(job, place)
            stands_in = (job.engine, job.device, place.kind) not in measured and (job.engine, job.device) not in named
            if is_own or stands_in:
                named.add((job.engine, job.device))
                yield job, place


def other_kind(job: Job, place: Place) -> str:
    """Returns the reason against times from another kind of cluster. Empty if the kinds are equal."""
    if job.placement == "node" or job.kind == place.kind:
        return ""
    return f"measured on clusters of kind {job.kind}, and {place.cluster} is {place.kind}"
