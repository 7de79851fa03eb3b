"""Makes the parameters under which asv stores a case's metrics, and lists all values of each parameter."""

import ast
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from sparkscale.contract.case import by_path, parse_fraction, show_fraction
from sparkscale.contract.declared import WorkloadDescription
from sparkscale.contract.phrases import with_threads
from sparkscale.contract.record import RunRecord
from sparkscale.measure.plan.cases import PlannedCase, planned_cases
from sparkscale.measure.plan.suite import Suite
from workloads.datasets.source import Source

Axes = tuple[list[str], list[str], list[str], list[str], list[str]]
"""All values that each field of Point can have. asv calls them axes."""


class Point(NamedTuple):
    """One combination of asv's parameters. Metrics with equal points are comparable between commits."""

    engine: str
    """Workload and engine, and the parameters that differ from the workload's defaults."""
    data: str
    """The data set and its rows, hold-out included."""
    fraction: str
    device: str
    cluster: str


def planned_point(case: PlannedCase, suite: Suite) -> Point:
    """Returns the point of a planned case of this suite: asv's parameters for the case."""
    return Point(
        _engine(
            case.workload.description,
            with_threads(case.engine.name, case.threads),
            case.parameter_set,
            _without_target(case.workload.description, case.params.model_dump(mode="json")),
            case.capacity.param if case.capacity else None,
        ),
        _data(suite.source(case.dataset)),
        show_fraction(case.fraction),
        case.device,
        case.cluster.name,
    )


def record_point(record: RunRecord, suite: Suite) -> Point:
    """Returns the point of a record of this suite: asv's parameters for the record's case.

    Raises KeyError if the suite lacks the record's data set.
    """
    case = record.case
    sources = {source.title: source for source in map(suite.source, _datasets(suite))}
    capacity = case.params.get("capacity")
    workload = record.declared
    data_params = _left_to_data(workload, suite, sources[case.dataset])
    excluded = {"set", "arguments", "capacity", *data_params}
    params = {name: value for name, value in case.params.items() if name not in excluded}
    return Point(
        _engine(
            workload,
            record.engine,
            case.parameter_set,
            _without_target(workload, params),
            capacity["param"] if capacity else None,
        ),
        _data(sources[case.dataset]),
        show_fraction(case.fraction),
        case.device,
        case.cluster,
    )


def _without_target(workload: WorkloadDescription, params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters without the target loss. A case gets its target only after it was planned.

    A search does the same work with and without a target.
    """
    return {name: value for name, value in params.items() if name != workload.target}


def _left_to_data(workload: WorkloadDescription, suite: Suite, source: Source) -> set[str]:
    """Returns the names of the parameters that the suite leaves open, such as the grouping.

    Only records have values of these parameters.
    """
    blocks = [
        block
        for block in suite.measure
        if block.workload == workload.workload and source in [suite.source(name) for name in block.datasets]
    ]
    open_to_data = {name for name, value in workload.params.items() if value == ""}
    return {name for name in open_to_data if not any({*block.params, *block.sweep} & {name} for block in blocks)}


def points(suite: Suite, clusters: tuple[str, ...] | None, pattern: str) -> list[Point]:
    """Returns the distinct points of the suite's cases of one pattern."""
    cases = planned_cases(suite, clusters=clusters)
    return list(dict.fromkeys(planned_point(case, suite) for case in cases if case.workload.pattern.name == pattern))


def axes(new_points: Iterable[Point], known: Axes) -> Axes:
    """Returns the known axes with the values of new points added, sorted. An axis has all values of a parameter.

    asv shows a metric only at points that are made of values on the axes.
    """
    united = [list(dict.fromkeys([*axis, *values])) for axis, values in zip(known, _columns(new_points), strict=True)]
    engines, data, fractions, devices, clusters = united
    return (
        sorted(engines),
        sorted(data),
        sorted(fractions, key=parse_fraction),
        sorted(devices),
        sorted(clusters),
    )


def known_axes(benchmarks: Path, prefix: str) -> Axes:
    """Returns the axes (see `Axes`) of the benchmarks with this prefix in asv's `benchmarks.json`; empty if none.

    Raises ValueError if the file is damaged.
    """
    empty: Axes = ([], [], [], [], [])
    if not benchmarks.is_file():
        return empty
    for name, content in json.loads(benchmarks.read_text()).items():
        if name.startswith(prefix) and len(content["params"]) == len(empty):
            engines, data, fractions, devices, clusters = (
                [str(ast.literal_eval(value)) for value in axis] for axis in content["params"]
            )
            return engines, data, fractions, devices, clusters
    return empty


def _columns(points: Iterable[Point]) -> list[list[str]]:
    listed = list(points)
    return [[point[axis] for point in listed] for axis in range(len(Point._fields))]


def _datasets(suite: Suite) -> list[str]:
    return list(dict.fromkeys(name for block in suite.measure for name in block.datasets))


def _engine(
    workload: WorkloadDescription, engine: str, parameter_set: str, params: Mapping[str, Any], capacity: str | None
) -> str:
    """Returns the label of an engine: workload/engine, the parameter set, and parameters that are not defaults."""
    label = f"{workload.workload.split('.', 1)[1]}/{engine}"
    if parameter_set == "defaults":
        return f"{label} (defaults)"
    capacity_param = capacity if parameter_set == "tuned" else None
    defaults = by_path(workload.params)
    changed = {
        name: value
        for name, value in by_path(params).items()
        if name != capacity_param and defaults.get(name) != value
    }
    words = " ".join(f"{name}={_written(value)}" for name, value in sorted(changed.items()))
    return label + (f" ({parameter_set})" if parameter_set != "aligned" else "") + (f" {words}" if words else "")


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


@cache  # called for each record, and a table must read its number of rows from files
def _data(source: Source) -> str:
    """Returns the label of a data set: title, rows, and fields that are not defaults. It leaves out the path."""
    fields = type(source).model_fields
    values = source.model_dump(mode="json", exclude={"name", "kind", "rows", "path"})
    defaults = {name: field.get_default(call_default_factory=True) for name, field in fields.items()}
    changed = [f"{name}={_written(value)}" for name, value in values.items() if value != defaults[name]]
    rows = source.stated_rows
    words = [*([] if rows is None else [f"{rows:,} rows"]), *changed]
    return f"{source.title} ({', '.join(words)})" if words else source.title
