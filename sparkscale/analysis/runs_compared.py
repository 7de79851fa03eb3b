"""Puts the results of several runs side by side where they are comparable, and says where they are not."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparkscale.analysis import blocks, metrics
from sparkscale.analysis.blocks import Block, Column, Grid, Heading, Text, Warning
from sparkscale.analysis.conditions import Reader
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.case import by_path, show_fraction
from sparkscale.contract.phrases import named
from sparkscale.contract.record import RunRecord
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

MOST_NAMED = 8
"""The largest number of cases that a sentence about cases of only one run names."""


@dataclass(frozen=True)
class Work:
    """What is compared: a workload on a data set, a cluster and a device. `records` holds those of each run."""

    workload: str
    dataset: str
    cluster: str
    device: str
    records: tuple[tuple[RunRecord, ...], ...]

    @property
    def words(self) -> str:
        return f"{self.workload} on {self.dataset}, cluster {self.cluster}, {self.device}"


def runs_compared(store: Store, invocations: Sequence[Invocation]) -> Iterator[Block]:
    """Yields a table for each work that several runs have, with the runs side by side, and notes on the rest.

    The first run that has the work is the one to which the others are compared. A run under other conditions, such as
    another host or other data, is left out of the table, and a warning says why.
    """
    reader = Reader(store, {one.id: one for one in invocations})
    yield Heading("The runs side by side")
    for number, one in enumerate(invocations, 1):
        yield Text(f"Run {number}: {one.id}, suite {one.suite}, {one.started_at:%Y-%m-%d %H:%M} UTC")
    shared = False
    for work in _works(store, invocations):
        present = [number for number, records in enumerate(work.records) if records]
        if len(present) < 2:
            continue
        first = present[0]
        comparable = [first]
        for number in present[1:]:
            why = _differences(reader, work.records[first], work.records[number])
            if why:
                yield Warning(
                    f"{work.words}: run {number + 1} cannot be compared with run {first + 1}, because it has "
                    f"{', '.join(why)}."
                )
            else:
                comparable.append(number)
        shared = True
        if len(comparable) < 2:
            continue
        rows = _rows(work, comparable)
        if any(len(row.by_run) > 1 for row in rows):
            yield _table(work, comparable, rows)
        else:
            yield Warning(f"{work.words}: the runs have no case in common, so nothing is compared.")
    if not shared:
        yield Warning("The runs have no workload, data set and cluster in common, so nothing is compared.")
        return
    yield Text(
        "Times are medians (ranges) over the rounds of a run. A ratio is that of two executions with the same seeds: "
        "median (range) over them. Runs were measured one after the other, so a difference may come from other load "
        "on the host: no verdict is given.",
        is_note=True,
    )


def _works(store: Store, invocations: Sequence[Invocation]) -> list[Work]:
    """Returns what the runs measured, with the records of each run. Warm-ups are left out."""
    found: dict[tuple[str, str, str, str], list[list[RunRecord]]] = defaultdict(lambda: [[] for _ in invocations])
    for number, one in enumerate(invocations):
        for record in metrics.latest(store.records(one.id)):
            case = record.case
            if record.outcome != "unsupported" and not record.isolated:
                found[case.workload, case.dataset, case.cluster, case.device][number].append(record)
    return [Work(*key, tuple(map(tuple, records))) for key, records in found.items()]


def _differences(reader: Reader, own: Sequence[RunRecord], other: Sequence[RunRecord]) -> list[str]:
    """Returns the conditions in which two runs of the same work differ, as texts. Empty if they are comparable."""
    found = []
    if {record.case.dataset_id for record in own} != {record.case.dataset_id for record in other}:
        found.append("other data of the same name")
    found += reader.differences(own[-1], other[-1])
    found += reader.software_differences(own[-1], other[-1])
    for placement in ("node", "spark"):
        pair = [[record for record in run if record.case.placement == placement] for run in (own, other)]
        if all(pair):
            found += reader.software_differences(pair[0][-1], pair[1][-1])
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Row:
    """A case and its records in each run. `parameters` states the parameters that differ between cases of a work."""

    engine: str
    parameters: str
    fraction: float
    by_run: dict[int, list[RunRecord]]


def _rows(work: Work, runs: Sequence[int]) -> list[Row]:
    """Returns a row for each case that at least one of these runs has."""
    words = _parameters(work, runs)
    found: dict[tuple[str, str, float], Row] = {}
    for number in runs:
        for record in work.records[number]:
            subject = record.case.subject_key("version")
            key = record.engine, subject, record.case.fraction
            row = found.setdefault(key, Row(record.engine, words[subject], record.case.fraction, defaultdict(list)))
            row.by_run[number].append(record)
    return list(found.values())


def _table(work: Work, runs: Sequence[int], compared: Sequence[Row]) -> Grid:
    """Returns a table with a row for each case, and the times of each of these runs."""
    has_parameters = any(row.parameters for row in compared)
    columns = (
        blocks.name("engine"),
        *([blocks.name("parameters", priority=2)] if has_parameters else []),
        blocks.name("fraction"),
        *(blocks.seconds(f"run {number + 1}: time\nto model, s") for number in runs),
        *(Column(f"run {number + 1} over\nrun {runs[0] + 1}", ".2f") for number in runs[1:]),
    )
    rows = []
    for row in compared:
        times = [metrics.spread_of_times(row.by_run.get(number, ())) for number in runs]
        ratios = [_ratio(row.by_run.get(number, []), row.by_run.get(runs[0], [])) for number in runs[1:]]
        shown = [row.parameters or None] if has_parameters else []
        rows.append((row.engine, *shown, show_fraction(row.fraction), *times, *ratios))
    return Grid(work.words, columns, tuple(rows), is_grouped=True)


def _ratio(own: Sequence[RunRecord], first: Sequence[RunRecord]) -> Spread | None:
    """Returns the times of a run divided by those of the first, over the executions with the same seeds.

    None if an execution of either has no time, or if no two executions have the same seeds.
    """
    if not all(spread and not spread.is_censored for spread in map(metrics.spread_of_times, (own, first))):
        return None
    times, of_first = (
        {(record.case.seeds, record.round): metrics.time_to_model(record) for record in metrics.timed(of)}
        for of in (own, first)
    )
    return Spread.of([times[key] / of_first[key] for key in times if key in of_first])


def _parameters(work: Work, runs: Sequence[int]) -> dict[str, str]:
    """Returns, for each `Case.subject_key`, a text with the parameters that differ between cases of the work."""
    cases = {record.case.subject_key("version"): record.case for number in runs for record in work.records[number]}
    paths = {key: by_path(case.params_without("arguments")) for key, case in cases.items()}
    names = dict.fromkeys(name for own in paths.values() for name in own)
    differing = [name for name in names if len({repr(own.get(name)) for own in paths.values()}) > 1]
    return {
        key: named([f"{name} {own[name]}" for name in differing if name in own], MOST_NAMED)
        for key, own in paths.items()
    }
