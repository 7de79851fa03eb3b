"""Makes the options of Spark's JVMs, and finds out which garbage collector a JVM runs.

Without options, a JVM chooses its garbage collector by the CPUs and the memory that it sees: Serial on one CPU, G1 on
two (`is_server_class_machine` in HotSpot). So an executor with one core and a driver with two cores would use
different garbage collectors.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster import processes

JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
"""Environment variables with a user's options for all JVMs. The options stay in effect, and records have them."""

COLLECTOR = "Parallel"
"""The garbage collector of every JVM that computes. docs/spark-engines.md gives the reason."""

NAMES_COLLECTOR = re.compile(r"-XX:\+Use(?:Serial|Parallel|ParallelOld|G1|Z|Shenandoah|Epsilon|ConcMarkSweep)GC\b")

THREADS = {"G1 Main Marker": "G1", "ZDirector": "Z", "Shenandoah Cont": "Shenandoah", "GC Thread#0": "Parallel"}
"""Maps names of threads to the garbage collector of a JVM that has such a thread. The first match is used.

Linux cuts the names to 15 characters. A JVM with G1 also has Parallel's threads, so G1 comes first.
"""

ROLES = {
    "org.apache.spark.executor.CoarseGrainedExecutorBackend": "executor",
    "org.apache.spark.sql.connect.service.SparkConnectServer": "server",
    "org.apache.spark.deploy.SparkSubmit": "driver",
}
"""The roles of JVMs that compute, by a word in their command lines. The command line of a Connect server contains
two of these words. In such a case the first word in this mapping counts."""


def options(threads: int, user_options: Iterable[str]) -> str:
    """Returns the options that fix a JVM's garbage collector and the number of its parallel threads.

    If the user's own options name a garbage collector, only the number of threads is fixed, because a JVM does not
    start with two garbage collectors.
    """
    collector = [] if any(map(NAMES_COLLECTOR.search, user_options)) else [f"-XX:+Use{COLLECTOR}GC"]
    return " ".join([*collector, f"-XX:ParallelGCThreads={threads}"])


def shell_options(environment: Mapping[str, str] | None = None) -> list[str]:
    """Returns the options that the user's environment variables give to every JVM on this host."""
    variables = os.environ if environment is None else environment
    return [variables[name] for name in JAVA_VARIABLES if name in variables]


def collectors(sessions: Iterable[int]) -> list[dict[str, Any]]:
    """Returns the role, garbage collector and threads of each JVM that computes in these process trees.

    A role is `driver`, `executor` or `server` (a Connect server). Each combination is returned once. `sessions`
    holds the ids of the trees' process sessions.

    This function only reads /proc and runs nothing in a JVM, so the Spark session does not change.
    """
    distinct = {
        (description["jvm"], description["collector"], str(description["threads"])): description
        for session in sessions
        for process in processes.processes_of(session)
        if (description := _collector(process.pid))
    }
    return [distinct[key] for key in sorted(distinct)]


def _collector(pid: int) -> dict[str, Any] | None:
    """Returns the role, garbage collector and threads of a JVM with a role in ROLES.

    None for any other process, and for a process that has ended.
    """
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
    """Returns the garbage collector of a JVM. The names of the JVM's threads show it.

    Serial and Epsilon have no thread with such a name, so "Serial" is returned for both.
    """
    names = set(_thread_names(pid))
    return next((collector for thread, collector in THREADS.items() if thread in names), "Serial")


def _thread_names(pid: int) -> Iterator[str]:
    for file in Path(f"/proc/{pid}/task").glob("*/comm"):
        try:
            yield file.read_text().removesuffix("\n")
        except OSError:
            continue
