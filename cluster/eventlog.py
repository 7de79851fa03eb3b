"""Reads Spark's own task metrics of each case from the event log.

Spark writes events late, through a queue that keeps their order. So a marker job runs after each case. When the end
of the marker job is in the log, all events of the case are in the log too.
"""

import json
import shutil
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparkscale.contract.errors import ClusterError
from sparkscale.contract.record import SparkMetrics

TAGS = "spark.job.tags"
PATIENCE_SECONDS = 15.0
LEAST_FREE = 2**20
"""A disk counts as full if it has fewer free bytes than this."""
READ_AGAIN_SECONDS = 0.01


@dataclass
class EventLog:
    """Follows the event log of one Spark session. `take` returns the metrics since the last call."""

    spark: Any
    folder: Path
    is_connect: bool = False
    _awaited: list[str] = field(default_factory=list)
    _lines: deque[bytes] = field(default_factory=deque)
    _offset: int = field(init=False)
    _pending: bytes = b""

    def __post_init__(self) -> None:
        """Skips the present content of the log, because other sessions wrote it."""
        self._offset = sum(file.stat().st_size for file in self._files())

    def take(self) -> SparkMetrics:
        """Returns the metrics of all Spark tasks since the last call.

        If an earlier call gave up before its part of the log was complete, this call first reads that part and
        drops it. Raises ClusterError if the log is still incomplete after PATIENCE_SECONDS.
        """
        mark = f"sparkscale-mark-{uuid.uuid4().hex}"
        self._awaited.append(mark)
        self._run_marker(mark)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._awaited:
            section = Section(self._awaited[0])
            while not section.complete:
                section.read(self._next_line(deadline))
            self._awaited.pop(0)
        return section.metrics()

    def _run_marker(self, mark: str) -> None:
        """Runs a marker job (see the module's docstring) with `mark` as its tag.

        In a classic session the SparkContext sets the tag, because after `SparkSession.addTag` MLlib's models cannot
        be serialized.
        """
        if self.is_connect:
            add, remove = self.spark.addTag, self.spark.removeTag
        else:
            add, remove = self.spark.sparkContext.addJobTag, self.spark.sparkContext.removeJobTag
        add(mark)
        try:
            self.spark.range(1, numPartitions=1).collect()
        finally:
            remove(mark)

    def _next_line(self, deadline: float) -> bytes:
        while not self._lines:
            self._lines.extend(self._new_lines())
            if not self._lines:
                if time.monotonic() > deadline:
                    full = shutil.disk_usage(self.folder).free < LEAST_FREE
                    advice = "its disk is full: name another folder with TMPDIR" if full else "run the case again"
                    raise ClusterError(
                        f"Spark's event log in {self.folder} is not complete after {PATIENCE_SECONDS:.0f} s: "
                        f"{advice}."
                    )
                time.sleep(READ_AGAIN_SECONDS)
        return self._lines.popleft()

    def _new_lines(self) -> list[bytes]:
        """Returns the whole lines that were written since the last call."""
        files = self._files()
        if not files:
            return []
        with files[0].open("rb") as log:
            log.seek(self._offset)
            added = log.read()
        self._offset += len(added)
        *lines, self._pending = (self._pending + added).split(b"\n")
        return lines

    def _files(self) -> list[Path]:
        """Returns the log files of the one application that writes to the folder. Empty if there are none yet."""
        return sorted(self.folder.iterdir())


@dataclass
class Section:
    """The part of an event log that ends with one marker job, a small job that runs after each case.

    `mark` is the tag of this job.
    """

    mark: str
    complete: bool = False
    _marker_job: int | None = None
    _marker_stages: set[int] = field(default_factory=set)
    _tasks: list[dict[str, Any]] = field(default_factory=list)
    _executors_lost: int = 0

    def read(self, line: bytes) -> None:
        """Reads one line of the section.

        Lines of events that are not needed are not parsed, because a query plan can have megabytes.
        """
        head = line[:60]
        if b"SparkListenerTaskEnd" in head:
            self._tasks.append(json.loads(line))
        elif b"SparkListenerJobStart" in head:
            event = json.loads(line)
            if self.mark in event.get("Properties", {}).get(TAGS, ""):
                self._marker_job = event["Job ID"]
                self._marker_stages.update(event["Stage IDs"])
        elif b"SparkListenerJobEnd" in head:
            self.complete = self.complete or json.loads(line)["Job ID"] == self._marker_job
        elif b"SparkListenerExecutorRemoved" in head:
            self._executors_lost += 1

    def metrics(self) -> SparkMetrics:
        """Returns the summed metrics of all Spark tasks, except the tasks of the marker job.

        The log gives executor CPU time in nanoseconds and all other times in milliseconds.
        """
        tasks = [task for task in self._tasks if task["Stage ID"] not in self._marker_stages]
        measured = [task["Task Metrics"] for task in tasks if task.get("Task Metrics")]

        def total(*keys: str) -> int:
            summed = 0
            for metrics in measured:
                value: Any = metrics
                for key in keys:
                    value = value[key]
                summed += value
            return summed

        remote_bytes = total("Shuffle Read Metrics", "Remote Bytes Read")
        return SparkMetrics(
            tasks=len(tasks),
            failed_tasks=sum(task["Task Info"]["Failed"] for task in tasks),
            executor_run_seconds=total("Executor Run Time") / 1e3,
            executor_cpu_seconds=total("Executor CPU Time") / 1e9,
            gc_seconds=total("JVM GC Time") / 1e3,
            shuffle_read_bytes=remote_bytes + total("Shuffle Read Metrics", "Local Bytes Read"),
            shuffle_remote_bytes=remote_bytes,
            shuffle_write_bytes=total("Shuffle Write Metrics", "Shuffle Bytes Written"),
            spilled_bytes=total("Disk Bytes Spilled"),
            executors_lost=self._executors_lost,
            executors=len({task["Task Info"]["Executor ID"] for task in tasks}),
            hosts=len({task["Task Info"]["Host"] for task in tasks}),
        )
