"""The runner's side of a worker: start it, talk to it under a deadline, end it with all that it started."""

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from cluster import gpu, java, processes
from sparkscale.contract import errors, redaction
from sparkscale.measure.worker.protocol import REPLY, Close, Message, PhasesEnded, PhaseStarted, Refused, Reply

POLL_SECONDS = 0.2
CLOSE_SECONDS = 20.0
LOG_TAIL_LINES = 12
TEMPORARY = "tmp"
"""Folder of a worker's scratch folder that its temporary files lie in."""
PID = "worker.pid"
"""A file of a worker's folder that holds its process's id, for those who tidy up after a run that was killed."""
END_SECONDS = 5.0
"""How long a worker that was closed, and what it started, may take to end by itself."""
SAMPLING_SHARE = 0.01
"""Sampling memory may take this share of the time: after a sample that took s seconds, s / share pass."""
SAMPLING_SECONDS = 0.1


OUT_OF_MEMORY = (
    "bad_alloc",
    "OutOfMemoryError",
    "MemoryError",
    "Cannot allocate memory",
    "Unable to allocate",
    "can't start new thread",
    "CUDA out of memory",
    "Command exited with code 52",
    "(JVM OOM)",
    "possible container OOM",
    "killed by YARN for exceeding",
)
"""What libraries say when memory runs out; under RLIMIT_DATA a thread's stack is memory, too.

The last ones are Spark's, of an executor that did not survive it: 52 is its exit status after an OutOfMemoryError
(org.apache.spark.util.SparkExitCode.OOM), the others come from Kubernetes (describeExitCode of
ExecutorPodsLifecycleManager) and YARN (YarnAllocator).
"""


def out_of_memory(message: str) -> bool:
    return any(sign in message for sign in OUT_OF_MEMORY)


class WorkerDied(Exception):
    """The worker ended without an answer; the message holds its log's last lines."""


Stage = Literal["checks", "phases", "scoring"]
"""The stages of a case in its worker, in this order."""


class DeadlineExceeded(Exception):
    """The worker did not answer in time. `stage` is the case's at that moment; None if the request was no case."""

    def __init__(self, stage: Stage | None = None) -> None:
        super().__init__()
        self.stage = stage


@dataclass(frozen=True)
class CaseLimits:
    """Seconds that a case may take: for its phases together, and for what lies outside of them.

    `outside` holds for the checks and the tidying before the first phase, and once more for scoring.
    """

    phases: float
    outside: float

    def of(self, stage: Stage) -> float:
        return self.phases if stage == "phases" else self.outside


@dataclass
class Deadline:
    """When the wait for a reply ends. A case has one for each stage, which begins when the worker says so."""

    limits: float | CaseLimits
    stage: Stage | None = None
    _ends: float = 0.0

    def __post_init__(self) -> None:
        self.enter("checks")

    def enter(self, stage: Stage) -> None:
        """Begins a stage with its own limit, unless it has begun. Only a case has stages."""
        if isinstance(self.limits, CaseLimits):
            if stage != self.stage:
                self.stage = stage
                self._ends = time.monotonic() + self.limits.of(stage)
        elif not self._ends:
            self._ends = time.monotonic() + self.limits

    def remaining(self) -> float:
        return self._ends - time.monotonic()


class Sampler(Protocol):
    """Looks now and then at what a case uses."""

    def sample(self) -> float:
        """Samples when it is time to; returns the seconds until the next sample."""


@dataclass
class MemorySampler:
    """Peak of the proportional set size of a worker's process tree, sampled from outside it at under 1 % cost.

    A tree of one process has its peak from the kernel, so that none falls between two samples. To a tree belong the
    executors that the daemons of these `executors` sessions started for it, without the daemons themselves, and the
    `whole` sessions that serve it alone.
    """

    session: int
    whole: tuple[int, ...] = ()
    executors: tuple[int, ...] = ()
    baseline: int | None = None
    """Bytes that the tree held when `begin` was called."""
    _peak: int = 0
    _next: float = 0.0

    def begin(self) -> None:
        """Looks at the tree before the case has begun."""
        self.baseline = self._now()

    def sample(self) -> float:
        """Samples when it is time to; returns the seconds until the next sample."""
        now = time.monotonic()
        if now >= self._next:
            self._peak = max(self._peak, self._now())
            cost = time.monotonic() - now
            self._next = now + max(SAMPLING_SECONDS, cost / SAMPLING_SHARE)
        return max(0.0, self._next - time.monotonic())

    def peak(self) -> int:
        """Bytes; to be asked while the processes still live."""
        alone = None if self.executors or self.whole else processes.peak_pss_bytes(self.session)
        return max(self._peak, alone or self._now())

    def _now(self) -> int:
        own = sum(map(processes.pss_bytes, (self.session, *self.whole)))
        return own + sum(processes.pss_bytes(daemon, without_leader=True) for daemon in self.executors)


@dataclass
class GpuSampler:
    """Energy that the GPUs of a case took, and the most memory that was in use on them beyond what was before.

    Both are of whole devices. Null where a device does not tell.
    """

    indices: tuple[int, ...]
    _before: gpu.Reading | None = None
    _most: int | None = None
    _next: float = 0.0

    def __post_init__(self) -> None:
        self._before = gpu.read(self.indices)

    def sample(self) -> float:
        """As MemorySampler's."""
        now = time.monotonic()
        if now >= self._next:
            self._take()
            self._next = now + max(SAMPLING_SECONDS, (time.monotonic() - now) / SAMPLING_SHARE)
        return max(0.0, self._next - time.monotonic())

    def peak_bytes(self) -> int | None:
        self._take()
        if self._most is None or self._before is None or self._before.memory_bytes is None:
            return None
        return max(0, self._most - self._before.memory_bytes)

    def joules(self) -> float | None:
        now = self._take()
        if now is None or now.joules is None or self._before is None or self._before.joules is None:
            return None
        return now.joules - self._before.joules

    def _take(self) -> gpu.Reading | None:
        found = gpu.read(self.indices)
        if found and found.memory_bytes is not None:
            self._most = max(self._most or 0, found.memory_bytes)
        return found


@dataclass
class WorkerProcess:
    """One worker: a process that leads a session of its own, its log, its pipes, its memory limit."""

    process: "subprocess.Popen[bytes]"
    log_path: Path
    scratch: Path
    limit: processes.MemoryLimit
    threads: int = 0
    """What its session's tasks, or its own process, may use."""
    jvm: str | None = None
    software: str = ""
    session: str | None = None
    session_seconds: float | None = None
    heap_bytes: int | None = None
    start_seconds: float | None = None
    """Seconds from the start of its process until it was ready."""
    phase: str | None = None
    executions: int = 0
    warmups: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the records of the warm-ups that it ran, by their executions' `warmup_key`."""
    warmed: dict[str, float] = field(default_factory=dict)
    """By the keys of the warm-ups that are done, when phases of such an execution last ended, as time.monotonic()."""
    phases_ended: float = 0.0
    """When the phases of its last execution ended, as time.monotonic(); 0 if they did not."""
    _requests: int = -1
    _replies: int = -1
    _buffer: bytes = b""

    @classmethod
    def spawn(
        cls, log_path: Path, scratch: Path, limit: processes.MemoryLimit, environment: dict[str, str], umask: int = -1
    ) -> "WorkerProcess":
        """Starts the process; `open` must be its first request. What it writes goes below `scratch`. It has this
        process's umask, unless another is given.
        """
        request_read, request_write = os.pipe()
        reply_read, reply_write = os.pipe()
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "sparkscale.measure.worker", str(request_read), str(reply_write)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(request_read, reply_write),
                env={**java.own_environment(), **processes.mark(), **environment},
                start_new_session=True,
                umask=umask,
            )
        os.close(request_read)
        os.close(reply_write)
        with contextlib.suppress(OSError):  # a folder that vanished is noticed by what it is for
            (scratch / PID).write_text(str(process.pid))
        return cls(process, log_path, scratch, limit, _requests=request_write, _replies=reply_read)

    def request(
        self,
        message: Message,
        limits: float | CaseLimits,
        samplers: Sequence[Sampler] = (),
        on_phase: Callable[[str], None] = lambda _: None,
        on_phases_ended: Callable[[], None] = lambda: None,
        watch: Callable[[], None] = lambda: None,
    ) -> Reply:
        """Sends a request and returns its answer. `watch` is called every now and then; what it raises ends the wait.

        `limits` are seconds: of the whole wait, or of a case's stages. Samplers look until its phases have ended.
        Raises WorkerDied, DeadlineExceeded, or the SparkscaleError that the worker refused with.
        """
        deadline = Deadline(limits)
        self.phase = None
        self.phases_ended = 0.0
        try:
            os.write(self._requests, message.model_dump_json().encode() + b"\n")
        except BrokenPipeError:
            raise WorkerDied(self._last_words()) from None
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            while True:
                reply = self._next_reply()
                if isinstance(reply, PhaseStarted):
                    deadline.enter("phases")
                    self.phase = reply.name
                    on_phase(reply.name)
                elif isinstance(reply, PhasesEnded):
                    deadline.enter("scoring")
                    self.phases_ended = time.monotonic()
                    samplers = ()
                    on_phases_ended()
                elif isinstance(reply, Refused):
                    kind = getattr(errors, reply.error, errors.ClusterError)
                    raise kind(reply.message)
                elif reply is not None:
                    return reply
                else:
                    self._wait(selector, deadline, samplers)
                    watch()

    def _wait(self, selector: selectors.BaseSelector, deadline: Deadline, samplers: Sequence[Sampler]) -> None:
        """Until the pipe holds something new, or it is time for a sample or the end.

        What the worker said in time is read before it can be too late.
        """
        pause = min((sampler.sample() for sampler in samplers), default=POLL_SECONDS)
        remaining = deadline.remaining()
        ended = self.process.poll() is not None
        if selector.select(0 if ended else max(0.0, min(pause, POLL_SECONDS, remaining))):
            added = os.read(self._replies, 2**16)
            if added:
                self._buffer += added
                return
            ended = True
        if ended:
            raise WorkerDied(self._last_words())
        if remaining <= 0:
            raise DeadlineExceeded(deadline.stage)

    def _next_reply(self) -> Reply | None:
        line, found, rest = self._buffer.partition(b"\n")
        if not found:
            return None
        self._buffer = rest
        return REPLY.validate_json(line)

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        tail = self.log_path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return f"The worker ended ({self._status()}).\nThe last lines of {self.log_path}:\n" + "\n".join(tail)

    def _status(self) -> str:
        code = self.process.returncode
        if code is None:
            return "its pipe closed"
        return f"signal {-code}" if code < 0 else f"exit status {code}"

    @property
    def scratch_vanished(self) -> bool:
        """True if somebody has removed the folder that it writes to, or the one for temporary files in it."""
        return not (self.scratch / TEMPORARY).is_dir()

    def close(self) -> None:
        """Asks the worker to end; ends it, and everything it started, when it does not."""
        try:
            with contextlib.suppress(WorkerDied, DeadlineExceeded, errors.SparkscaleError):
                self.request(Close(), CLOSE_SECONDS)
                processes.await_end(self.process.pid, END_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """Ends the process and every process of its session; removes its memory limit."""
        processes.end_session(self.process.pid)  # its leader last would leave children that nobody finds
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for descriptor in (self._requests, self._replies):
            if descriptor >= 0:
                os.close(descriptor)
        self._requests = self._replies = -1
        self.limit.remove()
        redaction.scrub(self.log_path)
