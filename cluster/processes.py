"""What a process tree may use and has used: CPU affinity, thread variables, memory limits, CPU and memory.

A worker leads a session (setsid), and everything it starts stays in that session whatever process group it makes
for itself: the session's id therefore names the whole tree, orphans included.
"""

import ctypes
import os
import re
import resource
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

CGROUP_ROOT = Path("/sys/fs/cgroup")
PR_SET_PDEATHSIG = 1


def thread_variables(threads: int) -> dict[str, str]:
    """Environment variables that make numeric libraries use this many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def die_with_parent() -> None:
    """Asks the kernel to kill this process when the one that started it ends, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def processes_of(session: int) -> list[psutil.Process]:
    """The living processes of a session."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session:
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def _total(session: int, measure: Callable[[psutil.Process], float]) -> float:
    total = 0.0
    for process in processes_of(session):
        try:
            total += measure(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
            continue
    return total


def cpu_seconds(session: int) -> float:
    """User and system time of a session's processes and of the children that they have reaped."""

    def spent(process: psutil.Process) -> float:
        times = process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system

    return _total(session, spent)


def pss_bytes(session: int) -> int:
    """Proportional set size, summed over the session: pages that processes share are counted once."""
    return int(_total(session, lambda process: process.memory_full_info().pss))


def peak_pss_bytes(session: int) -> int | None:
    """The exact peak of a session that is one process: the kernel's peak resident size less what it shares.

    None for a session of several processes, whose peaks need not coincide. Source of both: proc(5), `VmHWM` of
    /proc/PID/status and `Pss` of /proc/PID/smaps_rollup.
    """
    processes = processes_of(session)
    if len(processes) != 1:
        return None
    try:
        status = Path(f"/proc/{processes[0].pid}/status").read_text()
        memory = processes[0].memory_full_info()
    except (psutil.NoSuchProcess, OSError):
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found.group(1)) * 1024 - (memory.rss - memory.pss) if found else None


def end_session(session: int, patience_seconds: float = 10.0) -> None:
    """Kills every process of the session and returns when none is left (or patience is)."""
    deadline = time.monotonic() + patience_seconds
    while (alive := processes_of(session)) and time.monotonic() < deadline:
        for process in alive:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(alive, timeout=0.5)


@dataclass(frozen=True)
class MemoryLimit:
    """A limit on the memory of one process tree.

    `cgroup` is the folder of a control group (version 2 or 1); None where none can be made, and then RLIMIT_DATA
    limits each process by itself.
    """

    limit_bytes: int
    cgroup: Path | None

    @property
    def mechanism(self) -> str:
        return "cgroup" if self.cgroup else "RLIMIT_DATA"

    @classmethod
    def create(cls, limit_bytes: int) -> "MemoryLimit":
        """Makes a control group, if this process may, directly below its own."""
        name = f"sparkscale-{uuid.uuid4().hex[:12]}"
        for parent, file in _cgroup_parents(CGROUP_ROOT):
            folder = parent / name
            try:
                folder.mkdir()
                (folder / file).write_text(str(limit_bytes))
            except OSError:
                _remove(folder)
                continue
            return cls(limit_bytes, folder)
        return cls(limit_bytes, None)

    def apply(self) -> None:
        """Puts the calling process, and all that it will start, under the limit."""
        if self.cgroup:
            (self.cgroup / "cgroup.procs").write_text(str(os.getpid()))
        else:
            resource.setrlimit(resource.RLIMIT_DATA, (self.limit_bytes, self.limit_bytes))

    def exceeded(self) -> bool:
        """Whether the kernel has killed a process for passing the limit (known for a cgroup only)."""
        if not self.cgroup:
            return False
        for file in ("memory.events", "memory.oom_control"):
            path = self.cgroup / file
            if path.is_file():
                counts = dict(line.split() for line in path.read_text().splitlines())
                return int(counts.get("oom_kill", 0)) > 0
        return False

    def remove(self) -> None:
        """Removes the control group, once its processes have ended."""
        if self.cgroup:
            _remove(self.cgroup)


def _cgroup_parents(root: Path) -> list[tuple[Path, str]]:
    """Where a child group could be made, and the file that takes its limit."""
    parents = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        below = path.lstrip("/")
        if controllers == "":
            parents.append((root / below, "memory.max"))
        elif "memory" in controllers.split(","):
            parents.append((root / "memory" / below, "memory.limit_in_bytes"))
    return [(parent, file) for parent, file in parents if (parent / "cgroup.procs").exists()]


def _remove(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
