"""Spark's own task metrics, per case, from the event log.

Events reach the log late, from a queue. To know that a case's are all there, a marker job is run after it: the queue
keeps its order, so once the marker's end is in the log, everything before it is as well.
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
"""Bytes of a disk below which it counts as full."""
READ_AGAIN_SECONDS = 0.01


@dataclass
class EventLog:
    """Follows the event log of one session. `take` returns what happened since the last call."""

    spark: Any
    folder: Path
    is_connect: bool = False
    _awaited: list[str] = field(default_factory=list)
    _lines: deque[bytes] = field(default_factory=deque)
    _offset: int = field(init=False)
    _pending: bytes = b""

    def __post_init__(self) -> None:
        """What the log holds already is of other sessions."""
        self._offset = sum(file.stat().st_size for file in self._files())

    def take(self) -> SparkMetrics:
        """Metrics of all tasks since the last call. Raises ClusterError when the log does not become complete.

        Sections that an earlier call gave up waiting for are read past first.
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
        """By a tag of the context's: after one of a classic session's, MLlib's models cannot be serialized."""
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
                    why = ": its disk is full, so name another folder with TMPDIR" if full else ""
                    raise ClusterError(f"Spark's event log in {self.folder} is not complete{why}.")
                time.sleep(READ_AGAIN_SECONDS)
        return self._lines.popleft()

    def _new_lines(self) -> list[bytes]:
        """Whole lines written since the last call."""
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
        """The log of the one application that writes there."""
        return sorted(self.folder.iterdir())


@dataclass
class Section:
    """The part of an event log that ends with one marker job."""

    mark: str
    complete: bool = False
    _marker_job: int | None = None
    _marker_stages: set[int] = field(default_factory=set)
    _tasks: list[dict[str, Any]] = field(default_factory=list)
    _executors_lost: int = 0

    def read(self, line: bytes) -> None:
        """Takes one line. Lines of other events are not parsed: a plan can be megabytes."""
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
        """Sums over every task but the marker's own. Times in the log are ms, executor CPU time ns."""
        tasks = [task for task in self._tasks if task["Stage ID"] not in self._marker_stages]
        measured = [task["Task Metrics"] for task in tasks if task.get("Task Metrics")]

        def total(*keys: str) -> int:
            values = 0
            for metrics in measured:
                value: Any = metrics
                for key in keys:
                    value = value[key]
                values += value
            return values

        return SparkMetrics(
            tasks=len(tasks),
            failed_tasks=sum(task["Task Info"]["Failed"] for task in tasks),
            executor_run_seconds=total("Executor Run Time") / 1e3,
            executor_cpu_seconds=total("Executor CPU Time") / 1e9,
            gc_seconds=total("JVM GC Time") / 1e3,
            shuffle_read_bytes=total("Shuffle Read Metrics", "Remote Bytes Read")
            + total("Shuffle Read Metrics", "Local Bytes Read"),
            shuffle_write_bytes=total("Shuffle Write Metrics", "Shuffle Bytes Written"),
            spilled_bytes=total("Disk Bytes Spilled"),
            executors_lost=self._executors_lost,
            executors=len({task["Task Info"]["Executor ID"] for task in tasks}),
            hosts=len({task["Task Info"]["Host"] for task in tasks}),
        )
