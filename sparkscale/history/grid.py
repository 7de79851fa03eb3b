"""Where a figure stands in asv: the parameters of a case, and the axes that the cases of suites span."""

import ast
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from sparkscale.contract.case import by_path, parse_fraction, show_fraction
from sparkscale.contract.declared import WorkloadDescription
from sparkscale.contract.record import RunRecord
from sparkscale.measure.plan.cases import PlannedCase, planned_cases
from sparkscale.measure.plan.suite import Suite
from workloads.datasets.source import Source

Axes = tuple[list[str], list[str], list[str], list[str], list[str]]


class Point(NamedTuple):
    """One combination of asv's parameters: what figures of different commits must share to be comparable."""

    engine: str
    """Workload and engine, and the parameters that are not the workload's defaults."""
    data: str
    """The data set and its rows, hold-out included."""
    fraction: str
    device: str
    cluster: str


def of_planned(case: PlannedCase, suite: Suite) -> Point:
    return Point(
        _engine(
            case.workload.description,
            case.engine.name,
            case.parameter_set,
            _told(case.workload.description, case.params.model_dump(mode="json")),
            case.capacity.param if case.capacity else None,
        ),
        _data(suite.source(case.dataset)),
        show_fraction(case.fraction),
        case.device,
        case.cluster.name,
    )


def of_record(record: RunRecord, suite: Suite) -> Point:
    """Of a record of this suite. Raises KeyError when the suite has no such data set."""
    case = record.case
    sources = {source.title: source for source in map(suite.source, _datasets(suite))}
    capacity = case.params.get("capacity")
    workload = record.declared
    unsaid = _unsaid(workload, suite, sources[case.dataset])
    left_out = {"set", "arguments", "capacity", *unsaid}
    params = {name: value for name, value in case.params.items() if name not in left_out}
    return Point(
        _engine(
            workload,
            case.engine,
            case.parameter_set,
            _told(workload, params),
            capacity["param"] if capacity else None,
        ),
        _data(sources[case.dataset]),
        show_fraction(case.fraction),
        case.device,
        case.cluster,
    )


def _told(workload: WorkloadDescription, params: Mapping[str, Any]) -> dict[str, Any]:
    """Without the target, which a case is given after it was planned: a figure of the same searches."""
    return {name: value for name, value in params.items() if name != workload.target}


def _unsaid(workload: WorkloadDescription, suite: Suite, source: Source) -> set[str]:
    """Parameters that the suite leaves to the data set, such as the grouping: only the record has them."""
    blocks = [
        block
        for block in suite.measure
        if block.workload == workload.workload and source in [suite.source(name) for name in block.datasets]
    ]
    open_to_data = {name for name, value in workload.params.items() if value == ""}
    return {name for name in open_to_data if not any({*block.params, *block.sweep} & {name} for block in blocks)}


def points(suite: Suite, clusters: tuple[str, ...] | None, pattern: str) -> list[Point]:
    """Of the suite's cases of one pattern, each once."""
    cases = planned_cases(suite, clusters=clusters)
    return list(dict.fromkeys(of_planned(case, suite) for case in cases if case.workload.pattern.name == pattern))


def axes(found: Iterable[Point], known: Axes) -> Axes:
    """What the points span, united with what is known already: asv shows no figure outside of its axes."""
    united = [list(dict.fromkeys([*axis, *values])) for axis, values in zip(known, _columns(found), strict=True)]
    engines, data, fractions, devices, clusters = united
    return (
        sorted(engines),
        sorted(data),
        sorted(fractions, key=parse_fraction),
        sorted(devices),
        sorted(clusters),
    )


def known_axes(benchmarks: Path, prefix: str) -> Axes:
    """The axes that asv's `benchmarks.json` has for benchmarks whose names begin so; empty where it has none.

    Raises ValueError when the file is damaged.
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


def _columns(found: Iterable[Point]) -> list[list[str]]:
    listed = list(found)
    return [[point[axis] for point in listed] for axis in range(len(Point._fields))]


def _datasets(suite: Suite) -> list[str]:
    return list(dict.fromkeys(name for block in suite.measure for name in block.datasets))


def _engine(
    workload: WorkloadDescription, engine: str, parameter_set: str, params: Mapping[str, Any], capacity: str | None
) -> str:
    label = f"{workload.workload.split('.', 1)[1]}/{engine}"
    if parameter_set == "defaults":
        return f"{label} (defaults)"
    chosen = capacity if parameter_set == "tuned" else None
    usual = by_path(workload.params)
    other = {name: value for name, value in by_path(params).items() if name != chosen and usual.get(name) != value}
    words = " ".join(f"{name}={_written(value)}" for name, value in sorted(other.items()))
    return label + (f" ({parameter_set})" if parameter_set != "aligned" else "") + (f" {words}" if words else "")


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


@cache  # asked of each record, and of a table read from its files
def _data(source: Source) -> str:
    """Its title, rows, and all else that is not as usual; not where its files lie."""
    fields = type(source).model_fields
    said = source.model_dump(mode="json", exclude={"name", "kind", "rows", "path"})
    usual = {name: field.get_default(call_default_factory=True) for name, field in fields.items()}
    other = [f"{name}={_written(value)}" for name, value in said.items() if value != usual[name]]
    rows = source.stated_rows
    words = [*([] if rows is None else [f"{rows:,} rows"]), *other]
    return f"{source.title} ({', '.join(words)})" if words else source.title
