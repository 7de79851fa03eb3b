"""Compares engines for one model per group: costs with and without their layout, and the engine to use."""

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
"""Two engines that run the same code. A difference between them would be an error of the measurement."""
USES = (1, 2, 11)
"""The numbers of trainings that use one layout: 1, 2 and 11, which means no, one and ten reuses."""
EQUIVALENT = 0.05
"""The two engines of the control may differ by this share and still count as the same."""
LITTLE = 1.25
"""It matters little how rows reach the groups if the slowest engine takes at most this many times as long.

It is compared with the fastest engine, in every round. `pandas-loop` does not count.
"""


@dataclass
class Variant(Executions):
    """All executions of one engine on the groups of one sample."""

    @property
    def lays_out(self) -> bool:
        """True if the engine has a layout, which later trainings can use again."""
        return self.declared.has(self.case.engine, "lays_out")

    def seconds(self, uses: float = math.inf) -> dict[int, float]:
        """Returns the seconds of load + fit by round, with a share of the layout.

        The share is the layout's seconds divided by `uses`, the number of trainings that use the layout.
        """
        return {
            number: metrics.time_to_model(record) + record.seconds["layout"] / uses
            for number, record in self.by_round.items()
        }

    def spread(self, uses: float = math.inf) -> Spread | None:
        """Returns the spread of `seconds` over rounds. A timeout counts as longer than any time."""
        return metrics.spread_of_times(self.records, lambda r: metrics.time_to_model(r) + r.seconds["layout"] / uses)

    @property
    def layout(self) -> Spread | None:
        """Seconds of the layout. None for an engine without a layout."""
        return Spread.of([r.seconds["layout"] for r in self.timed]) if self.lays_out else None

    @property
    def seconds_per_1000_models(self) -> Spread | None:
        """The seconds of layout + load + fit for 1,000 models. Executions that made no model are left out."""

        def seconds(record: RunRecord) -> float:
            return (metrics.time_to_model(record) + record.seconds["layout"]) / record.figures["models"] * 1000

        counted = [record for record in self.records if record.outcome != "ok" or record.figures.get("models")]
        return metrics.spread_of_times(counted, seconds)

    @property
    def models_per_second(self) -> Spread | None:
        return self.rate(models_per_second)

    def figure(self, name: str) -> Spread | None:
        return Spread.of([r.figures[name] for r in metrics.scored(self.records) if name in r.figures])

    @property
    def models_by_round(self) -> dict[int, float]:
        """The number of models of each execution with valid seconds, by round."""
        return {number: record.figures.get("models", 0.0) for number, record in self.by_round.items()}

    @property
    def moved_bytes(self) -> Spread | None:
        """The bytes that shuffles and layouts write. None if Spark's metrics are not known."""
        return Spread.of(
            [float(r.spark.shuffle_write_bytes) + r.figures.get("layout_bytes", 0.0) for r in self.timed if r.spark]
        )

    @property
    def work_share(self) -> float | None:
        """The share of the core time of load + fit that is spent on groups: the median over rounds.

        Preparing, training, judging and packing count as work on groups. None if this work was not observed.
        """
        shares = [
            record.figures["busy_seconds"] / (metrics.time_to_model(record) * record.resources.cores)
            for record in self.timed
            if "busy_seconds" in record.figures and record.resources.cores is not None
        ]
        spread = Spread.of(shares)
        return spread.median if spread else None

    def speed_up(self, other: "Variant", uses: float = math.inf) -> list[float]:
        """Returns the speed-up over another engine, round by round: its seconds divided by those of this engine.

        Seconds include a share of the layout (see `seconds`). Empty if either engine has an execution without a
        time.
        """
        return self.ratios(other, other.seconds(uses), self.seconds(uses))


@dataclass
class Lost:
    """Groups without a model that have the same outcome. `groups` is their number.

    `key` and `error` are those of the first group.
    """

    outcome: str
    groups: int
    key: str
    error: str
    engine: str
    """The name of the engine. Empty if all engines have the same outcomes."""


@dataclass(frozen=True)
class Models:
    """The number of groups, and of groups with a model, over all ok executions of a run."""

    groups: int
    models: int
    least_share: float
    """The smallest share of groups with a model in one execution."""
    least: str
    """A text with the case that has the smallest share, and with its number of models."""

    @classmethod
    def of(cls, records: Sequence[RunRecord]) -> "Models | None":
        """Returns the numbers over all executions. None if no case trains groups."""
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
    """The comparison of one workload's engines on the same groups with the same parameters."""

    case: Case
    variants: list[Variant]
    store: Store
    is_largest: bool = True
    """True if no larger sample of the same groups was measured."""

    def is_comparable(self, variant: Variant) -> bool:
        """Returns true if this engine has every round of the other engines, and none made more models in a round.

        Otherwise this engine did less work, and its times cannot be compared with those of other engines.
        """
        most: dict[int, float] = {}
        for other in self.variants:
            for number, models in other.models_by_round.items():
                most[number] = max(models, most.get(number, 0.0))
        return bool(most) and variant.models_by_round == most

    def variant(self, engine: str) -> Variant | None:
        """Returns the engine's executions. None if no execution has a time."""
        return next((variant for variant in self.variants if variant.engine == engine and variant.timed), None)

    def comparable_variant(self, engine: str) -> Variant | None:
        """Returns the engine's executions. None if they cannot be compared with other engines' executions."""
        candidate = self.variant(engine)
        return candidate if candidate and self.is_comparable(candidate) else None

    @property
    def records(self) -> list[RunRecord]:
        return [record for variant in self.variants for record in variant.records]

    @property
    def parameters(self) -> dict[str, Any]:
        hidden = ("by", "deadline_seconds", "most_model_bytes", "most_memory_share")
        return {key: value for key, value in self.case.stated.items() if key not in hidden}

    @property
    def disagreeing(self) -> dict[str, tuple[float, ...]]:
        """The numbers of models that each engine made, by engine. Empty if all engines agree."""
        models_by_engine = {
            variant.engine: tuple(sorted({r.figures["models"] for r in metrics.scored(variant.records)}))
            for variant in self.variants
        }
        models_by_engine = {engine: models for engine, models in models_by_engine.items() if models}
        return models_by_engine if len(set(models_by_engine.values())) > 1 else {}

    def figure(self, name: str) -> float | None:
        """Returns a figure that describes the groups, so it is equal for all engines. None if no engine has it."""
        for variant in self.variants:
            if spread := variant.figure(name):
                return spread.median
        return None

    @cached_property
    def lost(self) -> list[Lost]:
        """Groups without a model, from the first stored table of each engine.

        If all engines agree, these groups are listed only once.
        """
        lost_by_engine = {
            variant.engine: self._lost_by(variant) for variant in self.variants if metrics.scored(variant.records)
        }
        counts = [[(lost.outcome, lost.groups) for lost in engine_lost] for engine_lost in lost_by_engine.values()]
        if counts and all(engine_counts == counts[0] for engine_counts in counts):
            return [replace(lost, engine="") for lost in next(iter(lost_by_engine.values()))]
        return [lost for engine_lost in lost_by_engine.values() for lost in engine_lost]

    def _lost_by(self, variant: Variant) -> list[Lost]:
        for record in metrics.scored(variant.records):
            try:
                table = self.store.table(record.id, GROUPS)
            except KeyError:
                continue
            return [
                Lost(outcome, rows.num_rows, str(rows.column("key")[0]), str(rows.column("error")[0]), variant.engine)
                for outcome, rows in unsuccessful(table)
            ]
        return []

    def control(self) -> tuple[list[float], str] | None:
        """Compares the two engines of CONTROL, `grouped-map` and `apply-in-pandas`, which run the same code.

        Returns the seconds of the first divided by the seconds of the second, round by round, and the verdict of
        the function `same` on these ratios. Returns None if there are no ratios.
        """
        first, second = (self.variant(name) for name in CONTROL)
        if first is None or second is None:
            return None
        ratios = second.speed_up(first)
        return (ratios, same(ratios)) if ratios else None

    def fastest(self, uses: float) -> list[Variant]:
        """Returns the comparable engines with a time for every execution, the fastest first.

        Engines are sorted by their median seconds of load + fit, plus the seconds of their layout divided by
        `uses`. `grouped-map` (the first engine of CONTROL) is left out, because it runs the same code as
        `apply-in-pandas`. Engines with fewer threads than the profile grants are left out, too.
        """
        variants = [
            variant
            for variant in self.variants
            if self.is_comparable(variant)
            and variant.has_every_time
            and variant.limited_threads is None
            and variant.engine != CONTROL[0]
        ]
        by_seconds = [(spread.median, variant) for variant in variants if (spread := variant.spread(uses))]
        return [variant for _, variant in sorted(by_seconds, key=lambda pair: pair[0])]


def same(ratios: Sequence[float]) -> str:
    """Returns the verdict on ratios that should be 1: "same", "different" or "not resolved".

    Without ratios it is "not measured".
    """
    if not ratios:
        return "not measured"
    if len(ratios) < FEWEST_ROUNDS:
        return "not resolved"
    bounds = rounds_interval(ratios)
    if bounds.low >= 1 - EQUIVALENT and bounds.high <= 1 + EQUIVALENT:
        return "same"
    return "not resolved" if bounds.low <= 1 <= bounds.high else "different"


def comparisons(store: Store, records: Iterable[RunRecord]) -> list[Trainings]:
    """Returns a comparison for each workload, data set, grouping, sample, cluster, device and set of parameters.

    They are sorted by workload, cluster, data set, grouping and fraction.
    """
    trainings = []
    for variants in by_subject("per_group", records, lambda case: case.subject_key("fraction"), _variant):
        group = [Variant(of_variant[0].case, of_variant) for of_variant in variants.values()]
        trainings.append(Trainings(group[0].case, group, store))
    largest: dict[str, float] = defaultdict(float)
    for training in trainings:
        subject = training.case.subject_key()
        largest[subject] = max(largest[subject], training.case.fraction)
    trainings = [
        replace(training, is_largest=training.case.fraction == largest[training.case.subject_key()])
        for training in trainings
    ]
    return sorted(
        trainings,
        key=lambda training: (
            training.case.workload,
            training.case.cluster,
            training.case.dataset,
            _by(training.case),
            training.case.fraction,
        ),
    )


def _by(case: Case) -> str:
    return str(case.params["by"])


def _variant(case: Case) -> tuple[str, str]:
    return case.engine, case.experiment


def advice(comparison: Trainings) -> Answer | None:
    """Returns an answer that says which engine to use on these groups, and why.

    None if fewer than two engines can be compared.
    """
    by_uses = {uses: comparison.fastest(uses) for uses in USES}
    if len(by_uses[1]) < 2:
        return None
    if not any(models for variant in comparison.variants for models in variant.models_by_round.values()):
        return Answer("No group has a model, so no engine is better than another.", "no")
    by_single_use, by_many_uses = by_uses[USES[0]], by_uses[USES[-1]]
    best_once, best_reused = by_single_use[0], by_many_uses[0]
    verdicts = pairs(len(by_single_use)) * (1 if best_once.engine == best_reused.engine else 2)
    margin_once = _margin(best_once, by_single_use[1], 1, verdicts)
    margins = [margin_once]
    if best_once.engine == best_reused.engine:
        fits = ", while all rows fit on one node" if best_once.case.placement == "node" else ""
        layout = "With its layout counted, it" if best_once.lays_out else "It"
        text = f"Use {best_once.engine}{fits}. {layout} {margin_once.text}."
    else:
        margins.append(_margin(best_reused, best_once, USES[-1], verdicts))
        fits = ", while all rows fit on one node" if best_once.case.placement == "node" else ""
        text = (
            f"Use {best_once.engine} to train once{fits}. It {margin_once.text}. Use {best_reused.engine} if its "
            f"layout serves {_break_even(best_reused, best_once)} trainings or more. Over {USES[-1]} trainings it "
            f"{margins[-1].text}."
        )
    return recommended(f"{text} {_why(comparison, best_reused)}", margins)


def _margin(best: Variant, other: Variant, uses: int, verdicts: int) -> Margin:
    return margin(best.speed_up(other, uses), "is {} times as fast as", other.engine, verdicts)


def _break_even(laid_out: Variant, other: Variant) -> int:
    """Returns the smallest number of trainings for which the layout of the engine `laid_out` pays off.

    Its median seconds are compared with the median seconds of the engine `other`.
    """
    layout, own_seconds, other_seconds = laid_out.layout, laid_out.spread(), other.spread()
    if layout is None or own_seconds is None or other_seconds is None or own_seconds.median >= other_seconds.median:
        return USES[-1]
    extra_layout_seconds = layout.median - (other.layout.median if other.layout else 0.0)
    return max(2, math.ceil(extra_layout_seconds / (other_seconds.median - own_seconds.median)))


def _why(comparison: Trainings, best: Variant) -> str:
    """Returns a text that says where the time goes: into work on groups, or into moving rows."""
    share, seconds = best.work_share, best.figure("group_seconds_median")
    if share is None or seconds is None:
        return "No group was trained."
    text = f"A fit takes {_milliseconds(seconds.median)}. Work on groups is {share:.0%} of {best.engine}'s core time"
    variants = [variant for variant in comparison.fastest(USES[-1]) if variant.engine not in (best.engine, LOOP)]
    slowest = variants[-1] if variants else None
    speed_up = max(best.speed_up(slowest, USES[-1]), default=math.inf) if slowest else 1.0
    if speed_up <= LITTLE:
        loop = comparison.comparable_variant(LOOP) if best.engine != LOOP else None
        which = " for engines that use all cores" if loop else ""
        return f"{text}, so it matters little how rows reach the groups{which}."
    if slowest is None or slowest.work_share is None:
        return f"{text}."
    return f"{text} and {slowest.work_share:.1%} of {slowest.engine}'s. The rest is moving rows and starting tasks."


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2g} ms" if seconds < 0.1 else f"{seconds * 1e3:,.0f} ms"
