"""Notes below a table: where its cases ran, and what disturbed them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sparkscale.analysis import metrics
from sparkscale.contract.case import Case, show_fraction
from sparkscale.contract.declared import WorkloadDescription
from sparkscale.contract.phrases import count
from sparkscale.contract.record import RunRecord

FOREIGN_SHARE = 0.05
"""Other processes may use this share of a case's CPU time before a note says so."""
LEAST_SECONDS = 0.5
"""Shorter phases are not checked for other processes, because the kernel counts CPU time in ticks of 10 ms."""

KINDS = {
    "local": "Spark ran in local mode: one JVM on this machine, no cluster.",
    "connect": "Spark ran behind Spark Connect: the client has no JVM, and waits for the server.",
}


def notes(case: Case, every: Sequence[RunRecord]) -> Iterator[str]:
    """Sentences that could change the meaning of a table's figures, from one of its cases and all its records."""
    yield from _page_cache(every)
    spark = [record for record in every if record.case.placement == "spark"]
    ran = [record for record in spark if record.outcome == "ok"]
    ok = [record for record in every if record.outcome == "ok"]
    kind = case.cluster_kind
    if spark and kind in KINDS:
        yield KINDS[kind]
    if kind in ("standalone", "external"):
        yield from _executors(ran)
        yield from _cores(every)
    yield from _jvms(ran)
    if any(record.resources.oversubscribed for record in spark):
        yield "Oversubscribed: the executors have more cores than this host, so times say nothing of a real cluster."
    yield from _started(ok)
    yield from _foreign_load(every)
    lost = [record for record in ran if metrics.lost_executors(record)]
    if lost:
        yield (
            f"In {count(len(lost), 'execution')} an executor was lost, and Spark did its work again: that is ok, "
            "and no time of it is counted."
        )


def cores(host: Mapping[str, Any]) -> str:
    """The usable cores of a host's description, in words; older ones say nothing of hyper-threads and quotas."""
    usable, physical, quota = host["usable_cores"], host.get("usable_physical_cores"), host.get("cpu_quota")
    notes = [f"hyper-threads of {count(physical, 'physical core')}"] if physical and physical < usable else []
    notes += [f"a control group grants the time of {quota:g} CPUs"] if quota else []
    return count(usable, "core") + (f" ({'; '.join(notes)})" if notes else "")


def differences(declared: WorkloadDescription, engines: Iterable[str]) -> Iterator[str]:
    """A sentence for each engine that cannot do something like the others."""
    for name in dict.fromkeys(engines):
        engine = declared.engine(name)
        if engine and engine.differs:
            yield f"{name} differs: {engine.differs}"


def _executors(ran: list[RunRecord]) -> Iterator[str]:
    """Several executors on one host are no cluster of several hosts, and are said to be none."""
    executors = max((record.spark.executors or 0 for record in ran if record.spark), default=0)
    hosts = max((record.spark.hosts or 0 for record in ran if record.spark), default=0)
    if hosts == 1:
        yield f"Single-host: {count(executors, 'executor')} on one machine, with no network between them."
    elif hosts:
        yield f"Spark ran in {count(executors, 'executor')} on {hosts} hosts."


def _page_cache(every: Sequence[RunRecord]) -> Iterator[str]:
    states = {record.resources.page_cache for record in every}
    if "cold" in states:
        yield "Cold page cache: the kernel had to read the data's files from the disk in each execution."
    if "warm" in states:
        yield (
            "Page cache as earlier executions left it: loads read from memory what fits there, not from the disk. "
            "--cold-cache measures the disk, too."
        )


def _cores(every: Sequence[RunRecord]) -> Iterator[str]:
    node, spark = (
        {record.resources.cores for record in every if record.case.placement == placement}
        for placement in ("node", "spark")
    )
    if node and spark:
        few, many = max(node), max(spark)
        same = "the same number" if few == many else f"{many} on the cluster"
        yield f"Single-node engines had {count(few, 'core')} of the machine that sparkscale runs on, Spark {same}."


def _started(ran: Sequence[RunRecord]) -> Iterator[str]:
    """Which engines could not be measured with all their Python processes there."""
    for name in dict.fromkeys(record.case.engine for record in ran):
        found = [record for record in ran if record.case.engine == name and record.temperature == "warm"]
        cold = [record for record in found if record.python_started and record.case.device == "cpu"]
        if cold and not cold[0].declared.has(name, "starts_processes"):
            yield (
                f"{name}: in {len(cold)} of {count(len(found), 'execution')} Python processes began within the "
                "phases, each time it was tried, so their start is a part of the time."
            )


def _foreign_load(every: Sequence[RunRecord]) -> Iterator[str]:
    """Whether others used the CPUs of a case while its clock ran."""
    shares = [(share, record) for record in every if (share := foreign_share(record)) is not None]
    above = [found for found in shares if found[0] > FOREIGN_SHARE]
    if above:
        most, record = max(above, key=lambda found: found[0])
        yield (
            f"Foreign load: other processes used more than {FOREIGN_SHARE:.0%} of the CPU time that a case might "
            f"use, in {len(above)} of {count(len(shares), 'execution')} (at most {most:.0%}: {record.case.engine} on "
            f"{show_fraction(record.case.fraction)}, round {record.round}). These times may be too long."
        )


def foreign_share(record: RunRecord) -> float | None:
    """The share of its CPUs' time that others used during its phases, a hypervisor's other guests included; None
    where it was not observed, or the case is too short to tell it from the clocks' ticks.
    """
    used = record.resources
    seconds = sum(record.seconds.values())
    if used.foreign_cpu_seconds is None or seconds < LEAST_SECONDS:
        return None
    return (used.foreign_cpu_seconds + (used.stolen_cpu_seconds or 0.0)) / (used.cores * seconds)


def _jvms(ran: list[RunRecord]) -> Iterator[str]:
    rounds = len({record.round for record in ran if not record.isolated})
    jvms = len({record.jvm for record in ran if not record.isolated})
    if 0 < jvms < rounds:
        yield f"{rounds} rounds in {count(jvms, 'JVM')}: a server that was up before, so later rounds found it warm."
