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

from cluster import java, processes
from sparkscale.contract import errors, redaction
from sparkscale.measure.outcomes import CaseLimits, Stage
from sparkscale.measure.worker.protocol import REPLY, Close, Message, PhasesEnded, PhaseStarted, Refused, Reply
from sparkscale.measure.worker.samplers import Sampler

POLL_SECONDS = 0.2
CLOSE_SECONDS = 20.0
LOG_TAIL_LINES = 12
TEMPORARY = "tmp"
"""Folder of a worker's scratch folder that its temporary files lie in."""
PID = "worker.pid"
"""A file of a worker's folder that holds its process's id, for those who tidy up after a run that was killed."""
END_SECONDS = 5.0
"""How long a worker that was closed, and what it started, may take to end by itself."""


class WorkerDied(Exception):
    """The worker ended without an answer; the message holds its log's last lines."""


class DeadlineExceeded(Exception):
    """The worker did not answer in time. `stage` is the case's at that moment; None if the request was no case."""

    def __init__(self, stage: Stage | None = None) -> None:
        super().__init__()
        self.stage = stage


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
