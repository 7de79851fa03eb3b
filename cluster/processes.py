"""Process trees: finds and ends their processes, limits and measures their memory, and measures their CPU time.

In this module a `session` is a process session (setsid), not a Spark session. Each worker leads a process session.
Processes that the worker starts stay in this process session, even orphans and processes that change their process
group. The children of some libraries lead their own process sessions, so they are found as descendants instead. In
this way, the id of the worker's process session stands for the whole process tree.
"""

import ctypes
import os
import re
import resource
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

CGROUP_ROOT = Path("/sys/fs/cgroup")
CGROUP_PREFIX = "sparkscale-"
ACCOUNTING = "cpuacct"
EMPTY_SECONDS = 5.0
SHARED_MEMORY = Path("/dev/shm")
OWNED = re.compile(r"(?:sem\.)?(?:loky-|joblib_memmapping_folder_|torch_)(\d+)[-_]")
"""Names of files and folders that libraries make in shared memory. Each name contains the id of the process that made
it."""
PR_SET_PDEATHSIG = 1

MARK = "SPARKSCALE_RUN"
"""The environment variable that marks all processes of a run, even those that lead their own process sessions. Its
value is the id and the start time of the run's own process."""


def mark() -> dict[str, str]:
    """Returns the environment variable with which this process marks its child processes.

    Processes that should outlive this process do not get the variable.
    """
    return {MARK: f"{os.getpid()}:{psutil.Process().create_time()}"}


def sweep_marked() -> None:
    """Kills the processes of runs that have ended. After a run is killed, some processes of joblib go on.

    The caller must hold the machine's lock.
    """
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError, ValueError):
            pid, _, created = process.environ().get(MARK, "").partition(":")
            if pid and not lives(int(pid), float(created)):
                process.kill()


def lives(pid: int, created: float) -> bool:
    """True if the process with this id and this start time still exists. The kernel may have reused the id."""
    try:
        return psutil.Process(pid).create_time() == created
    except psutil.NoSuchProcess:
        return False


def die_with_parent() -> None:
    """Asks the kernel to kill this process when its parent process ends, even if the parent is killed."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def processes_of(session: int) -> list[psutil.Process]:
    """Returns the living processes of a process session, and their descendants in all process sessions."""
    parents: dict[int, int] = {}
    members: set[int] = set()
    for pid in psutil.pids():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        state, parent, _, leader = stat.rpartition(")")[2].split()[:4]  # proc(5); a name may contain any character
        if state != "Z":
            parents[pid] = int(parent)
            if int(leader) == session:
                members.add(pid)
    while added := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= added
    found_processes = []
    for pid in sorted(members):
        with suppress(psutil.NoSuchProcess):
            found_processes.append(psutil.Process(pid))
    return found_processes


def python_processes(session: int) -> frozenset[tuple[int, float]]:
    """Returns the living Python processes of a process session and their descendants, by id and start time."""
    identities = set()
    for process in processes_of(session):
        with suppress(psutil.Error, OSError):
            if Path(process.exe()).name.startswith("python"):
                identities.add((process.pid, process.create_time()))
    return frozenset(identities)


def _total(session: int, measure: Callable[[psutil.Process], float]) -> float:
    total = 0.0
    for process in processes_of(session):
        try:
            total += measure(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
            continue
    return total


def cpu_seconds(session: int) -> float:
    """Returns the user and system time of all processes that ever ran in a process session, in seconds.

    Source: the control group of the session's leader. Without such a control group, this returns the time of the
    living processes and of the children that they have reaped. That is less, because PySpark's daemon does not
    reap its children.
    """
    counted = _accounted(session)
    if counted is not None:
        return counted

    def spent(process: psutil.Process) -> float:
        times = process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system

    return _total(session, spent)


def counts_unreaped(session: int) -> bool:
    """True if `cpu_seconds` also counts children that nobody reaped. This is so if the leader has a control group."""
    return _accounted(session) is not None


def _accounted(leader: int) -> float | None:
    """Returns the CPU seconds that the leader's control group has counted.

    None if sparkscale made no control group.
    """
    try:
        for controllers, below in memberships(str(leader)):
            if not below.name.startswith(CGROUP_PREFIX):
                continue
            if ACCOUNTING in controllers:
                return int((CGROUP_ROOT / ACCOUNTING / below / "cpuacct.usage").read_text()) / 1e9
            if controllers == [""]:
                stat = (CGROUP_ROOT / below / "cpu.stat").read_text()
                return int(dict(row.split() for row in stat.splitlines())["usage_usec"]) / 1e6
    except (OSError, KeyError):
        return None
    return None


def pss_bytes(session: int, without_leader: bool = False) -> int:
    """Returns the proportional set size of a process session in bytes.

    Memory pages that processes share count once. If `without_leader` is true, the session's leader does not count.
    """

    def size(process: psutil.Process) -> int:
        return 0 if without_leader and process.pid == session else process.memory_full_info().pss

    return int(_total(session, size))


def peak_pss_bytes(session: int) -> int | None:
    """Returns the peak memory in bytes of a process session that has only one process.

    This is the peak of its resident size, less the memory that the process shares with others now.

    The peak covers the whole life of the process, imports and scoring included. Returns None if there are several
    processes, because they may reach their peaks at different times. Source: proc(5), `VmHWM` of /proc/PID/status and
    `Pss` of /proc/PID/smaps_rollup.
    """
    processes = processes_of(session)
    if len(processes) != 1:
        return None
    try:
        memory = processes[0].memory_full_info()
    except psutil.NoSuchProcess:
        return None
    return int(_status_bytes(processes[0].pid, "VmHWM") - (memory.rss - memory.pss))


def await_end(session: int, patience_seconds: float) -> None:
    """Waits until no process of the process session is left, but at most `patience_seconds`.

    A process that ends by itself removes its own files, so it is better to wait than to kill it.
    """
    deadline = time.monotonic() + patience_seconds
    while (alive := processes_of(session)) and time.monotonic() < deadline:
        psutil.wait_procs(alive, timeout=0.1)


def end_session(session: int, patience_seconds: float = 10.0) -> None:
    """Kills every process of the process session, and removes the files that they left in shared memory.

    Returns when no process is left, but at the latest after `patience_seconds`.
    """
    deadline = time.monotonic() + patience_seconds
    ended = {session}
    while (alive := processes_of(session)) and time.monotonic() < deadline:
        ended |= {process.pid for process in alive}
        for process in alive:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(alive, timeout=0.5)
    remove_shared(ended)


def _runs(pid: int) -> bool:
    """True if a process with this id exists and is not a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def remove_shared(ended: Collection[int]) -> None:
    """Removes the files that ended processes left in shared memory, such as joblib's semaphores and rows.

    `ended` holds the ids of the processes.
    """
    for path in SHARED_MEMORY.glob("*"):
        owner = OWNED.match(path.name)
        if owner and int(owner[1]) in ended and not _runs(int(owner[1])):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def sweep_limits() -> None:
    """Removes the empty control groups of runs that were killed.

    A control group is kept while the process that made it lives, because this process may be about to use it.
    """
    for parent in (*(parent for parent, _ in _cgroup_parents(CGROUP_ROOT)), *_accounting_parents()):
        for folder in parent.glob(f"{CGROUP_PREFIX}*"):
            maker = folder.name.removeprefix(CGROUP_PREFIX).partition("-")[0]
            if not (maker.isdigit() and psutil.pid_exists(int(maker))):
                _remove(folder)


@dataclass(frozen=True)
class MemoryLimit:
    """A limit on the memory of one process tree.

    `cgroup` is the folder of a control group (version 2 or 1). It is None if no control group can be made. Then
    RLIMIT_DATA limits each process separately.
    """

    limit_bytes: int
    cgroup: Path | None

    @property
    def mechanism(self) -> str:
        """The name of the mechanism that enforces the limit, as records contain it."""
        return "cgroup" if self.cgroup else "RLIMIT_DATA"

    @classmethod
    def create(cls, limit_bytes: int) -> "MemoryLimit":
        """Makes a control group below that of this process. If this fails, the limit has no control group."""
        name = f"{CGROUP_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:12]}"
        for parent, file in _cgroup_parents(CGROUP_ROOT):
            folder = parent / name
            try:
                folder.mkdir()
                (folder / file).write_text(str(limit_bytes))
                if (folder / "memory.swap.max").exists():
                    (folder / "memory.swap.max").write_text("0")
            except OSError:
                _remove(folder)
                continue
            for other in _accounting_parents():
                with suppress(OSError):
                    (other / name).mkdir()
            return cls(limit_bytes, folder)
        return cls(limit_bytes, None)

    def apply(self) -> None:
        """Puts the calling process, and every process that it will start, under the limit."""
        if self.cgroup:
            for folder in self._folders():
                (folder / "cgroup.procs").write_text(str(os.getpid()))
        else:
            resource.setrlimit(resource.RLIMIT_DATA, (self.limit_bytes, self.limit_bytes))

    def reached(self, pid: int) -> bool:
        """True if the kernel has killed a process of the tree because the tree reached the limit.

        Without a control group: true if the process `pid` is alive and uses more than 95 % of the limit. Such a
        process may hang, because a library cannot start a thread.
        """
        if not self.cgroup:
            return _status_bytes(pid, "VmData") > 0.95 * self.limit_bytes
        return self.kills() > 0

    def kills(self) -> int:
        """Returns how many processes the kernel has killed at the limit; always 0 without a control group."""
        for file in ("memory.events", "memory.oom_control"):
            if self.cgroup and (self.cgroup / file).is_file():
                counts = dict(line.split() for line in (self.cgroup / file).read_text().splitlines())
                return int(counts.get("oom_kill", 0))
        return 0

    def remove(self) -> None:
        """Kills the processes that are left in the control group, such as orphans, and removes the control group."""
        for folder in self._folders():
            with suppress(OSError):
                for pid in (folder / "cgroup.procs").read_text().split():
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                _await_empty(folder / "cgroup.procs")
            _remove(folder)

    def _folders(self) -> list[Path]:
        """Returns the control group that limits memory and, in version 1, the one that counts CPU time."""
        if self.cgroup is None:
            return []
        others = [parent / self.cgroup.name for parent in _accounting_parents()]
        return [self.cgroup, *(other for other in others if other.is_dir())]


def _status_bytes(pid: int, name: str) -> int:
    """Returns a size in bytes from /proc/PID/status, see proc(5); 0 for a process that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    size = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(size.group(1)) * 1024 if size else 0


def memberships(process: str = "self") -> list[tuple[list[str], Path]]:
    """Returns the control groups of a process, one per hierarchy (proc(5), cgroups(7)).

    Each is a pair of the controllers (in version 2: [""]) and the path below the hierarchy's root. Raises OSError for
    a process that has ended.
    """
    lines = Path(f"/proc/{process}/cgroup").read_text().splitlines()
    parts = [line.split(":", 2) for line in lines]
    return [(controllers.split(","), Path(path.lstrip("/"))) for _, controllers, path in parts]


def _cgroup_parents(root: Path) -> list[tuple[Path, str]]:
    """Returns the folders in which a control group could be made.

    Each is a pair of the folder and the name of the file to which the new control group's limit is written.
    """
    parents = []
    for controllers, below in memberships():
        if controllers == [""]:
            parents.append((root / below, "memory.max"))
        elif "memory" in controllers:
            parents.append((root / "memory" / below, "memory.limit_in_bytes"))
    return [(parent, file) for parent, file in parents if (parent / "cgroup.procs").exists()]


def _accounting_parents() -> list[Path]:
    """Returns the folders in which a control group with CPU accounting can be made.

    Empty with version 2, where every control group counts CPU time.
    """
    candidates = []
    for controllers, below in memberships():
        if ACCOUNTING in controllers:
            inside = [part for part in below.parts if not part.startswith(CGROUP_PREFIX)]
            candidates.append(CGROUP_ROOT.joinpath(ACCOUNTING, *inside))
    return [folder for folder in candidates if folder.is_dir()]


def _await_empty(procs: Path) -> None:
    """Waits until no process is left in a control group, but at most EMPTY_SECONDS."""
    deadline = time.monotonic() + EMPTY_SECONDS
    while procs.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)


def _remove(folder: Path) -> None:
    """Removes an empty control group. Does nothing if it cannot be removed."""
    try:
        folder.rmdir()
    except OSError:
        return
