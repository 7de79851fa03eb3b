"""Builds the asv classes in `benchmarks/`: each class reads the records of one pattern, one case at a time."""

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
from sparkscale.history.grid import Axes, Point, axes, known_axes, planned_point, points, record_point
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
"""The folder of asv's files."""

TIMEOUT = 6 * 3600.0
"""Seconds without output after which asv ends a process.

Each execution has the deadline of its suite, and prints a line when it ends.
"""

UNITS = {"s": "seconds", "bytes": "bytes"}
"""The units that asv knows, with asv's name for each. asv also shows multiples and parts of these units."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """The settings of `asv run`: the cases to measure, and the folder of the records (`out`).

    asv passes only environment variables to its processes, so these settings are read from them.
    """

    suite: str = "asv"
    out: Path = ROOT / "results"
    rounds: int | None = None
    clusters: tuple[str, ...] | None = None
    invocation: str | None = None
    """The id of a run that has been measured already. None: each class begins a run."""

    @classmethod
    def of_environment(cls) -> "Settings":
        """Reads the settings from environment variables.

        Relative paths start at the checkout's folder, because asv changes the working directory.
        """
        values = {name: value for name in _VARIABLES if (value := os.environ.get(f"SPARKSCALE_{name.upper()}"))}
        return cls(
            suite=absolute_if_file(values.get("suite", cls.suite)),
            out=ROOT / values.get("out", cls.out),
            rounds=int(values["rounds"]) if "rounds" in values else None,
            clusters=tuple(map(absolute_if_file, values["cluster"].split(","))) if "cluster" in values else None,
            invocation=values.get("invocation"),
        )

    def variables(self) -> dict[str, str]:
        """Returns the environment variables that give a process these settings."""
        values = {
            "suite": self.suite,
            "out": str(self.out),
            "rounds": str(self.rounds) if self.rounds else "",
            "cluster": ",".join(self.clusters or ()),
            "invocation": self.invocation or "",
        }
        return {f"SPARKSCALE_{name.upper()}": value for name, value in values.items()}


def absolute_if_file(name: str, folder: Path = ROOT) -> str:
    """Returns the absolute path if `folder` has a file of this name; otherwise returns the name unchanged."""
    path = folder / name
    return str(path) if path.is_file() else name


_VARIABLES = ("suite", "out", "rounds", "cluster", "invocation")


class Recorded:
    """Base of the asv classes.

    asv calls `setup` before each `track_*`, in a separate process for each combination of parameters.
    """

    pattern: ClassVar[str]

    def setup(self, invocation: str, *parameters: str) -> None:
        """Reads the records of a case from a run. Measures the case first if the run has no records of it.

        `invocation` is the id of the run, and `parameters` are the fields of the case's `Point`. Raises
        NotImplementedError, with the reason, if the suite lacks the case or the case has no result. asv then shows
        n/a.
        """
        self.records = _records(Settings.of_environment(), invocation, self.pattern, Point(*parameters))


def benchmark_class(pattern: str) -> str:
    """Returns the name of the asv class for a pattern.

    The class is in the module of `benchmarks/` that has the name of the pattern.
    """
    return "".join(word.capitalize() for word in pattern.split("_"))


def benchmark(pattern: str, metric: str) -> str:
    """Returns the name under which asv stores this metric of a pattern."""
    return f"{pattern}.{benchmark_class(pattern)}.track_{metric}"


def case_matches(case: PlannedCase, planned_suite: Suite, expressions: Sequence[str]) -> bool:
    """Returns true if asv's `--bench` with these regular expressions selects a metric of the case.

    Without expressions it selects everything.
    """
    pattern = case.workload.pattern.name
    parameters = ", ".join(map(repr, planned_point(case, planned_suite)))
    names = [f"{benchmark(pattern, metric.name)}({parameters})" for metric in tracked_metrics(pattern)]
    return any_matches(names, expressions)


def any_matches(names: Sequence[str], expressions: Sequence[str]) -> bool:
    """Returns true if asv's `--bench` with these regular expressions selects one of the benchmarks.

    Without expressions it selects everything.
    """
    return not expressions or any(re.search(expression, name) for expression in expressions for name in names)


def tracked_metrics(pattern: str) -> list[Metric]:
    """Returns the metrics of a pattern that asv keeps. In all of them lower is better, as asv assumes."""
    return [
        metric
        for metric in metrics(workload.description for workload in registry.own_workloads().values()).values()
        if metric.in_history and metric.direction == "lower" and (not metric.patterns or pattern in metric.patterns)
    ]


@cache
def span(pattern: str) -> Axes:
    """Returns all values that each asv parameter of a pattern can have.

    They come from the suite and from asv's earlier results.
    """
    settings = Settings.of_environment()
    suite_points = points(suite.load(settings.suite), settings.clusters, pattern)
    try:
        recorded_axes = known_axes(RESULTS / "benchmarks.json", f"{pattern}.{benchmark_class(pattern)}.")
    except (ValueError, KeyError, AttributeError, SyntaxError):
        log.warning("results/asv/benchmarks.json is damaged: it stays as it is, and its parameters are left out")
        recorded_axes = ([], [], [], [], [])
    return axes(suite_points, recorded_axes)


def version(pattern: str, metric: Metric | None = None) -> str:
    """Returns a digest of the metric's version and the versions of the pattern's workloads.

    A workload or a metric gets a new version if its values are no longer comparable with earlier values.
    """
    changed_versions = sorted(
        (workload.name, workload.version)
        for workload in registry.workloads().values()
        if workload.pattern.name == pattern and workload.version > 1
    )
    return digest([changed_versions, metric.version if metric else None])


def run_to_read() -> str:
    """Returns the id of the run from which an asv class reads records. Begins a run if the settings name none.

    Each asv class calls this function in its `setup_cache`.
    """
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
    """Gives a class one `track_*` method per metric.

    If a parameter has no values, the class gets no method, because asv has nothing to run for it.
    """
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
    """Returns the records of one case without its warm-ups.

    Measures the case first if the run has no records of it.
    """
    with Store.existing(settings.out) as store:
        invocation = store.invocation(identity=identity)
        run_records = store.records(identity)
        check_same_origin(run_records, store)
    measured_suite = suite.load(invocation.suite)
    case_records = _timed_records(pattern, point, run_records, measured_suite)
    if not case_records:
        if point not in points(measured_suite, invocation.clusters, pattern):
            raise NotImplementedError(f"the suite {measured_suite.name} has no such case")
        request = Request(
            invocation.suite,
            settings.out,
            resume=True,
            invocation=identity,
            only=lambda case: case.workload.pattern.name == pattern and planned_point(case, measured_suite) == point,
        )
        with interruptible():
            case_records = _timed_records(pattern, point, measure(request, observer).records, measured_suite)
    reasons = {
        f"{record.outcome}: {record.error and record.error.message}"
        for record in case_records
        if record.outcome != "ok"
    }
    if all(record.outcome != "ok" for record in case_records):
        raise NotImplementedError("; ".join(sorted(reasons)) or "the case was not measured")
    for reason in sorted(reasons):
        print(f"not counted: {reason}", file=sys.stderr)  # noqa: T201 - into asv's log
    return case_records


def _timed_records(pattern: str, point: Point, records: list[RunRecord], measured_suite: Suite) -> list[RunRecord]:
    return [
        record
        for record in records
        if record.case.pattern == pattern and not record.is_warmup and record_point(record, measured_suite) == point
    ]
