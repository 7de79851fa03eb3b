"""One model per group: what each way of reaching the groups costs, with its layout and without, and which to use."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sparkscale.analysis import metrics
from sparkscale.analysis.blocks import Answer
from sparkscale.analysis.executions import Executions, Margin, margin
from sparkscale.analysis.patterns.outcomes import unsuccessful
from sparkscale.analysis.patterns.per_group.metrics import models_per_second
from sparkscale.analysis.patterns.protocol import by_subject, recommended
from sparkscale.analysis.statistics import FEWEST_ROUNDS, Spread, pairs, rounds_interval
from sparkscale.contract.case import Case
from sparkscale.contract.record import GROUPS, RunRecord
from sparkscale.store.store import Store

LOOP, JOBLIB = "pandas-loop", "joblib"
CONTROL = ("grouped-map", "apply-in-pandas")
"""Two names of the same code: a difference between them would be a fault of the measurement."""
USES = (1, 2, 11)
"""How often a layout serves: with no, one and ten reuses."""
EQUIVALENT = 0.05
"""The control's two may differ by as much and are called the same."""
LITTLE = 1.25
"""By this factor the slowest engine may differ from the fastest in every round, and the choice matters little."""


@dataclass
class Variant(Executions):
    """All executions of one engine on the groups of one sample."""

    @property
    def lays_out(self) -> bool:
        """Whether it has a layout, which can be used again."""
        return self.declared.has(self.engine, "lays_out")

    def seconds(self, uses: float = math.inf) -> dict[int, float]:
        """By round, seconds of load + fit and the layout's share when it serves so many trainings."""
        return {
            number: metrics.time_to_model(record) + record.seconds["layout"] / uses
            for number, record in self.by_round.items()
        }

    def spread(self, uses: float = math.inf) -> Spread | None:
        """The same over rounds, timeouts included as longer than any time."""
        return metrics.spread_of_times(self.records, lambda r: metrics.time_to_model(r) + r.seconds["layout"] / uses)

    @property
    def layout(self) -> Spread | None:
        """Seconds; None for an engine that has none."""
        return Spread.of([r.seconds["layout"] for r in self.timed]) if self.lays_out else None

    @property
    def models_per_second(self) -> Spread | None:
        return self.rate(models_per_second)

    def figure(self, name: str) -> Spread | None:
        return Spread.of([r.figures[name] for r in metrics.scored(self.records) if name in r.figures])

    @property
    def models_by_round(self) -> dict[int, float]:
        """Models that each execution whose seconds count has made."""
        return {number: record.figures.get("models", 0.0) for number, record in self.by_round.items()}

    @property
    def moved_bytes(self) -> Spread | None:
        """Written by shuffles and layouts; None where Spark's metrics were not to be had."""
        return Spread.of(
            [float(r.spark.shuffle_write_bytes) + r.figures.get("layout_bytes", 0.0) for r in self.timed if r.spark]
        )

    @property
    def work_share(self) -> float | None:
        """Of the core time of load + fit, what was work on groups: preparing, training, criterion, packing; of the
        median round.
        """
        shares = [
            record.figures["busy_seconds"] / (metrics.time_to_model(record) * record.resources.cores)
            for record in self.timed
            if "busy_seconds" in record.figures
        ]
        found = Spread.of(shares)
        return found.median if found else None

    def speed_up(self, other: "Variant", uses: float = math.inf) -> list[float]:
        """How many times as fast as another this one is, round by round; both with their layouts' shares.

        Empty where either has an execution without a time.
        """
        return self.ratios(other, other.seconds(uses), self.seconds(uses))


@dataclass
class Lost:
    """Groups of one outcome that have no model, and what the first of them says."""

    outcome: str
    groups: int
    key: str
    error: str
    engine: str
    """Empty: of every engine."""


@dataclass(frozen=True)
class Models:
    """How many groups have models, over all executions of a run that are ok."""

    groups: int
    models: int
    least_share: float
    """Of one execution's groups."""
    least: str
    """The case of that execution, and its models."""

    @classmethod
    def of(cls, records: Sequence[RunRecord]) -> "Models | None":
        """None where no case trains groups."""
        counted = [record for record in metrics.scored(records) if "models" in record.figures]
        if not counted:
            return None

        def share(record: RunRecord) -> float:
            return record.figures["models"] / record.figures["groups"]

        least = min(counted, key=share)
        groups, models = (int(sum(record.figures[name] for record in counted)) for name in ("groups", "models"))
        worst = f"{least.figures['models']:,.0f} of {least.figures['groups']:,.0f}"
        return cls(groups, models, share(least), f"{least.case.label}: {worst}")

    @property
    def text(self) -> str:
        text = f"{self.models:,} of {self.groups:,} groups have a model, over all executions"
        return f"{text}; the fewest in {self.least}." if self.models < self.groups else f"{text}."


@dataclass
class Trainings:
    """Engines of one workload on the same groups with the same parameters."""

    case: Case
    variants: list[Variant]
    store: Store
    is_largest: bool = True
    """Whether no larger sample of the same groups was measured."""

    def is_comparable(self, variant: Variant) -> bool:
        """Whether it made as many models as any, in each of as many rounds as any: less work is no speed."""
        most: dict[int, float] = {}
        for other in self.variants:
            for number, models in other.models_by_round.items():
                most[number] = max(models, most.get(number, 0.0))
        return bool(most) and variant.models_by_round == most

    def variant(self, engine: str) -> Variant | None:
        """The engine's executions, if some have a time."""
        return next((variant for variant in self.variants if variant.engine == engine and variant.timed), None)

    def comparable_variant(self, engine: str) -> Variant | None:
        """The engine's executions, if others may be compared with them."""
        found = self.variant(engine)
        return found if found and self.is_comparable(found) else None

    @property
    def records(self) -> list[RunRecord]:
        return [record for variant in self.variants for record in variant.records]

    @property
    def parameters(self) -> dict[str, Any]:
        hidden = ("by", "deadline_seconds", "most_model_bytes", "most_memory_share")
        return {key: value for key, value in self.case.stated.items() if key not in hidden}

    @property
    def disagreeing(self) -> dict[str, tuple[float, ...]]:
        """Numbers of models by engine, when they are not all the same."""
        found = {
            variant.engine: tuple(sorted({r.figures["models"] for r in metrics.scored(variant.records)}))
            for variant in self.variants
        }
        found = {engine: models for engine, models in found.items() if models}
        return found if len(set(found.values())) > 1 else {}

    def figure(self, name: str) -> float | None:
        """One that is of the groups, the same for every engine."""
        for variant in self.variants:
            if spread := variant.figure(name):
                return spread.median
        return None

    @cached_property
    def lost(self) -> list[Lost]:
        """From the first stored table of each engine; told once where all tell the same."""
        found = {
            variant.engine: self._lost_by(variant) for variant in self.variants if metrics.scored(variant.records)
        }
        told = [[(lost.outcome, lost.groups) for lost in lost_by] for lost_by in found.values()]
        if told and all(one == told[0] for one in told):
            return [replace(lost, engine="") for lost in next(iter(found.values()))]
        return [lost for lost_by in found.values() for lost in lost_by]

    def _lost_by(self, variant: Variant) -> list[Lost]:
        for record in metrics.scored(variant.records):
            try:
                table = self.store.table(record.id, GROUPS)
            except KeyError:
                continue
            return [
                Lost(outcome, here.num_rows, str(here.column("key")[0]), str(here.column("error")[0]), variant.engine)
                for outcome, here in unsuccessful(table)
            ]
        return []

    def control(self) -> tuple[list[float], str] | None:
        """Seconds of the one over those of the other, round by round, and what to think of it."""
        first, second = (self.variant(name) for name in CONTROL)
        if first is None or second is None:
            return None
        ratios = second.speed_up(first)
        return (ratios, same(ratios)) if ratios else None

    def fastest(self, uses: float) -> list[Variant]:
        """Comparable engines, without the control, by their median seconds when a layout serves so many trainings."""
        variants = [
            variant
            for variant in self.variants
            if self.is_comparable(variant) and variant.has_every_time and variant.engine != CONTROL[0]
        ]
        found = [(spread.median, variant) for variant in variants if (spread := variant.spread(uses))]
        return [variant for _, variant in sorted(found, key=lambda pair: pair[0])]


def same(ratios: Sequence[float]) -> str:
    """ "same" or "different" of what should be equal, else "not resolved", as where rounds are too few."""
    if not ratios:
        return "not measured"
    if len(ratios) < FEWEST_ROUNDS:
        return "not resolved"
    found = rounds_interval(ratios)
    if found.low >= 1 - EQUIVALENT and found.high <= 1 + EQUIVALENT:
        return "same"
    return "not resolved" if found.low <= 1 <= found.high else "different"


def comparisons(store: Store, records: Iterable[RunRecord]) -> list[Trainings]:
    """One per workload, data set, grouping, sample, cluster, device and parameters, in the order of the records."""
    made = []
    for variants in by_subject("per_group", records, lambda case: case.subject_key("fraction"), _variant):
        group = [Variant(of_variant[0].case, of_variant) for of_variant in variants.values()]
        made.append(Trainings(group[0].case, group, store))
    largest: dict[str, float] = defaultdict(float)
    for one in made:
        subject = one.case.subject_key()
        largest[subject] = max(largest[subject], one.case.fraction)
    made = [replace(one, is_largest=one.case.fraction == largest[one.case.subject_key()]) for one in made]
    return sorted(
        made,
        key=lambda one: (one.case.workload, one.case.cluster, one.case.dataset, _by(one.case), one.case.fraction),
    )


def _by(case: Case) -> str:
    return str(case.params["by"])


def _variant(case: Case) -> tuple[str, str]:
    return case.engine, case.experiment


def advice(comparison: Trainings) -> Answer | None:
    """Says which engine to use on these groups, and why. Returns None if fewer than two have a time."""
    by_uses = {uses: comparison.fastest(uses) for uses in USES}
    if len(by_uses[1]) < 2:
        return None
    if not any(models for variant in comparison.variants for models in variant.models_by_round.values()):
        return Answer("No group has a model, so no engine is better than another.", "no")
    once, often = by_uses[USES[0]], by_uses[USES[-1]]
    first, reusing = once[0], often[0]
    verdicts = pairs(len(once)) * (1 if first.engine == reusing.engine else 2)
    alone = _margin(first, once[1], 1, verdicts)
    margins = [alone]
    if first.engine == reusing.engine:
        text = f"Use {first.engine}: {alone.text}{', its layout counted' if first.lays_out else ''}"
    else:
        margins.append(_margin(reusing, first, USES[-1], verdicts))
        text = (
            f"Use {first.engine} to train once ({alone.text}), and {reusing.engine} where its layout serves "
            f"{_break_even(reusing, first)} trainings or more (over {USES[-1]} trainings "
            f"{margins[-1].text})"
        )
    if first.case.placement == "node":
        text += "; while all rows fit on one node"
    return recommended(f"{text}; {_why(comparison, reusing)}.", margins)


def _margin(best: Variant, other: Variant, uses: int, verdicts: int) -> Margin:
    return margin(best.speed_up(other, uses), "times as fast as", other.engine, verdicts)


def _break_even(laid_out: Variant, other: Variant) -> int:
    """How many trainings a layout must serve to pay, by the medians."""
    layout, own, others = laid_out.layout, laid_out.spread(), other.spread()
    if layout is None or own is None or others is None or own.median >= others.median:
        return USES[-1]
    dearer = layout.median - (other.layout.median if other.layout else 0.0)
    return max(2, math.ceil(dearer / (others.median - own.median)))


def _why(comparison: Trainings, best: Variant) -> str:
    """By the measured shares and times: what the time goes into, work on groups or bringing rows to it."""
    share, seconds = best.work_share, best.figure("group_seconds_median")
    if share is None or seconds is None:
        return "no group was trained"
    told = (
        f"a fit takes {_milliseconds(seconds.median)}, and work on groups is {share:.0%} of {best.engine}'s core time"
    )
    variants = [variant for variant in comparison.fastest(USES[-1]) if variant.engine not in (best.engine, LOOP)]
    slowest = variants[-1] if variants else None
    apart = max(best.speed_up(slowest, USES[-1]), default=math.inf) if slowest else 1.0
    if apart <= LITTLE:
        alone = comparison.comparable_variant(LOOP) if best.engine != LOOP else None
        return f"{told}, so the way to the groups matters little{' for engines that use all cores' if alone else ''}"
    if slowest is None or slowest.work_share is None:
        return told
    return f"{told} and {slowest.work_share:.1%} of {slowest.engine}'s: the rest is moving rows and starting tasks"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2g} ms" if seconds < 0.1 else f"{seconds * 1e3:,.0f} ms"
