"""Compares engines for batch inference: their rows per second, and the cost of each step towards Spark."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sparkscale.analysis import metrics
from sparkscale.analysis.blocks import Answer
from sparkscale.analysis.executions import Executions, Margin, margin
from sparkscale.analysis.patterns.protocol import by_subject, recommended
from sparkscale.analysis.statistics import Spread, pairs
from sparkscale.contract.case import Case
from sparkscale.contract.phrases import with_threads
from sparkscale.contract.record import RunRecord

SINGLE = "single-process"
NATIVE = ("joblib", SINGLE)
"""Engines that use all cores of a node without Spark. Spark is compared with `Predictions.native`."""
RUNGS = ("parquet-map", "arrow-in", "map-in-arrow")
"""Engines that measure the Spark tax step by step. Each adds one cost to the engine before it.

The first adds its cost to `Predictions.native`. The costs are Spark tasks, then rows that arrive as Arrow batches,
then a DataFrame as input and output.
"""

VARIANT_PARAMETERS = ("threads", "batch_rows")
"""Parameters in which the engines of a comparison may differ. Tables show them after the engine's name."""


@dataclass
class Variant(Executions):
    """All executions of one engine on the same rows, with one size of batches and one number of threads."""

    names_batch: bool = False
    """If true, `label` names the batch size, because the engine was also measured with another one."""

    @property
    def engine(self) -> str:
        return self.case.engine

    @property
    def threads(self) -> int:
        """The number of threads that the case requests, or that the suite allows if this is less.

        0 means all; engines on Spark always use all.
        """
        requested = int(self.case.params["threads"]) if self.case.placement == "node" else 0
        limits = [threads for threads in (requested, self.limited_threads) if threads]
        return min(limits, default=0)

    @property
    def applies_the_same_model(self) -> bool:
        """True if the engine applies the given model. False if it applies a model of its own library."""
        return self.declared.has(self.case.engine, "given_model")

    @property
    def batch_rows(self) -> int:
        return int(self.case.params["batch_rows"])

    @property
    def label(self) -> str:
        parts = [with_threads(self.engine, self.threads or None)]
        if self.names_batch:
            parts.append(f"batches of {self.batch_rows:,}")
        return ", ".join(parts)

    @cached_property
    def rates(self) -> dict[int, float]:
        """Rows per second of load + predict, by round."""
        return {number: metrics.rows_per_second(record) for number, record in self.by_round.items()}

    @property
    def seconds_per_million(self) -> Spread | None:
        """The spread of the seconds of load + predict for a million predictions."""
        return metrics.spread_of_times(self.records, lambda record: 1e6 / metrics.rows_per_second(record))

    @property
    def rows_per_second(self) -> Spread | None:
        return self.rate(metrics.rows_per_second)

    def over(self, other: "Variant | None") -> list[float]:
        """Returns this variant's rows per second divided by another variant's, round by round.

        Empty if either variant has an execution without a time.
        """
        return [] if other is None else self.ratios(other, self.rates, other.rates)

    def efficiency(self, one_thread: "Variant | None") -> Spread | None:
        """Returns the speed-up per core. None if it is not known for every execution.

        It is the rows per second, divided by the rows per second of `one_thread` (a single process with one
        thread), and by the number of cores used.
        """
        used = self.threads or (self.timed[0].resources.cores if self.timed else None)
        return Spread.of([ratio / used for ratio in self.over(one_thread)]) if used else None


@dataclass
class Predictions:
    """The variants that apply one model to the same rows."""

    case: Case
    variants: list[Variant]

    @property
    def records(self) -> list[RunRecord]:
        return [record for variant in self.variants for record in variant.records]

    @property
    def parameters(self) -> dict[str, Any]:
        """The fraction on which the model was trained, and the parameters of the model."""
        return {"train_fraction": self.case.params["train_fraction"], **self.case.params["model"]}

    def variant(self, engine: str, threads: int = 0) -> Variant | None:
        """Returns the engine's fastest variant with this number of threads; 0 means all cores.

        A variant with a time for every execution is preferred. None if no execution has a time.
        """
        candidates = [
            variant
            for variant in self.variants
            if (variant.engine, variant.threads) == (engine, threads) and variant.timed
        ]
        return max(candidates, key=lambda variant: (variant.has_every_time, _rate(variant)), default=None)

    @property
    def one_thread(self) -> Variant | None:
        return self.variant(SINGLE, threads=1)

    @property
    def native(self) -> Variant | None:
        """The variant with which Spark is compared: the first engine of NATIVE that was measured on all cores.

        An engine with a time for every execution is preferred. None if no execution has a time.
        """
        candidates = [variant for variant in map(self.variant, NATIVE) if variant]
        return next(
            (variant for variant in candidates if variant.has_every_time), candidates[0] if candidates else None
        )

    @property
    def rungs(self) -> list[Variant]:
        """The variants that measure the Spark tax step by step.

        These are one thread, then all cores without Spark (`native`), and then the engines on Spark in RUNGS,
        which add one cost after the other. Empty if the first or the last of these variants was not measured, or
        if none in between was measured.
        """
        steps = [variant for variant in (self.one_thread, self.native, *map(self.variant, RUNGS)) if variant]
        return steps if len(steps) > 2 and self.one_thread and self.variant(RUNGS[-1]) else []

    @property
    def fastest(self) -> list[Variant]:
        """The variants that applied the given model on all cores in every round, the fastest first."""
        rounds = max((len(variant.timed) for variant in self.variants), default=0)
        candidates = [
            variant
            for variant in self.variants
            if variant.applies_the_same_model
            and not variant.threads
            and variant.has_every_time
            and len(variant.timed) == rounds
        ]
        return sorted(candidates, key=_rate, reverse=True)


def _rate(variant: Variant) -> float:
    return variant.rows_per_second.median if variant.rows_per_second else -math.inf


def comparisons(records: Iterable[RunRecord]) -> list[Predictions]:
    """Returns a comparison for each workload, data set, sample, cluster, device and model.

    They are sorted by workload, cluster, data set and fraction.
    """
    predictions = []
    for variants in by_subject("inference", records, _subject, _variant):
        sizes = defaultdict(set)
        for engine, _, size, _ in variants:
            sizes[engine].add(size)
        subject_variants = [
            Variant(of_variant[0].case, of_variant, len(sizes[variant[0]]) > 1)
            for variant, of_variant in variants.items()
        ]
        predictions.append(Predictions(subject_variants[0].case, subject_variants))
    return sorted(
        predictions,
        key=lambda prediction: (
            prediction.case.workload,
            prediction.case.cluster,
            prediction.case.dataset,
            prediction.case.fraction,
        ),
    )


def _subject(case: Case) -> str:
    """Returns a key that is equal for cases of the same comparison.

    Their threads and batches may differ. Tables show both numbers after the engine's name.
    """
    return case.subject_key("version", "fraction", without=("arguments", *VARIANT_PARAMETERS))


def _variant(case: Case) -> tuple[str, int, int, int]:
    return case.engine, int(case.params["threads"]), int(case.params["batch_rows"]), case.known_threads


def advice(comparison: Predictions) -> Answer | None:
    """Returns an answer that says which engine to use for these rows, and why.

    None if fewer than two engines can be compared.
    """
    variants = comparison.fastest
    if len(variants) < 2:
        return None
    best, other, verdicts = variants[0], variants[1], pairs(len(variants))
    margins = [_margin(best, other, verdicts)]
    text, claims = f"Use {best.label}", [margins[0].text]
    if best.case.placement == "node":
        on_spark = next((variant for variant in variants if variant.case.placement == "spark"), None)
        if on_spark and on_spark is not other:
            margins.append(_margin(best, on_spark, verdicts))
            claims.append(margins[-1].text)
        text += ", while one node is fast enough"
    text += f". It {' and '.join(claims)}."
    other_loads, best_loads = other.figure("model_loads"), best.figure("model_loads")
    load_seconds = other.figure("model_load_seconds")
    core_seconds = Spread.of(
        [metrics.time_to_model(r) * r.resources.cores for r in other.timed if r.resources.cores is not None]
    )
    if (
        other_loads
        and best_loads
        and other_loads.median > best_loads.median
        and load_seconds
        and core_seconds
        and load_seconds.median > 0.2 * core_seconds.median
    ):
        share = load_seconds.median / core_seconds.median
        text += f" {other.label} loads the model {other_loads.median:,.0f} times: {share:.0%} of its core time."
    return recommended(text, margins)


def _margin(best: Variant, other: Variant, verdicts: int) -> Margin:
    return margin(best.over(other), "applies {} times as many rows per second as", other.label, verdicts)
