"""A daemon of Spark: a process that leads a session of its own, under limits, with a log."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from cluster import gpu, java, processes
from cluster.budget import Grant
from cluster.launch import Launch
from sparkscale.contract import redaction
from sparkscale.contract.errors import ClusterError

START_SECONDS = 90.0
POLL_SECONDS = 0.1
LOG_TAIL_LINES = 8


class Daemon(BaseModel):
    """Names one daemon so that a later command finds it again. `pid` is also its session's id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    pid: int
    created: float
    """When the process began: a process with this id and another beginning is not ours."""
    log: Path
    memory_bytes: int
    cgroup: Path | None

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        grant: Grant,
        environment: Mapping[str, str],
        log: Path,
        outlives: bool,
        limited: bool = True,
    ) -> "Daemon":
        """Starts it; with `outlives` it does not end with this process. A log that is there is left alone."""
        log = _unused(log)
        shown = {**java.own_environment(), **processes.mark(), **environment}
        if outlives:
            del shown[processes.MARK]
        shown.pop(gpu.VISIBLE, None)  # Spark's addresses count all devices, and libraries would count among these
        limit = processes.MemoryLimit.create(grant.memory_bytes) if limited else None
        launch = Launch(
            cpus=grant.cpus,
            memory_bytes=grant.memory_bytes,
            cgroup=limit.cgroup if limit else None,
            limited=limited,
            outlives=outlives,
        )
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "cluster.launch", launch.model_dump_json(), *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=shown,
                cwd=log.parent,
                start_new_session=True,
            )
        created = psutil.Process(process.pid).create_time()
        _STARTED[process.pid] = process
        return cls(
            name=name,
            pid=process.pid,
            created=created,
            log=log,
            memory_bytes=grant.memory_bytes,
            cgroup=launch.cgroup,
        )

    @property
    def alive(self) -> bool:
        if self.pid in _STARTED:
            _STARTED[self.pid].poll()  # else it stays a zombie
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def await_text(self, pattern: str) -> "re.Match[str]":
        """What its log says of itself once it is up. Raises ClusterError when it ends before, or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            alive = self.alive
            found = re.search(pattern, self.log.read_text(errors="replace"))
            if found:
                return found
            if not alive:
                raise ClusterError(f"Spark's {self.name} did not start. {self.last_words()}")
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"Spark's {self.name} was not ready after {START_SECONDS:.0f} s. {self.last_words()}"
                )
            time.sleep(POLL_SECONDS)

    def last_words(self) -> str:
        tail = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return f"The last lines of {self.log}:\n" + "\n".join(tail)

    def out_of_memory(self) -> int:
        """How often the kernel has ended a process of its tree for passing the memory limit."""
        return processes.MemoryLimit(self.memory_bytes, self.cgroup).kills() if self.cgroup else 0

    def end(self) -> None:
        """Ends the daemon and everything it started; does nothing when it is gone."""
        if not self._id_is_anothers():
            processes.end_session(self.pid)
        with contextlib.suppress(KeyError, subprocess.TimeoutExpired):
            _STARTED.pop(self.pid).wait(timeout=5)
        if self.cgroup:
            processes.MemoryLimit(self.memory_bytes, self.cgroup).remove()
        redaction.scrub(self.log)

    def _id_is_anothers(self) -> bool:
        """No process gets this id while one of our session lives: so if one has it, nothing of ours is left."""
        try:
            return psutil.Process(self.pid).create_time() != self.created
        except psutil.NoSuchProcess:
            return False


def end_children(known: Collection[int]) -> None:
    """Ends the daemons that this process started and nobody knows of: one that was just starting."""
    for pid in _STARTED.keys() - set(known):
        processes.end_session(pid)
        _STARTED.pop(pid).wait()


def _unused(path: Path) -> Path:
    """A daemon that replaces another must not be taken for ready by what the other one said."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_stem(f"{path.stem}-{number}")
    return found


_STARTED: dict[int, "subprocess.Popen[bytes]"] = {}
"""Children of this process, which must reap them."""


def environment_of(jdk: java.Java) -> dict[str, str]:
    """Variables of every daemon: everything binds to loopback."""
    return {**jdk.environment(), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "512m"}
