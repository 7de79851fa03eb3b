"""What asv's classes in `benchmarks/` are made of: each reads the records of one pattern, a case at a time."""

import logging
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from sparkscale.analysis.every_metric import metrics
from sparkscale.analysis.metrics import Metric
from sparkscale.contract.case import digest
from sparkscale.contract.record import RunRecord
from sparkscale.history.grid import Axes, Point, axes, known_axes, of_planned, of_record, points
from sparkscale.interrupt import interruptible
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import PlannedCase
from sparkscale.measure.plan.suite import Suite
from sparkscale.measure.run.origin import check_same_origin
from sparkscale.measure.run.progress import observer
from sparkscale.measure.run.run import Request, begin, measure
from sparkscale.measure.worker.descriptions import ROOT
from sparkscale.store.store import Store
from workloads import registry

RESULTS = ROOT / "results" / "asv"
"""asv's files there."""

TIMEOUT = 6 * 3600.0
"""Seconds: of silence, as asv counts them; each execution has the deadline of its suite, and a line when it ends."""

UNITS = {"s": "seconds", "bytes": "bytes"}
"""Those that asv shows in larger and smaller ones."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What `asv run` measures, and where its records are: from the environment, for asv hands on nothing else."""

    suite: str = "asv"
    out: Path = ROOT / "results"
    rounds: int | None = None
    clusters: tuple[str, ...] | None = None
    invocation: str | None = None
    """A run that has been measured already; None: each class begins one."""

    @classmethod
    def of_environment(cls) -> "Settings":
        """Paths are relative to the checkout: asv changes the working directory."""
        said = {name: value for name in _VARIABLES if (value := os.environ.get(f"SPARKSCALE_{name.upper()}"))}
        return cls(
            suite=placed(said.get("suite", cls.suite)),
            out=ROOT / said.get("out", cls.out),
            rounds=int(said["rounds"]) if "rounds" in said else None,
            clusters=tuple(map(placed, said["cluster"].split(","))) if "cluster" in said else None,
            invocation=said.get("invocation"),
        )

    def variables(self) -> dict[str, str]:
        """The environment of a process for which these hold."""
        found = {
            "suite": self.suite,
            "out": str(self.out),
            "rounds": str(self.rounds) if self.rounds else "",
            "cluster": ",".join(self.clusters or ()),
            "invocation": self.invocation or "",
        }
        return {f"SPARKSCALE_{name.upper()}": value for name, value in found.items()}


def placed(name: str, folder: Path = ROOT) -> str:
    """A name as it is, a file's path absolute."""
    path = folder / name
    return str(path) if path.is_file() else name


_VARIABLES = ("suite", "out", "rounds", "cluster", "invocation")


class Recorded:
    """Base of the classes. asv calls `setup` before each `track_*`, in a process of its own for each combination."""

    pattern: ClassVar[str]

    def setup(self, invocation: str, *parameters: str) -> None:
        """The case's records of this run, measured if there are none.

        Raises NotImplementedError, which asv shows as n/a, where there is no figure: with the reason.
        """
        self.records = _records(Settings.of_environment(), invocation, self.pattern, Point(*parameters))


def benchmark_class(pattern: str) -> str:
    """The name of a pattern's class, which stands in a module that is named after the pattern."""
    return "".join(word.capitalize() for word in pattern.split("_"))


def benchmark(pattern: str, metric: str) -> str:
    """asv's name of a metric of a pattern."""
    return f"{pattern}.{benchmark_class(pattern)}.track_{metric}"


def chosen(case: PlannedCase, of_suite: Suite, expressions: Sequence[str]) -> bool:
    """Whether asv's `--bench` with these regular expressions takes any figure of a case; without any it takes all."""
    pattern = case.workload.pattern.name
    parameters = ", ".join(map(repr, of_planned(case, of_suite)))
    names = [f"{benchmark(pattern, metric.name)}({parameters})" for metric in tracked_metrics(pattern)]
    return taken(names, expressions)


def taken(names: Sequence[str], expressions: Sequence[str]) -> bool:
    """Whether any of these benchmarks is one that asv's `--bench` takes; without any expression it takes all."""
    return not expressions or any(re.search(expression, name) for expression in expressions for name in names)


def tracked_metrics(pattern: str) -> list[Metric]:
    """Of asv smaller is always better."""
    return [
        metric
        for metric in metrics(workload.description for workload in registry.own_workloads().values()).values()
        if metric.in_history and metric.direction == "lower" and (not metric.patterns or pattern in metric.patterns)
    ]


@cache
def span(pattern: str) -> Axes:
    """The parameters of a pattern's class: those of the suite, and those of what was recorded before."""
    settings = Settings.of_environment()
    found = points(suite.load(settings.suite), settings.clusters, pattern)
    try:
        known = known_axes(RESULTS / "benchmarks.json", f"{pattern}.{benchmark_class(pattern)}.")
    except (ValueError, KeyError, AttributeError, SyntaxError):
        log.warning("results/asv/benchmarks.json is damaged: it is left alone, and adds no parameters")
        known = ([], [], [], [], [])
    return axes(found, known)


def version(pattern: str, metric: Metric | None = None) -> str:
    """Changes when figures stop being comparable with earlier ones: as a workload says, or the metric."""
    raised = sorted(
        (workload.name, workload.version)
        for workload in registry.workloads().values()
        if workload.pattern.name == pattern and workload.version > 1
    )
    return digest([raised, metric.version if metric else None])


def begun() -> str:
    """For a class's `setup_cache`: the run whose records it reads, a new one where none was measured beforehand."""
    settings = Settings.of_environment()
    if settings.invocation:
        return settings.invocation
    request = Request(
        settings.suite,
        settings.out,
        rounds=settings.rounds,
        clusters=settings.clusters,
        command="asv",
        fixed_seeds=True,
    )
    return begin(request).id


def tracked(cls: type[Recorded]) -> type[Recorded]:
    """Gives a class one `track_*` per metric; none where it has no parameters, for then asv has nothing to run."""
    if all(span(cls.pattern)):
        for metric in tracked_metrics(cls.pattern):
            setattr(cls, f"track_{metric.name}", _track(cls.pattern, metric))
    return cls


def _track(pattern: str, metric: Metric) -> Callable[..., Any]:
    def track(self: Recorded, invocation: str, *parameters: str) -> Any:  # noqa: ARG001 - setup has used them
        samples = metric.samples(self.records)
        return {"samples": samples, "number": 1} if samples else math.nan

    track.__name__ = f"track_{metric.name}"
    track.__doc__ = metric.summary
    attributes = {
        "unit": UNITS.get(metric.unit, metric.unit),
        "pretty_name": f"{pattern.replace('_', '-')}: {metric.name.replace('_', ' ')}",
        "version": version(pattern, metric),
    }
    for name, value in attributes.items():
        setattr(track, name, value)
    return track


def _records(settings: Settings, identity: str, pattern: str, point: Point) -> list[RunRecord]:
    """Of one case, measured when the run has none; warm-ups aside."""
    with Store.existing(settings.out) as store:
        invocation = store.invocation(identity=identity)
        measured = store.records(identity)
        check_same_origin(measured, store)
    of_suite = suite.load(invocation.suite)
    found = _of(pattern, point, measured, of_suite)
    if not found:
        if point not in points(of_suite, invocation.clusters, pattern):
            raise NotImplementedError(f"the suite {of_suite.name} has no such case")
        request = Request(
            invocation.suite,
            settings.out,
            resume=True,
            invocation=identity,
            only=lambda case: case.workload.pattern.name == pattern and of_planned(case, of_suite) == point,
        )
        with interruptible():
            found = _of(pattern, point, measure(request, observer).records, of_suite)
    reasons = {
        f"{record.outcome}: {record.error and record.error.message}" for record in found if record.outcome != "ok"
    }
    if all(record.outcome != "ok" for record in found):
        raise NotImplementedError("; ".join(sorted(reasons)) or "it was not measured")
    for reason in sorted(reasons):
        print(f"not counted: {reason}", file=sys.stderr)  # noqa: T201 - into asv's log
    return found


def _of(pattern: str, point: Point, records: list[RunRecord], of_suite: Suite) -> list[RunRecord]:
    return [
        record
        for record in records
        if record.case.pattern == pattern and not record.is_warmup and of_record(record, of_suite) == point
    ]
