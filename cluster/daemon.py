"""A daemon of Spark: a process that leads its own process session (setsid), with limits and a log."""

import contextlib
import os
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
LOOPBACK = "127.0.0.1"


class Daemon(BaseModel):
    """Identifies one daemon, so that a later command finds it again. `pid` is also the id of its process tree."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    pid: int
    created: float
    """The start time of the process. A process with this id and another start time is not ours."""
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
        namespace: Path | None = None,
    ) -> "Daemon":
        """Starts a daemon and returns at once. If `outlives` is true, the daemon goes on when this process ends.

        If `limited` is false, the daemon has no memory limit. `namespace` is the network namespace of its emulated
        host; None: that of this process. If the file `log` exists already, the daemon writes to a new file in the
        same folder.
        """
        log = _unused_path(log)
        variables = {**java.own_environment(), **processes.mark(), **environment}
        if outlives:
            del variables[processes.MARK]
        # Spark numbers all GPUs of the host, but libraries would number only the visible GPUs
        variables.pop(gpu.VISIBLE, None)
        limit = processes.MemoryLimit.create(grant.memory_bytes) if limited else None
        launch = Launch(
            cpus=grant.cpus,
            memory_bytes=grant.memory_bytes,
            cgroup=limit.cgroup if limit else None,
            limited=limited,
            outlives=outlives,
            namespace=namespace,
        )
        with log.open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "cluster.launch", launch.model_dump_json(), *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=variables,
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
        """True if the daemon's process still runs."""
        if self.pid in _STARTED:
            _STARTED[self.pid].poll()  # otherwise the process stays a zombie
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def await_text(self, pattern: str) -> "re.Match[str]":
        """Waits until the daemon's log matches the pattern, and returns the match.

        Raises ClusterError if the daemon ends before that, or if it takes longer than START_SECONDS.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            alive = self.alive
            match = re.search(pattern, self.log.read_text(errors="replace"))
            if match:
                return match
            if not alive:
                raise ClusterError(f"Spark's {self.name} did not start. {self.last_words()}")
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"Spark's {self.name} was not ready after {START_SECONDS:.0f} s. {self.last_words()}"
                )
            time.sleep(POLL_SECONDS)

    def last_words(self) -> str:
        """Returns a text with the last lines of the daemon's log. Error messages end with this text."""
        tail = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return f"The last lines of {self.log}:\n" + "\n".join(tail)

    def out_of_memory(self) -> int:
        """Returns how many processes of the daemon's tree the kernel has killed at the memory limit."""
        return processes.MemoryLimit(self.memory_bytes, self.cgroup).kills() if self.cgroup else 0

    def end(self) -> None:
        """Ends the daemon and all processes that it started, removes its control group, and redacts its log."""
        if not self._id_was_reused():
            processes.end_session(self.pid)
        with contextlib.suppress(KeyError, subprocess.TimeoutExpired):
            _STARTED.pop(self.pid).wait(timeout=5)
        if self.cgroup:
            processes.MemoryLimit(self.memory_bytes, self.cgroup).remove()
        redaction.scrub(self.log)

    def _id_was_reused(self) -> bool:
        """Returns true if a process that is not ours has the daemon's process id.

        The kernel reuses an id only when no process of the daemon's tree is left. Then no process needs to be ended.
        """
        try:
            return psutil.Process(self.pid).create_time() != self.created
        except psutil.NoSuchProcess:
            return False


def end_children(known: Collection[int]) -> None:
    """Ends the daemons that this process started, except those with process ids in `known`.

    So it also ends a daemon that was just starting, which no saved state contains yet.
    """
    for pid in _STARTED.keys() - set(known):
        processes.end_session(pid)
        _STARTED.pop(pid).wait()


def end_unsaved(folder: Path) -> None:
    """Ends the daemons that have their settings below `folder`, the folder of a cluster.

    If a command is killed just after it started a daemon, no saved state contains this daemon.
    """
    sessions = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            settings = process.environ().get("SPARK_CONF_DIR", "")
            if settings and Path(settings).is_relative_to(folder):
                sessions.add(os.getsid(process.pid))
    for session in sessions - {os.getsid(0)}:
        processes.end_session(session)


def _unused_path(path: Path) -> Path:
    """Returns a path at which no file exists: `path` itself, or `path` with a number.

    Each daemon needs a new log. In an old log, `await_text` would find the lines of the daemon that was replaced.
    """
    number, candidate = 1, path
    while candidate.exists():
        number += 1
        candidate = path.with_stem(f"{path.stem}-{number}")
    return candidate


_STARTED: dict[int, "subprocess.Popen[bytes]"] = {}
"""The daemons that this process started, by process id. This process is their parent, so it must reap them when they
end."""


def daemon_environment(jdk: java.Java, address: str = LOOPBACK) -> dict[str, str]:
    """Returns the environment variables of every daemon. They make Spark listen at this address only."""
    return {**jdk.environment(), "SPARK_LOCAL_IP": address, "SPARK_DAEMON_MEMORY": "512m"}
