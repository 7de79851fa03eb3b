"""What to measure next, so that a plan becomes surer: runs of the engine that the plan recommends.

Sizes are fractions of the measured data set. A synthetic data set may also be larger, because it has any size.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from sparkscale.analysis import metrics
from sparkscale.analysis.questions.design import Candidate, Place, Proposal, candidates, propose
from sparkscale.analysis.questions.plan.basis import Job
from sparkscale.analysis.questions.plan.memory import memory
from sparkscale.analysis.questions.plan.options import FRACTIONS, Option
from sparkscale.analysis.questions.plan.plan import Plan
from sparkscale.analysis.questions.plan.times import ALIKE
from sparkscale.analysis.questions.plan.wish import Offer, doubling
from sparkscale.analysis.questions.runtime_model import RuntimeModel
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord

LARGER = (2, 4, 8)
"""How many times the rows of the measured data set a synthetic one may have."""
SYNTHETIC = {"rows", "features", "seed"}
"""The definitions of synthetic data sets have these settings, and those of others have not."""
LEAST_ROWS = 100
"""Smaller samples are not proposed."""


@dataclass(frozen=True)
class Measurable:
    """A run that can be measured: a fraction of a data set, on a cluster, with a number of cores.

    `larger` is the number of times that a synthetic data set has the rows of the measured one. `threads` limits an
    engine on one node. None: all cores of the node, or an engine on Spark.
    """

    cluster: str
    fraction: float
    larger: int
    rows: float
    cores: int
    threads: int | None


@dataclass(frozen=True)
class Proposed:
    """The runs to measure for an option, each with its number of repeats, and the width that they should reach."""

    option: Option
    wanted: tuple[float, ...]
    """The rows of which the time is wanted: those of the option, and all rows. One number if they are equal."""
    sample: RunRecord
    """A record of the engine on the measured data set. Its parameters are measured again."""
    definition: Mapping[str, Any]
    """The definition of the measured data set."""
    runs: tuple[tuple[Measurable, Candidate, int], ...]
    proposal: Proposal
    within: float
    left_out: Counter[str]
    """The number of runs that are not proposed, by reason."""


def proposed(plan: Plan, offers: Sequence[Offer], within: float) -> Proposed:
    """Returns the runs that narrow the time of the plan's answer, and of all rows, most and end within some seconds.

    Raises ConfigError if the engine has no model of its time, so that no run can be judged.
    """
    option = plan.answer
    times = plan.times_of(option)
    if times.model is None:
        raise ConfigError(
            f"Nothing can be proposed for {option.job.engine}: {times.why_none}. Measure two more "
            "fractions with `sparkscale run`."
        )
    model = times.model.total
    own = {record.id for record in option.job.records}
    sample = [record for record in plan.basis.base if record.id in own and record.outcome == "ok"]
    if not sample:
        raise ConfigError(f"Nothing can be proposed: {option.job.engine} has no result on {plan.basis.dataset}.")
    definition = (plan.basis.store.content(sample[-1].data) or {}).get("definition", {})
    at: dict[Place, Measurable] = {}
    left_out: Counter[str] = Counter()
    fits = memory(option.job, plan.sizes, plan.basis.offers)
    for each, place in _measurable(option, sample, offers, is_synthetic=definition.keys() >= SYNTHETIC):
        size = _measured_size(model, plan.sizes.of(each.rows, plan.basis.columns))
        if fits.fit(size, place).verdict == "does not fit":
            left_out["does not fit into memory"] += 1
        else:
            at.setdefault((size, float(each.cores)), each)
    possible, refused = candidates(model, at)
    left_out.update(why.partition(" (")[0].partition(":")[0] for why in refused.values())
    wanted = dict.fromkeys((option.rows, float(plan.wish.rows)))
    targets = [(plan.sizes.of(rows), float(option.place.cores)) for rows in wanted]
    proposal = propose(model, possible, targets, within, _overhead(option.job))
    proposal = _stretched(proposal, times.model.stretch)
    repeats = Counter(proposal.runs)
    runs = tuple((at[each.size, each.scale_out], each, count) for each, count in repeats.items())
    return Proposed(option, tuple(wanted), sample[-1], definition, runs, proposal, within, left_out)


def _measurable(
    option: Option, sample: Sequence[RunRecord], offers: Sequence[Offer], is_synthetic: bool
) -> Iterator[tuple[Measurable, Any]]:
    """Yields each run that can be measured, with its place."""
    whole = median(record.case.rows / record.case.fraction for record in sample)
    shares = [(fraction, 1) for fraction in FRACTIONS]
    shares += [(1.0, factor) for factor in LARGER if is_synthetic]
    for offer in offers:
        if option.place.placement == "node":
            places = [(offer.node, threads) for threads in doubling(offer.node.cores)]
            places = places if offer.name == option.place.cluster else []
        else:
            whole_profile = offer.spark(offer.executors)
            places = [(whole_profile, whole_profile.cores)] if whole_profile.kind == option.job.kind else []
        for place, cores in places:
            threads = cores if cores < place.cores else None
            for fraction, larger in shares:
                rows = whole * fraction * larger
                if rows >= LEAST_ROWS:
                    yield Measurable(offer.name, fraction, larger, rows, cores, threads), place


def _measured_size(model: RuntimeModel, size: float) -> float:
    """Returns the measured size that is about as large, or this size if none is."""
    near = [each.size for each in model.configurations if 1 / ALIKE <= size / each.size <= ALIKE]
    return near[0] if near else size


def _stretched(proposal: Proposal, factor: float) -> Proposal:
    """Returns the proposal with the widths of the intervals that the plan prints, which phases may change."""
    before, after = (
        tuple(None if width is None else factor * width for width in widths)
        for widths in (proposal.before, proposal.after)
    )
    return replace(proposal, before=before, after=after)


def _overhead(job: Job) -> float:
    """Returns what a run takes beside its time to model: the start of its worker, warm-ups, and its other phases."""
    timed = [record for record in job.records if record.outcome == "ok" and record.seconds]
    if not timed:
        return 0.0
    others = median(sum(record.seconds.values()) - metrics.time_to_model(record) for record in timed)
    warming: dict[tuple[str, int], float] = defaultdict(float)
    for record in job.warmups:
        warming[record.invocation, record.round] += sum(record.seconds.values())
    starting = median(record.start_seconds or 0.0 for record in timed)
    return max(others, 0.0) + starting + median([*warming.values()] or [0.0])
