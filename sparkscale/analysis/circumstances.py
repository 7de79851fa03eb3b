"""Writes the notes below a table: where the cases ran, and what may have disturbed them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sparkscale.analysis import metrics
from sparkscale.contract.case import PUBLISHED, Case, show_fraction
from sparkscale.contract.declared import WorkloadDescription
from sparkscale.contract.phrases import count
from sparkscale.contract.record import RunRecord

FOREIGN_SHARE = 0.05
"""A note appears if other processes use more than this share of a case's CPU time."""
LEAST_SECONDS = 0.5
"""Shorter phases are not checked for other processes, because the kernel counts CPU time in ticks of 10 ms."""

LIBRARIES = ("pyspark", "pandas", "pyarrow", "scikit-learn", "xgboost", "torch", "hyperopt", "optuna", "cuml")
"""A report names the versions of these packages, if they are installed."""

KINDS = {
    "local": "Spark ran in local mode: one JVM on this machine, no cluster.",
    "emulated": (
        "Spark ran on emulated hosts: network namespaces of this machine, joined by links of a limited rate. They "
        "share memory bandwidth and disk, so they are no real cluster."
    ),
    "connect": "Spark ran behind Spark Connect: the client has no JVM, and waits for the server.",
}

OTHERS = (
    "Others published these measurements. So it is not known whether they were warm, on which rows a quality was "
    "judged, or how memory was read."
)


def notes(case: Case, records: Sequence[RunRecord]) -> Iterator[str]:
    """Yields the notes of a comparison.

    `records` are those of all compared cases, and `case` is one of these cases.
    """
    spark_records = [record for record in records if record.case.placement == "spark"]
    spark_ok = [record for record in spark_records if record.outcome == "ok"]
    ok_records = [record for record in records if record.outcome == "ok"]
    kind = case.cluster_kind
    if kind == PUBLISHED:
        yield OTHERS
        return
    yield from _page_cache(records)
    if spark_records and kind in KINDS:
        yield KINDS[kind]
    if kind in ("standalone", "external", "emulated"):
        yield from _executors(spark_ok, kind == "emulated")
        yield from _cores(records)
    yield from _jvms(spark_ok)
    if any(record.resources.oversubscribed for record in spark_records):
        yield "Oversubscribed: the executors have more cores than this host, so times say nothing of a real cluster."
    yield from _started(ok_records)
    yield from _foreign_load(records)
    lost = [record for record in spark_ok if metrics.lost_executors(record)]
    if lost:
        yield (
            f"In {count(len(lost), 'execution')} an executor was lost, and Spark did its work again: that is ok, "
            "and no time of it is counted."
        )


def host(content: Mapping[str, Any]) -> str:
    """Returns a host as a text: its processor, cores, memory, system and GPUs, from its description."""
    memory = content["memory_bytes"] / 2**30
    gpus = Counter(device["name"] for device in content.get("gpus", []))
    named = "".join(f", {number} × {name}" for name, number in gpus.items())
    return f"{content['cpu']}, {cores(content)}, {memory:.0f} GiB, {content['os']}{named}"


def versions(content: Mapping[str, Any]) -> str:
    """Returns the versions of Python and of the libraries that engines use, from a description of software."""
    return ", ".join(f"{name} {version}" for name, version in releases(content).items())


def releases(content: Mapping[str, Any]) -> dict[str, str]:
    """Returns the versions of Python and of the libraries that engines use, by name."""
    packages = content.get("packages", {})
    named = {"Python": content.get("python"), **{name: packages.get(name) for name in LIBRARIES}}
    return {name: str(version) for name, version in named.items() if version}


def cores(host: Mapping[str, Any]) -> str:
    """Returns the usable cores as a text, such as "8 cores (hyper-threads of 4 physical cores)".

    `host` is the content of a host's description. Older descriptions have no physical cores and no quota.
    """
    usable, physical, quota = host["usable_cores"], host.get("usable_physical_cores"), host.get("cpu_quota")
    notes = [f"hyper-threads of {count(physical, 'physical core')}"] if physical and physical < usable else []
    notes += [f"a control group grants the time of {quota:g} CPUs"] if quota else []
    return count(usable, "core") + (f" ({'; '.join(notes)})" if notes else "")


def differences(declared: WorkloadDescription, engines: Iterable[str]) -> Iterator[str]:
    """Yields a sentence for each engine that declares a difference which cannot be removed."""
    for name in dict.fromkeys(engines):
        engine = declared.engine(name)
        if engine and engine.differs:
            yield f"{name} differs: {engine.differs}"


def _executors(records: list[RunRecord], is_emulated: bool) -> Iterator[str]:
    """Yields a sentence with the numbers of executors and hosts. Yields nothing if they are not known.

    Several executors on one host say nothing about the effect of a network. Emulated hosts say nothing about the
    hardware of real ones.
    """
    executors = max((record.spark.executors or 0 for record in records if record.spark), default=0)
    hosts = max((record.spark.hosts or 0 for record in records if record.spark), default=0)
    if is_emulated and hosts:
        yield f"Emulated: {count(executors, 'executor')} on {count(hosts, 'emulated host')} of one machine."
    elif hosts == 1:
        yield f"Single-host: {count(executors, 'executor')} on one machine, with no network between them."
    elif hosts:
        yield f"Spark ran in {count(executors, 'executor')} on {hosts} hosts."


def _page_cache(records: Sequence[RunRecord]) -> Iterator[str]:
    states = {record.resources.page_cache for record in records}
    if "cold" in states:
        yield "Cold page cache: the kernel had to read the data's files from the disk in each execution."
    if "warm" in states:
        yield (
            "Warm page cache: if the data fits into memory, loads read it from there and not from the disk. "
            "--cold-cache measures the disk, too."
        )


def _cores(records: Sequence[RunRecord]) -> Iterator[str]:
    node, spark = (
        {used for record in records if record.case.placement == placement and (used := record.resources.cores)}
        for placement in ("node", "spark")
    )
    if node and spark:
        few, many = max(node), max(spark)
        same = "the same number" if few == many else f"{many} on the cluster"
        yield f"Single-node engines had {count(few, 'core')} of the machine that sparkscale runs on, Spark {same}."


def _started(records: Sequence[RunRecord]) -> Iterator[str]:
    """Yields a sentence for each engine that started Python processes during its phases.

    The processes should have started before the phases. Engines that declare later starts are left out, and so are
    cases on GPUs.
    """
    for name in dict.fromkeys(record.engine for record in records):
        warm_records = [record for record in records if record.engine == name and record.temperature == "warm"]
        with_starts = [record for record in warm_records if record.python_started and record.case.device == "cpu"]
        declared = with_starts and with_starts[0].declared.has(with_starts[0].case.engine, "starts_processes")
        if with_starts and not declared:
            yield (
                f"{name}: in {len(with_starts)} of {count(len(warm_records), 'execution')}, Python processes "
                "started during the phases, even after repeated attempts. So these times include the start of the "
                "processes."
            )


def _foreign_load(records: Sequence[RunRecord]) -> Iterator[str]:
    """Yields a sentence if other processes used much of the CPU time of a case during its phases."""
    shares = [(share, record) for record in records if (share := foreign_share(record)) is not None]
    loaded = [pair for pair in shares if pair[0] > FOREIGN_SHARE]
    if loaded:
        largest, record = max(loaded, key=lambda pair: pair[0])
        yield (
            f"Foreign load: other processes used more than {FOREIGN_SHARE:.0%} of the CPU time that a case might "
            f"use, in {len(loaded)} of {count(len(shares), 'execution')} (at most {largest:.0%}: "
            f"{record.engine} on {show_fraction(record.case.fraction)}, round {record.round}). "
            "These times may be too long."
        )


def foreign_share(record: RunRecord) -> float | None:
    """Returns the share of the case's CPU time that other processes used during the phases.

    The time that a hypervisor took for other guests counts, too. Returns None if the share was not observed, or if
    the phases take less than LEAST_SECONDS.
    """
    used = record.resources
    seconds = sum(record.seconds.values())
    if used.foreign_cpu_seconds is None or used.cores is None or seconds < LEAST_SECONDS:
        return None
    return (used.foreign_cpu_seconds + (used.stolen_cpu_seconds or 0.0)) / (used.cores * seconds)


def _jvms(records: list[RunRecord]) -> Iterator[str]:
    rounds = len({record.round for record in records if not record.isolated})
    jvms = len({record.jvm for record in records if not record.isolated})
    if 0 < jvms < rounds:
        yield (
            f"{rounds} rounds ran in {count(jvms, 'JVM')}, because the server was kept running between rounds. "
            "So later rounds found it warm."
        )
