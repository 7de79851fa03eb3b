"""Options of Spark's JVMs, and the garbage collector that a JVM runs.

Without options a JVM chooses its collector by the CPUs and the memory that it sees: Serial on one CPU, G1 on two
(`is_server_class_machine` in HotSpot). An executor with one core and a driver with two would use different
collectors.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster import processes

JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
"""A user's shell sets options of every JVM with these variables. They stay in effect, and records hold them."""

COLLECTOR = "Parallel"
"""The collector of every JVM that computes. docs/spark-engines.md gives the reason."""

NAMES_COLLECTOR = re.compile(r"-XX:\+Use(?:Serial|Parallel|ParallelOld|G1|Z|Shenandoah|Epsilon|ConcMarkSweep)GC\b")

THREADS = {"G1 Main Marker": "G1", "ZDirector": "Z", "Shenandoah Cont": "Shenandoah", "GC Thread#0": "Parallel"}
"""Names of threads, and the collector that a JVM with such a thread runs; the first name that matches decides.

Linux keeps 15 characters of a name. G1 has the threads of Parallel too, so G1 comes first.
"""

ROLES = {
    "org.apache.spark.executor.CoarseGrainedExecutorBackend": "executor",
    "org.apache.spark.sql.connect.service.SparkConnectServer": "server",
    "org.apache.spark.deploy.SparkSubmit": "driver",
}
"""The JVMs that compute, by a word of their command lines. The command line of a Connect server has two of the words:
the first in this list counts."""


def options(threads: int, user_options: Iterable[str]) -> str:
    """Returns the options that pin a JVM's collector and the number of its parallel threads.

    If the user's own options name a collector, only the threads are pinned: a JVM does not start with two collectors.
    """
    collector = [] if any(map(NAMES_COLLECTOR.search, user_options)) else [f"-XX:+Use{COLLECTOR}GC"]
    return " ".join([*collector, f"-XX:ParallelGCThreads={threads}"])


def shell_options(environment: Mapping[str, str] | None = None) -> list[str]:
    """Returns the options that the user's shell gives to every JVM on this host."""
    variables = os.environ if environment is None else environment
    return [variables[name] for name in JAVA_VARIABLES if name in variables]


def collectors(sessions: Iterable[int]) -> list[dict[str, Any]]:
    """Returns role, collector and threads of the JVMs that compute in these process sessions, each combination once.

    It reads /proc only and runs nothing in a JVM, so the Spark session stays as it was.
    """
    distinct = {
        (description["jvm"], description["collector"], str(description["threads"])): description
        for session in sessions
        for process in processes.processes_of(session)
        if (description := _collector(process.pid))
    }
    return [distinct[key] for key in sorted(distinct)]


def _collector(pid: int) -> dict[str, Any] | None:
    """Returns role, collector and threads of a JVM that computes. None for other processes and ended ones."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return None
    role = next((role for word, role in ROLES.items() if word in words), None)
    if role is None:
        return None
    threads = [word.partition("=")[2] for word in words if word.startswith("-XX:ParallelGCThreads=")]
    return {"jvm": role, "collector": running_collector(pid), "threads": int(threads[-1]) if threads else None}


def running_collector(pid: int) -> str:
    """Returns the collector of a JVM, which the names of its threads show.

    Serial and Epsilon have no such thread, so both are called "Serial".
    """
    names = set(_thread_names(pid))
    return next((collector for thread, collector in THREADS.items() if thread in names), "Serial")


def _thread_names(pid: int) -> Iterator[str]:
    for file in Path(f"/proc/{pid}/task").glob("*/comm"):
        try:
            yield file.read_text().removesuffix("\n")
        except OSError:
            continue
