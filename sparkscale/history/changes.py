"""`sparkscale history`: finds the commits at which a metric changed, from all records of a store."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from sparkscale.analysis import changes_report, steps
from sparkscale.analysis.blocks import Block
from sparkscale.analysis.every_metric import of_records
from sparkscale.analysis.metrics import Metric
from sparkscale.analysis.series import Collected, Series, collect, countable, invocations_of
from sparkscale.contract.case import parse_fraction, show_fraction
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import named
from sparkscale.contract.record import RunRecord
from sparkscale.history import detection, git
from sparkscale.measure.worker.descriptions import ROOT
from sparkscale.store.store import Store


@dataclass(frozen=True)
class Request:
    """The user's request: a metric, and the records to look at. None selects all.

    Engines, workloads and clusters are names, which may contain wildcards.
    """

    metric: str
    engines: tuple[str, ...] | None = None
    workloads: tuple[str, ...] | None = None
    clusters: tuple[str, ...] | None = None
    fractions: tuple[str, ...] | None = None


def changes(store: Store, request: Request, root: Path = ROOT) -> list[Block]:
    """Returns the report of the changes of a metric over the commits of the checkout `root`.

    Raises ConfigError if the store has no such metric, or no record that the request selects.
    """
    every_record = store.records()
    if not every_record:
        raise ConfigError(f"{store.path} has no records: measure some with `sparkscale bench`.")
    records = _selected(every_record, request)
    metric = _metric(request.metric, records)
    invocations = invocations_of(store)
    counted, left_out = countable(records, invocations)
    collected = collect(store, metric, counted, invocations, positions(root))
    changes_by_series = _changes(collected)
    unconfirmed = [
        one
        for one, of_series in zip(collected.series, changes_by_series, strict=True)
        if not of_series and one.is_long_enough and len(detection.steps_of_asv(_rounds(one))) > 1
    ]
    by_position = {position: of_series for position, of_series in enumerate(changes_by_series) if of_series}
    return list(changes_report.report(store, collected, by_position, unconfirmed, left_out))


def positions(root: Path) -> dict[str, int]:
    """Returns the position of each commit in the history of a checkout's HEAD, the oldest first.

    A parent always comes before its children. Empty if the folder is no git repository, or if git is not installed.
    """
    commits = (git.output(root, "rev-list", "--topo-order", "--reverse", "HEAD") or "").split()
    return {commit: position for position, commit in enumerate(commits)}


def _changes(collected: Collected) -> list[tuple[steps.Step, ...]]:
    """Returns the changes of each series. p is adjusted for all series that are long enough."""
    long = [one for one in collected.series if one.is_long_enough]
    judged = iter(steps.adjusted([steps.steps(_rounds(one), _candidates(one)) for one in long]))
    return [next(judged) if one.is_long_enough else () for one in collected.series]


def _candidates(series: Series) -> list[steps.Segments]:
    """Returns ways to split a series, without the segments that have enough points but too few commits.

    A commit has several points if it was measured with several sets of releases.
    """
    commits = [point.commit for point in series.points]
    return [
        tuple((first, end) for first, end in segments if len(set(commits[first:end])) >= steps.FEWEST)
        for segments in detection.candidates(_rounds(series))
    ]


def _rounds(series: Series) -> list[tuple[float, ...]]:
    return [point.rounds for point in series.points]


def _metric(name: str, records: Sequence[RunRecord]) -> Metric:
    """Returns the metric of this name. Raises ConfigError with similar names if the records cannot have it."""
    known = of_records(records)
    if name in known:
        return known[name]
    similar = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Similar: {', '.join(similar)}." if similar else ""
    raise ConfigError(f"The records have no metric '{name}'.{hint} `sparkscale list metrics` lists all.")


def _selected(records: list[RunRecord], request: Request) -> list[RunRecord]:
    """Returns the records that the request selects.

    Raises ConfigError if a name or a fraction selects none, or if a fraction is not valid.
    """
    options: tuple[tuple[str, tuple[str, ...] | None, Callable[[RunRecord], Sequence[str]]], ...] = (
        ("workload", request.workloads, _workload_names),
        ("engine", request.engines, lambda record: (record.case.engine,)),
        ("cluster", request.clusters, lambda record: (record.case.cluster,)),
        ("fraction", _fractions(request.fractions), lambda record: (show_fraction(record.case.fraction),)),
    )
    for option, wanted, names in options:
        if wanted is None:
            continue
        present = sorted({names(record)[0] for record in records})
        for one in wanted:
            if not any(fnmatchcase(name, one) for record in records for name in names(record)):
                raise ConfigError(f"--{option} {one} selects no record: there are {named(present)}.")
        records = [
            record for record in records if any(fnmatchcase(name, one) for name in names(record) for one in wanted)
        ]
    return records


def _workload_names(record: RunRecord) -> tuple[str, ...]:
    """Returns the workload's name, and its last part, such as gradient_boosting."""
    return record.case.workload, record.case.workload.partition(".")[2]


def _fractions(texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Returns fractions as tables show them. Raises ConfigError if one is not valid."""
    try:
        return None if texts is None else tuple(show_fraction(parse_fraction(text)) for text in texts)
    except (ValueError, ZeroDivisionError) as error:
        why = error if "power of two" in str(error) else f"{','.join(texts or ())} is no fraction"
        raise ConfigError(f"--fraction: {why}. Write it like 1/4 or 1.") from error
