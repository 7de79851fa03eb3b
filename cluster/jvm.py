"""Options of Spark's JVMs, and which garbage collector a JVM runs.

Without options a JVM chooses by the CPUs and the memory that it sees: Serial on one CPU, G1 on two
(`is_server_class_machine` in HotSpot). One executor of one core and a driver of two would differ in their collector.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster import processes

JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
"""A user's shell sets options of every JVM by these variables. They stay in effect, and records hold them."""

COLLECTOR = "Parallel"
"""The reason, and what is still to be compared, stands in docs/spark-engines.md."""

NAMES_COLLECTOR = re.compile(r"-XX:\+Use(?:Serial|Parallel|ParallelOld|G1|Z|Shenandoah|Epsilon|ConcMarkSweep)GC\b")

THREADS = {"G1 Main Marker": "G1", "ZDirector": "Z", "Shenandoah Cont": "Shenandoah", "GC Thread#0": "Parallel"}
"""Threads that only one collector has, by the 15 characters that Linux keeps of a name; G1 has Parallel's, too."""

ROLES = {
    "org.apache.spark.executor.CoarseGrainedExecutorBackend": "executor",
    "org.apache.spark.sql.connect.service.SparkConnectServer": "server",
    "org.apache.spark.deploy.SparkSubmit": "driver",
}
"""The JVMs that compute, by a word of their command lines. A Connect server has two of them: the first counts."""


def options(threads: int, said: Iterable[str]) -> str:
    """The options that pin a JVM's collector and the number of its parallel threads.

    `said` holds the user's own options. If they name a collector, only the threads are pinned: a JVM that is given
    two collectors does not start.
    """
    collector = [] if any(map(NAMES_COLLECTOR.search, said)) else [f"-XX:+Use{COLLECTOR}GC"]
    return " ".join([*collector, f"-XX:ParallelGCThreads={threads}"])


def from_shell(environment: Mapping[str, str] | None = None) -> list[str]:
    """Options that the user's shell gives every JVM on this host."""
    found = os.environ if environment is None else environment
    return [found[name] for name in JAVA_VARIABLES if name in found]


def collectors(sessions: Iterable[int]) -> list[dict[str, Any]]:
    """Role, collector and threads of Spark's computing JVMs in these process trees; of equal ones, one.

    It looks from outside: nothing runs in a JVM for it, so a session stays as it was.
    """
    found = {
        (one["jvm"], one["collector"], str(one["threads"])): one
        for session in sessions
        for process in processes.processes_of(session)
        if (one := _collector(process.pid))
    }
    return [found[key] for key in sorted(found)]


def _collector(pid: int) -> dict[str, Any] | None:
    """None for a process that is no such JVM, or is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return None
    role = next((role for word, role in ROLES.items() if word in words), None)
    if role is None:
        return None
    threads = [word.partition("=")[2] for word in words if word.startswith("-XX:ParallelGCThreads=")]
    return {"jvm": role, "collector": running(pid), "threads": int(threads[-1]) if threads else None}


def running(pid: int) -> str:
    """The collector of a JVM, by the names of its threads. Serial has no thread of its own, nor has Epsilon."""
    names = set(_thread_names(pid))
    return next((collector for thread, collector in THREADS.items() if thread in names), "Serial")


def _thread_names(pid: int) -> Iterator[str]:
    for file in Path(f"/proc/{pid}/task").glob("*/comm"):
        try:
            yield file.read_text().removesuffix("\n")
        except OSError:
            continue
