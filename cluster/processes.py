"""What a process tree may use and has used: CPU affinity, thread variables, memory limits, CPU and memory.

A worker leads a session (setsid), and what it starts stays in that session whatever process group it makes for
itself, orphans included; some libraries' children lead sessions of their own, and are found as its descendants. The
session's id therefore names the whole tree.
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
"""Names that libraries give what they keep there, with the id of the process that made it."""
PR_SET_PDEATHSIG = 1


MARK = "SPARKSCALE_RUN"
"""The environment variable by which the processes of a run are known, whatever sessions they make for themselves: it
holds the run's own process, by id and beginning."""


def mark() -> dict[str, str]:
    """The variable for what this process starts, unless it is to live on."""
    return {MARK: f"{os.getpid()}:{psutil.Process().create_time()}"}


def sweep_marked() -> None:
    """Kills what was started by runs that have ended: after a run was killed, processes of joblib live on. To be
    called under the machine's lock.
    """
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError, ValueError):
            pid, _, created = process.environ().get(MARK, "").partition(":")
            if pid and not lives(int(pid), float(created)):
                process.kill()


def lives(pid: int, created: float) -> bool:
    """Whether the process that had this id and began then is still there: ids are given again."""
    try:
        return psutil.Process(pid).create_time() == created
    except psutil.NoSuchProcess:
        return False


def die_with_parent() -> None:
    """Asks the kernel to kill this process when the one that started it ends, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def processes_of(session: int) -> list[psutil.Process]:
    """The living processes of a session, and their descendants in whatever session."""
    parents: dict[int, int] = {}
    members: set[int] = set()
    for pid in psutil.pids():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        state, parent, _, leader = stat.rpartition(")")[2].split()[:4]  # proc(5); a name may hold anything
        if state != "Z":
            parents[pid] = int(parent)
            if int(leader) == session:
                members.add(pid)
    while added := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= added
    found = []
    for pid in sorted(members):
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    return found


def python_processes(session: int) -> frozenset[tuple[int, float]]:
    """The living Python processes of a session and their descendants: ids, and when each began."""
    found = set()
    for process in processes_of(session):
        with suppress(psutil.Error, OSError):
            if Path(process.exe()).name.startswith("python"):
                found.add((process.pid, process.create_time()))
    return frozenset(found)


def _total(session: int, measure: Callable[[psutil.Process], float]) -> float:
    total = 0.0
    for process in processes_of(session):
        try:
            total += measure(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
            continue
    return total


def cpu_seconds(session: int) -> float:
    """User and system time of all that a session ever ran, as the control group of its leader counts it.

    Where there is no such group: of its living processes and of the children that they have reaped. That is less,
    for PySpark's daemon reaps none.
    """
    counted = _accounted(session)
    if counted is not None:
        return counted

    def spent(process: psutil.Process) -> float:
        times = process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system

    return _total(session, spent)


def counts_unreaped(session: int) -> bool:
    """Whether `cpu_seconds` counts children that nobody reaped too: a control group of the leader's does."""
    return _accounted(session) is not None


def _accounted(leader: int) -> float | None:
    """What the control group of this process, if we made it one, has counted so far."""
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
    """Proportional set size, summed over the session: pages that processes share are counted once."""

    def size(process: psutil.Process) -> int:
        return 0 if without_leader and process.pid == session else process.memory_full_info().pss

    return int(_total(session, size))


def peak_pss_bytes(session: int) -> int | None:
    """The peak of a session that is one process: the kernel's peak resident size less what it now shares.

    It spans the process's life, imports and scoring included. None for a session of several processes, whose peaks
    need not coincide. Source: proc(5), `VmHWM` of /proc/PID/status and `Pss` of /proc/PID/smaps_rollup.
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
    """Returns when no process of the session is left, or patience is: whoever ends by itself tidies up."""
    deadline = time.monotonic() + patience_seconds
    while (alive := processes_of(session)) and time.monotonic() < deadline:
        psutil.wait_procs(alive, timeout=0.1)


def end_session(session: int, patience_seconds: float = 10.0) -> None:
    """Kills every process of the session and returns when none is left (or patience is). Of their shared memory
    nothing stays.
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


def _works(pid: int) -> bool:
    """Whether there is such a process, and not only what its parent has not yet asked for."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def remove_shared(ended: Collection[int]) -> None:
    """Removes what these processes, by their ids, have left in shared memory: joblib's semaphores and rows."""
    for path in SHARED_MEMORY.glob("*"):
        found = OWNED.match(path.name)
        if found and int(found[1]) in ended and not _works(int(found[1])):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def sweep_limits() -> None:
    """Removes the empty control groups of runs that were killed; a living process may be about to use its own."""
    for parent in (*(parent for parent, _ in _cgroup_parents(CGROUP_ROOT)), *_accounting_parents()):
        for folder in parent.glob(f"{CGROUP_PREFIX}*"):
            maker = folder.name.removeprefix(CGROUP_PREFIX).partition("-")[0]
            if not (maker.isdigit() and psutil.pid_exists(int(maker))):
                _remove(folder)


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
        """Puts the calling process, and all that it will start, under the limit."""
        if self.cgroup:
            for folder in self._folders():
                (folder / "cgroup.procs").write_text(str(os.getpid()))
        else:
            resource.setrlimit(resource.RLIMIT_DATA, (self.limit_bytes, self.limit_bytes))

    def reached(self, pid: int) -> bool:
        """Whether the kernel has killed a process of the tree for passing the limit.

        Without a cgroup: whether this process, still alive, is within 5 % of it. Libraries that cannot start a thread
        for lack of memory may hang.
        """
        if not self.cgroup:
            return _status_bytes(pid, "VmData") > 0.95 * self.limit_bytes
        return self.kills() > 0

    def kills(self) -> int:
        """How many processes the kernel has ended for passing the limit; 0 where there is no cgroup to tell."""
        for file in ("memory.events", "memory.oom_control"):
            if self.cgroup and (self.cgroup / file).is_file():
                counts = dict(line.split() for line in (self.cgroup / file).read_text().splitlines())
                return int(counts.get("oom_kill", 0))
        return 0

    def remove(self) -> None:
        """Ends what is left in the control group, such as a dead process's children, and removes it."""
        for folder in self._folders():
            with suppress(OSError):
                for pid in (folder / "cgroup.procs").read_text().split():
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                _await_empty(folder / "cgroup.procs")
            _remove(folder)

    def _folders(self) -> list[Path]:
        """The group that limits memory, and in version 1 the one of the same name that counts CPU time."""
        if self.cgroup is None:
            return []
        others = [parent / self.cgroup.name for parent in _accounting_parents()]
        return [self.cgroup, *(other for other in others if other.is_dir())]


def _status_bytes(pid: int, name: str) -> int:
    """A size from /proc/PID/status, see proc(5); 0 for a process that is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def memberships(process: str = "self") -> list[tuple[list[str], Path]]:
    """The control groups that a process is in, one in each hierarchy: its controllers, [""] in version 2, and the
    path below the hierarchy's root (proc(5), cgroups(7)). Raises OSError for a process that is gone.
    """
    lines = Path(f"/proc/{process}/cgroup").read_text().splitlines()
    parts = [line.split(":", 2) for line in lines]
    return [(controllers.split(","), Path(path.lstrip("/"))) for _, controllers, path in parts]


def _cgroup_parents(root: Path) -> list[tuple[Path, str]]:
    """Where a child group could be made, and the file that takes its limit."""
    parents = []
    for controllers, below in memberships():
        if controllers == [""]:
            parents.append((root / below, "memory.max"))
        elif "memory" in controllers:
            parents.append((root / "memory" / below, "memory.limit_in_bytes"))
    return [(parent, file) for parent, file in parents if (parent / "cgroup.procs").exists()]


def _accounting_parents() -> list[Path]:
    """Where a group that counts CPU time could be made: version 1 only, for in version 2 every group does."""
    found = []
    for controllers, below in memberships():
        if ACCOUNTING in controllers:
            inside = [part for part in below.parts if not part.startswith(CGROUP_PREFIX)]
            found.append(CGROUP_ROOT.joinpath(ACCOUNTING, *inside))
    return [folder for folder in found if folder.is_dir()]


def _await_empty(procs: Path) -> None:
    deadline = time.monotonic() + EMPTY_SECONDS
    while procs.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)


def _remove(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
