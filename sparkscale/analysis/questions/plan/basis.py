"""Collects the records on which a plan rests, and groups them into jobs: an engine with its measured configurations.

Data sets that were made by the same rule count as one if they differ only in their numbers of rows and columns.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sparkscale.analysis import metrics
from sparkscale.analysis.conditions import Reader, is_emulated
from sparkscale.analysis.known import comparable, renumbered
from sparkscale.analysis.questions.network import NetworkTerm, network_terms
from sparkscale.analysis.questions.plan.wish import Offer
from sparkscale.contract.case import Case, Device, Placement, digest
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import count, named
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store

COMMANDS = ("run", "decide", "heap")
"""The commands with records that a plan uses. Searches for the smallest heap only give the heap."""

Key = tuple[str, Placement, Device, str]
"""An engine, its placement, its device and the kind of its cluster (see `Job`)."""
Matches = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, eq=False)
class Configuration:
    """All executions of an engine on as many rows and cores. `rows` is their median, because seeds draw samples."""

    rows: float
    columns: int
    cores: int
    records: tuple[RunRecord, ...]

    @property
    def timed(self) -> list[RunRecord]:
        """The warm executions. Empty if some has no time, because only the quick rounds would count."""
        attempts = [record for record in metrics.latest(self.records) if not record.isolated]
        timed = metrics.timed(attempts)
        return timed if len(timed) == len(attempts) else []

    @property
    def failed(self) -> RunRecord | None:
        """The first execution without a result, other than an unsupported one."""
        outcomes = metrics.latest(self.records)
        return next((record for record in outcomes if record.outcome not in ("ok", "unsupported")), None)


@dataclass(frozen=True, eq=False)
class HeapSearch:
    """The records of one search for the smallest heap, and the number of columns of its data set."""

    columns: int
    records: tuple[RunRecord, ...]


@dataclass(frozen=True, eq=False)
class Job:
    """An engine with one set of parameters, on one device and one kind of cluster.

    `kind` is empty for an engine on one node, because it runs alike beside every cluster.
    """

    engine: str
    placement: Placement
    device: Device
    kind: str
    configurations: tuple[Configuration, ...]
    searches: tuple[HeapSearch, ...] = ()
    warmups: tuple[RunRecord, ...] = ()
    """The warm-ups before these executions. They give no time, but a proposed run needs some, too."""

    @property
    def records(self) -> list[RunRecord]:
        return [record for one in self.configurations for record in one.records]


@dataclass(frozen=True)
class Basis:
    """The records of one workload with one set of parameters, and what is known about them.

    `base` holds the records of the data set with the most sizes. The qualities are those of this data set, which is
    named `dataset`. `columns` is the number of its columns. `notes` are sentences about records that are not used.
    """

    store: Store
    workload: str
    dataset: str
    columns: int
    jobs: tuple[Job, ...]
    base: tuple[RunRecord, ...]
    offers: tuple[Offer, ...]
    notes: tuple[str, ...]
    network: tuple[NetworkTerm, ...] = ()
    """The network terms of the workload's engines, calibrated on emulated hosts. Their times are not used."""

    @property
    def records(self) -> list[RunRecord]:
        return [record for job in self.jobs for record in job.records]

    @property
    def column_counts(self) -> list[int]:
        """The numbers of columns that were measured, ascending."""
        return sorted({one.columns for job in self.jobs for one in job.configurations})


def basis(store: Store, workload: str, matches: Matches | None = None) -> Basis:
    """Returns the comparable records of a workload, which may be named by its last part.

    The newest data set, parameter set, host, package versions and version of the workload count. `matches` selects
    the data set by its description. Raises ConfigError if there are no records.
    """
    invocations = {run: store.invocation(identity=run) for run in store.runs()}
    every = [record for record in store.records() if invocations[record.invocation].command in COMMANDS]
    reader = Reader(store, invocations)
    in_order = sorted(
        _of_workload(every, workload, str(store.path)),
        key=lambda record: record.started_at or invocations[record.invocation].started_at,
    )
    latest = [record for record in in_order if invocations[record.invocation].command != "heap"]
    wanted = [record for record in latest if matches is None or matches(store.content(record.data) or {})]
    if not wanted:
        has = f" It has records of {named(sorted({record.case.dataset for record in latest}))}." if latest else ""
        raise ConfigError(
            f"{store.path} has no records of {workload} on this data set: measure it with `sparkscale run`.{has}"
        )
    newest = wanted[-1]
    families = {identity: _family(store, identity) for identity in {record.data for record in in_order}}
    family = [record for record in latest if families[record.data] == families[newest.data]]
    chosen = [record for record in family if _parameters(record.case) == _parameters(newest.case)]
    used = _alike(comparable(chosen, reader), newest, reader)
    searched = [
        record
        for record in in_order
        if invocations[record.invocation].command == "heap" and families[record.data] == families[newest.data]
    ]
    columns = {identity: len((store.content(identity) or {}).get("columns", ())) for identity in families}
    jobs = _jobs(renumbered(used, invocations), columns, _searches(searched, newest, reader, columns))
    if not jobs:
        raise ConfigError(
            f"{store.path} has records of {workload} only on emulated hosts, or on more workers than cores: a plan "
            "needs times on real ones."
        )
    base = _base([record for job in jobs for record in job.records])
    return Basis(
        store,
        newest.case.workload,
        base[-1].case.dataset,
        columns[base[-1].data],
        jobs,
        base,
        tuple(_offers(store, used, reader)),
        tuple(_notes(latest, family, chosen, used)),
        tuple(network_terms(store, [one for one in chosen if columns[one.data] == columns[newest.data]])),
    )


def _of_workload(records: Sequence[RunRecord], workload: str, where: str) -> list[RunRecord]:
    """Returns the records of a workload. Raises ConfigError if there are none, or if the pattern has no plan."""
    of_workload = [record for record in records if workload in _names(record.case.workload)]
    if not of_workload:
        known = sorted({record.case.workload for record in records if record.case.pattern == "data_parallel"})
        has = f"it has {named(known)}" if known else "it has none that can be planned"
        raise ConfigError(f"{where} has no records of {workload}: {has}. Measure it with `sparkscale run`.")
    planned = [record for record in of_workload if record.case.pattern == "data_parallel"]
    if not planned:
        raise ConfigError(f"{of_workload[0].case.workload} cannot be planned: only data-parallel training can.")
    return planned


def _names(workload: str) -> tuple[str, str]:
    return workload, workload.partition(".")[2]


def _family(store: Store, data: str | None) -> str:
    """Returns a text that is equal for data sets that differ only in their numbers of rows and columns.

    Only synthetic data sets have such relatives.
    """
    content = store.content(data) or {}
    definition = dict(content.get("definition", {}))
    if not {"rows", "features", "seed"} <= definition.keys():
        return str(data)
    return digest({key: value for key, value in definition.items() if key not in ("rows", "features")})


def _base(records: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
    """Returns the records of the data set that was measured with the most fractions. The newest one of several."""
    by_data: dict[str | None, list[RunRecord]] = defaultdict(list)
    for record in records:
        by_data[record.data].append(record)

    def key(of_one: Iterable[RunRecord]) -> tuple[int, float]:
        started = [record.started_at.timestamp() for record in of_one if record.started_at]
        return len({record.case.fraction for record in of_one}), max(started, default=0.0)

    return tuple(max(by_data.values(), key=key))


def _parameters(case: Case) -> str:
    return digest(case.params_without("arguments"))


def _alike(records: Sequence[RunRecord], newest: RunRecord, reader: Reader) -> list[RunRecord]:
    """Returns the records of several clusters that have the host, the packages and the version of the newest one.

    Records on Spark need the same Java, too, and on an existing cluster its address. Those of workers that share
    cores are left out, because they had fewer cores than they state.
    """
    own = reader.of(newest)
    shared = [
        record
        for record in records
        if (its := reader.of(record)).host == own.host
        and (its.packages, its.version, its.is_cold) == (own.packages, own.version, own.is_cold)
    ]
    on_spark = [record for record in shared if record.case.placement == "spark"]
    java = on_spark[-1].software if on_spark else ""
    newest_address = {record.case.cluster_kind: _address(record, reader) for record in on_spark}
    return [
        record
        for record in shared
        if record.case.placement == "node"
        or (
            record.software == java
            and _address(record, reader) == newest_address[record.case.cluster_kind]
            and not record.resources.oversubscribed
        )
    ]


def _address(record: RunRecord, reader: Reader) -> str:
    """Returns the address of the existing cluster of a record. Empty for clusters that sparkscale starts."""
    origin = reader.invocations[record.invocation].origin
    profile = reader.store.content(origin.get(f"profile '{record.case.cluster}'")) or {}
    return str(profile.get("master") or profile.get("url") or "")


def _jobs(
    records: Sequence[RunRecord],
    columns: Mapping[str | None, int],
    searches: Mapping[Key, Sequence[HeapSearch]],
) -> tuple[Job, ...]:
    """Returns the jobs, in the order in which tables show engines.

    Times of Spark on emulated hosts are left out, because they are no times of real hosts.
    """
    grouped: dict[Key, dict[tuple[Any, ...], list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    warmups: dict[Key, list[RunRecord]] = defaultdict(list)
    for record in records:
        if _is_emulated(record):
            continue
        if record.is_warmup:
            warmups[_job(record.case)].append(record)
        elif record.outcome != "unsupported" and record.resources.cores:
            place = record.data, record.case.fraction, record.resources.cores
            grouped[_job(record.case)][place].append(record)
    jobs = [
        Job(*key, _configurations(places, columns), tuple(searches.get(key, ())), tuple(warmups[key]))
        for key, places in grouped.items()
    ]
    return tuple(sorted(jobs, key=lambda job: job.records[0].declared.position(job.engine)))


def _is_emulated(record: RunRecord) -> bool:
    """True if Spark ran on emulated hosts. An engine on one node runs on a real host on every profile."""
    return record.case.placement == "spark" and is_emulated(record)


def _job(case: Case) -> Key:
    return case.engine, case.placement, case.device, case.cluster_kind if case.placement == "spark" else ""


def _configurations(
    places: Mapping[tuple[Any, ...], list[RunRecord]], columns: Mapping[str | None, int]
) -> tuple[Configuration, ...]:
    found = [
        Configuration(median(record.case.rows for record in records), columns[data], cores, tuple(records))
        for (data, _, cores), records in places.items()
    ]
    return tuple(sorted(found, key=lambda one: (one.rows, one.cores)))


def _searches(
    records: Sequence[RunRecord], newest: RunRecord, reader: Reader, columns: Mapping[str | None, int]
) -> dict[Key, list[HeapSearch]]:
    """Returns the searches for the smallest heap, by job.

    Host, packages, version of the workload and parameters are those of `newest`.
    """
    own = reader.of(newest)
    by_search: dict[tuple[Key, str], list[RunRecord]] = defaultdict(list)
    for record in records:
        its = reader.of(record)
        is_alike = (its.host, its.packages, its.version) == (own.host, own.packages, own.version)
        if is_alike and _parameters(record.case) == _parameters(newest.case):
            by_search[_job(record.case), record.invocation].append(record)
    searches: dict[Key, list[HeapSearch]] = defaultdict(list)
    for (job, _), of_search in by_search.items():
        searches[job].append(HeapSearch(columns[of_search[0].data], tuple(of_search)))
    return searches


def _offers(store: Store, records: Sequence[RunRecord], reader: Reader) -> list[Offer]:
    """Returns the profiles on which the records were measured, as they were in the latest run on each."""
    found: dict[str, Offer] = {}
    for record in records:
        origin = reader.invocations[record.invocation].origin
        cluster = record.case.cluster
        profile = store.content(origin.get(f"profile '{cluster}'"))
        budget = store.content(origin.get(f"budget on '{cluster}'"))
        if profile and budget:
            found[cluster] = Offer(profile, budget)
    return list(found.values())


def _notes(
    latest: Sequence[RunRecord], family: Sequence[RunRecord], chosen: Sequence[RunRecord], used: Sequence[RunRecord]
) -> list[str]:
    """Returns sentences about the records of the workload that are not used."""
    notes = []
    others = sorted({record.case.dataset for record in latest} - {record.case.dataset for record in family})
    if others:
        notes.append(f"Records of other data sets are not used: {named(others)}. Choose one with --data.")
    if len(chosen) < len(family):
        number = count(len(family) - len(chosen), "record")
        notes.append(f"{number} with other parameters than those measured last are not used.")
    if len(used) < len(chosen):
        notes.append(
            f"{count(len(chosen) - len(used), 'record')} are not used, because their host, package versions, Java, "
            "profile, budget, cluster, page cache or workload version differ from those of the newest ones, or "
            "because their Spark workers share cores."
        )
    emulated = sum(_is_emulated(record) for record in used)
    if emulated:
        notes.append(f"{count(emulated, 'record')} of Spark on emulated hosts give the network term only, no times.")
    return notes
