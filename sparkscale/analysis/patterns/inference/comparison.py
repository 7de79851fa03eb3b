"""Batch inference: compares rows per second of engines, and shows what Spark costs step by step."""

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
from sparkscale.contract.record import RunRecord

SINGLE = "single-process"
NATIVE = ("joblib", SINGLE)
"""Engines that use all cores of a node without Spark. Spark is compared with the first one that was measured."""
RUNGS = ("parquet-map", "arrow-in", "map-in-arrow")
"""The steps of the Spark tax after the native engines: inside Spark's tasks, Arrow in, a DataFrame in and out."""

OF_A_VARIANT = ("threads", "batch_rows")
"""Parameters in which the engines of a comparison may differ; they stand beside an engine's name."""


@dataclass
class Variant(Executions):
    """All executions of one engine on the same rows, in batches of one size, with as many threads."""

    tells_batch: bool = False
    """If true, the engine was also measured with batches of another size."""

    @property
    def threads(self) -> int:
        """The number of threads that the case asks for. 0 means all; engines on Spark always use all."""
        return int(self.case.params["threads"]) if self.case.placement == "node" else 0

    @property
    def applies_the_same_model(self) -> bool:
        """If true, it applies the model that all engines are given, and not one of its library's own."""
        return self.declared.has(self.engine, "given_model")

    @property
    def batch_rows(self) -> int:
        return int(self.case.params["batch_rows"])

    @property
    def label(self) -> str:
        told = [self.engine]
        if self.threads:
            told.append("1 thread" if self.threads == 1 else f"{self.threads} threads")
        if self.tells_batch:
            told.append(f"batches of {self.batch_rows:,}")
        return ", ".join(told)

    @cached_property
    def rates(self) -> dict[int, float]:
        """Rows per second of load + predict, by round."""
        return {number: metrics.rows_per_second(record) for number, record in self.by_round.items()}

    @property
    def rows_per_second(self) -> Spread | None:
        return self.rate(metrics.rows_per_second)

    def over(self, other: "Variant | None") -> list[float]:
        """Rows per second over those of another, round by round. Empty if either has an execution without a time."""
        return [] if other is None else self.ratios(other, self.rates, other.rates)

    def efficiency(self, one_thread: "Variant | None") -> Spread | None:
        """Rows per second over those of one thread of a single process, times the cores that it was granted."""
        cores = self.timed[0].resources.cores if self.timed else 1
        return Spread.of([ratio / (self.threads or cores) for ratio in self.over(one_thread)])


@dataclass
class Predictions:
    """Ways of applying one model to the same rows."""

    case: Case
    variants: list[Variant]

    @property
    def records(self) -> list[RunRecord]:
        return [record for variant in self.variants for record in variant.records]

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the model."""
        return {"train_fraction": self.case.params["train_fraction"], **self.case.params["model"]}

    def variant(self, engine: str, threads: int = 0) -> Variant | None:
        """The engine with its fastest size of batches. Returns None if no execution has a time."""
        found = [
            variant
            for variant in self.variants
            if (variant.engine, variant.threads) == (engine, threads) and variant.timed
        ]
        return max(found, key=lambda variant: (variant.has_every_time, _rate(variant)), default=None)

    @property
    def one_thread(self) -> Variant | None:
        return self.variant(SINGLE, threads=1)

    @property
    def native(self) -> Variant | None:
        """The engine on all cores of a node, preferably one with every time."""
        found = [variant for variant in map(self.variant, NATIVE) if variant]
        return next((variant for variant in found if variant.has_every_time), found[0] if found else None)

    @property
    def rungs(self) -> list[Variant]:
        """The steps of the Spark tax, beginning with one native thread. Empty if its ends were not measured."""
        found = [variant for variant in (self.one_thread, self.native, *map(self.variant, RUNGS)) if variant]
        return found if len(found) > 2 and self.one_thread and self.variant(RUNGS[-1]) else []

    @property
    def fastest(self) -> list[Variant]:
        """Engines that applied the same model on all cores in every round, the fastest first."""
        rounds = max((len(variant.timed) for variant in self.variants), default=0)
        found = [
            variant
            for variant in self.variants
            if variant.applies_the_same_model
            and not variant.threads
            and variant.has_every_time
            and len(variant.timed) == rounds
        ]
        return sorted(found, key=_rate, reverse=True)


def _rate(variant: Variant) -> float:
    return variant.rows_per_second.median if variant.rows_per_second else -math.inf


def comparisons(records: Iterable[RunRecord]) -> list[Predictions]:
    """One per workload, data set, sample, cluster, device and model, in the order of the records."""
    found = []
    for variants in by_subject("inference", records, _subject, _variant):
        sizes = defaultdict(set)
        for engine, _, size in variants:
            sizes[engine].add(size)
        made = [
            Variant(of_variant[0].case, of_variant, len(sizes[variant[0]]) > 1)
            for variant, of_variant in variants.items()
        ]
        found.append(Predictions(made[0].case, made))
    return sorted(found, key=lambda one: (one.case.workload, one.case.cluster, one.case.dataset, one.case.fraction))


def _subject(case: Case) -> str:
    """The key of cases that are compared. Threads and batches may differ, and stand beside the engine's name."""
    return case.subject_key("version", "fraction", without=("arguments", *OF_A_VARIANT))


def _variant(case: Case) -> tuple[str, int, int]:
    return case.engine, int(case.params["threads"]), int(case.params["batch_rows"])


def advice(comparison: Predictions) -> Answer | None:
    """Says which engine to use for these rows, and why. Returns None if fewer than two have a time."""
    variants = comparison.fastest
    if len(variants) < 2:
        return None
    best, other, verdicts = variants[0], variants[1], pairs(len(variants))
    margins = [_margin(best, other, verdicts)]
    text = f"Use {best.label}: {margins[0].text}"
    if best.case.placement == "node":
        inside = next((variant for variant in variants if variant.case.placement == "spark"), None)
        if inside and inside is not other:
            margins.append(_margin(best, inside, verdicts))
            text += f", {margins[-1].text}"
        text += ", as long as one node is fast enough"
    loads, fewer = other.figure("model_loads"), best.figure("model_loads")
    seconds = other.figure("model_load_seconds")
    spent = Spread.of([metrics.time_to_model(r) * r.resources.cores for r in other.timed])
    if loads and fewer and loads.median > fewer.median and seconds and spent and seconds.median > 0.2 * spent.median:
        text += (
            f"; {other.label} loads the model {loads.median:,.0f} times, {seconds.median / spent.median:.0%} of its "
            "core time"
        )
    return recommended(f"{text}.", margins)


def _margin(best: Variant, other: Variant, verdicts: int) -> Margin:
    return margin(best.over(other), "times the rows per second of", other.label, verdicts)
