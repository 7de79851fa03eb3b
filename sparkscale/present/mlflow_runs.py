"""Describes the cases of a run as runs of MLflow: names, parameters, metrics, tags, status and times.

MLflow itself is not needed here. `mlflow_store` writes the descriptions.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sparkscale.analysis import circumstances
from sparkscale.analysis.every_metric import of_records
from sparkscale.analysis.metrics import Metric, latest
from sparkscale.contract.case import by_path, digest, show_fraction
from sparkscale.contract.record import RunRecord
from sparkscale.store.discreet import DiscreetStore
from sparkscale.store.invocation import Invocation

LONGEST_NAME = 250
"""MLflow allows this many characters in the name of a parameter, metric or tag."""
LONGEST_PARAMETER = 6000
LONGEST_TAG = 5000
"""MLflow allows 8000 characters in the value of a tag, and older servers 5000."""
FORBIDDEN = re.compile(r"[^\w.\- ]")
"""Characters that a name may not have. MLflow also allows "/" and ":", but not in each place and system."""
PARAMETERS = "parameters.json"
"""The artifact with all parameters of a case, if MLflow cannot hold one of them as it is."""
RUN, CASE, EXPORTED, ANONYMOUS = "sparkscale.run", "sparkscale.case", "sparkscale.exported", "sparkscale.anonymous"
"""The tags by which a later export finds a run of MLflow again, and sees if it is complete."""
ALL_CASES = "all"
"""The value of the tag `sparkscale.case` in the parent run, below which the cases lie."""
NOTE, COMMIT, SOURCE = "mlflow.note.content", "mlflow.source.git.commit", "mlflow.source.name"
"""Tags that MLflow's pages show as description, version and source."""
TAGS = (NOTE, COMMIT, SOURCE, "executions", "outcomes", "records", "error", "suite", "host", "commit", "dirty")
"""The names of all other tags of an export. A long one goes on in "NAME.2" and so on."""
TAGS_BY_NAME = ("unit.", "varies.", "version.")
"""What the names of tags begin with that exist for each metric, parameter or package."""
OWN_TAG = re.compile(
    rf"(?:{'|'.join(map(re.escape, TAGS))})(?:\.\d+)?|(?:{'|'.join(map(re.escape, TAGS_BY_NAME))}).+"
)
"""Matches the names of these tags. Other tags of a run of MLflow are the user's, or MLflow's own."""


@dataclass(frozen=True)
class Point:
    """The value of a metric in one round. `milliseconds` is the start of the execution since 1970."""

    metric: str
    value: float
    round: int
    milliseconds: int


@dataclass(frozen=True)
class Described:
    """A run of MLflow: a case without its seeds, or the parent of all cases.

    `identity` distinguishes the runs of MLflow that belong to one run of sparkscale. `files` holds texts that become
    artifacts, by file name. Times are milliseconds since 1970.
    """

    identity: str
    name: str
    params: dict[str, str]
    tags: dict[str, str]
    points: tuple[Point, ...]
    files: dict[str, str]
    has_result: bool
    started: int
    ended: int

    @property
    def digest(self) -> str:
        """An id of all contents. If an earlier export has the same, nothing is new."""
        points = [(one.metric, repr(one.value), one.round, one.milliseconds) for one in self.points]
        return digest([self.name, self.params, self.tags, points, self.files, self.has_result])


def described(view: DiscreetStore, invocation: Invocation) -> list[Described]:
    """Returns the parent of all cases of a run, and then a run of MLflow for each case without its seeds.

    Warm-ups are left out. So are cases that have only warm-ups so far.
    """
    cases: dict[str, list[RunRecord]] = {}
    records = latest(view.records(invocation.id))
    for record in records:
        cases.setdefault(record.case.experiment, []).append(record)
    all_metrics = of_records(records)
    parent = _parent(view, invocation, records)
    return [parent, *(_case(view, invocation, own, all_metrics) for own in cases.values())]


def _parent(view: DiscreetStore, invocation: Invocation, records: Sequence[RunRecord]) -> Described:
    note = (
        f"Run `{invocation.id}` of the suite `{invocation.suite}`. Its report is the artifact `report.html`. "
        "Below this run lies one run for each case; a step of its metrics is a round."
    )
    tags = {NOTE: note, "executions": f"{len(records)} of {invocation.executions or len(records)}"}
    tags |= _circumstances(view, invocation, records)
    started, ended = _times(invocation, records)
    has_result = any(record.outcome == "ok" for record in records)
    name = f"{invocation.suite} {invocation.id}"
    return Described(ALL_CASES, name, {}, _fitting_tags(tags), (), {}, has_result, started, ended)


def _case(
    view: DiscreetStore, invocation: Invocation, records: Sequence[RunRecord], all_metrics: Mapping[str, Metric]
) -> Described:
    """Describes the records of one case, which differ only in their seeds."""
    first = records[0]
    given = [_given(view, record) for record in records]
    params, files = _fitting_params(given[0])
    points = tuple(_points(invocation, records, all_metrics))
    measured = [all_metrics[name] for name in dict.fromkeys(point.metric for point in points)]
    errors = [record for record in records if record.error is not None]
    tags = {
        NOTE: _note(first, measured),
        "outcomes": ", ".join(f"{n} {outcome}" for outcome, n in Counter(r.outcome for r in records).most_common()),
        **{f"unit.{metric.name}": metric.unit for metric in measured},
        **{f"varies.{name}": text for name, text in _varying(given)},
        "records": ", ".join(record.id for record in records),
        **_circumstances(view, invocation, records),
    }
    if errors and errors[0].error is not None:
        tags["error"] = f"{errors[0].outcome} in round {errors[0].round}: {errors[0].error.first_line}"
    named_points = tuple(Point(_name(one.metric), one.value, one.round, one.milliseconds) for one in points)
    started, ended = _times(invocation, records)
    return Described(
        first.case.experiment,
        _title(first),
        params,
        _fitting_tags(tags),
        named_points,
        files,
        any(record.outcome == "ok" for record in records),
        started,
        ended,
    )


def _title(record: RunRecord) -> str:
    """Returns a name such as "gradient_boosting xgboost flights 1/4 local cpu"."""
    case = record.case
    kind = "" if case.parameter_set == "aligned" else f" ({case.parameter_set})"
    words = (case.dataset, show_fraction(case.fraction), case.cluster, case.device)
    return f"{case.workload.rpartition('.')[2]} {record.engine}{kind} {' '.join(words)}"


def _note(record: RunRecord, measured: Sequence[Metric]) -> str:
    rows = [f"| {one.name} | {one.unit} | {one.direction} | {one.summary} |" for one in measured]
    table = "\n".join(["| metric | unit | better | what it is |", "|---|---|---|---|", *rows])
    return f"{record.case.label}. A step is a round.\n\n{table if rows else 'No execution has a result.'}"


def _given(view: DiscreetStore, record: RunRecord) -> dict[str, Any]:
    """Returns everything that was set for an execution. A value that is not known is left out."""
    case = record.case
    fields = {
        "workload": case.workload,
        "version": case.version,
        "pattern": case.pattern,
        "task": case.task,
        "engine": case.engine,
        "placement": case.placement,
        "cluster": case.cluster,
        "cluster_kind": case.cluster_kind,
        "device": case.device,
        "data_set": case.dataset,
        "rows": case.rows,
        "fraction": case.fraction,
        "threads": case.threads,
        "parameter_set": case.parameter_set,
    }
    stated = by_path(case.params_without("set", "arguments"), "params.")
    values = {**stated, **by_path(case.arguments, "arguments.")}
    cleaned = {name: view.text(value) if isinstance(value, str) else value for name, value in values.items()}
    return {name: value for name, value in fields.items() if value is not None} | cleaned


def _varying(given: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yields each name of a parameter with several values, such as a seed, and the text of these values."""
    for name in dict.fromkeys(name for one in given for name in one):
        values = list(dict.fromkeys(_text(one.get(name)) for one in given))
        if len(values) > 1:
            yield name, ", ".join(values)


def _fitting_params(given: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the parameters as MLflow can hold them, and the artifact with all of them if one had to change."""
    params: dict[str, str] = {}
    for name, value in given.items():
        text = _text(value)
        short = text if len(text) <= LONGEST_PARAMETER else f"{text[: LONGEST_PARAMETER - 1]}…"
        params[_unused(_name(name), params)] = short
    is_changed = params != {name: _text(value) for name, value in given.items()}
    return params, {PARAMETERS: json.dumps(given, indent=1, ensure_ascii=False)} if is_changed else {}


def _fitting_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Returns the tags as MLflow can hold them. The rest of a long text follows in "NAME.2", "NAME.3" and so on."""
    fitting: dict[str, str] = {}
    for name, text in tags.items():
        for start in range(0, len(text), LONGEST_TAG):
            fitting[_unused(_name(name), fitting)] = text[start : start + LONGEST_TAG]
    return fitting


def _name(name: str) -> str:
    """Returns a name that MLflow allows. Characters that it forbids become "_", and a long name is cut."""
    cleaned = FORBIDDEN.sub("_", name).lstrip(".") or "_"
    return cleaned if len(cleaned) <= LONGEST_NAME - 5 else f"{cleaned[: LONGEST_NAME - 22]}-{digest(name)}"


def _unused(name: str, names: Mapping[str, str]) -> str:
    """Returns the name, or the first of "NAME.2", "NAME.3" and so on that is not in use yet."""
    number, free = 1, name
    while free in names:
        number += 1
        free = f"{name}.{number}"
    return free


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _points(
    invocation: Invocation, records: Sequence[RunRecord], all_metrics: Mapping[str, Metric]
) -> Iterator[Point]:
    """Yields one value for each metric and round.

    A round may have a warm execution and one in a worker of its own, which has memory. The latter gives only the
    metrics that the former lacks.
    """
    known: set[tuple[str, int]] = set()
    for record in sorted(records, key=lambda one: (one.isolated, one.round)):
        for metric in all_metrics.values():
            samples = metric.samples([record])
            if samples and (metric.name, record.round) not in known:
                known.add((metric.name, record.round))
                yield Point(metric.name, samples[0], record.round, _milliseconds(_start(invocation, record)))


def _circumstances(view: DiscreetStore, invocation: Invocation, records: Sequence[RunRecord]) -> dict[str, str]:
    """Returns the tags for suite, host, commit and versions, as far as they are known."""
    tags = {"suite": invocation.suite, SOURCE: "sparkscale"}
    if not records:
        return tags
    last = records[-1]
    if last.code.commit:
        tags |= {"commit": last.code.commit, COMMIT: last.code.commit}
    if last.code.dirty is not None:
        tags["dirty"] = _text(last.code.dirty)
    if last.case.is_published:
        tags["host"] = "measured and published by others"
    elif host := view.content(last.host):
        tags["host"] = circumstances.host(host)
    if software := view.content(last.software):
        tags |= {f"version.{name}": version for name, version in circumstances.releases(software).items()}
    return tags


def _times(invocation: Invocation, records: Sequence[RunRecord]) -> tuple[int, int]:
    """Returns the start of the first execution and the end of the last."""
    starts = [_start(invocation, record) for record in records] or [invocation.started_at]
    ends = [_start(invocation, record) + timedelta(seconds=sum(record.seconds.values())) for record in records]
    return _milliseconds(min(starts)), _milliseconds(max(ends, default=starts[0]))


def _start(invocation: Invocation, record: RunRecord) -> datetime:
    """Returns the start of an execution. For measurements of others it is the time of the import."""
    return record.started_at or invocation.started_at


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
