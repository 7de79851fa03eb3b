"""The runner's side of a worker: starts the worker, sends requests with a deadline, and ends all its processes."""

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
"""The subfolder of a worker's scratch folder for temporary files."""
PID = "worker.pid"
"""A file in a worker's scratch folder, with the worker's process id.

After a killed run, the next command needs the id to tidy up.
"""
END_SECONDS = 5.0
"""The seconds that a closed worker and its processes may take to end by themselves."""


class WorkerDied(Exception):
    """The worker ended without an answer. The message has the last lines of its log."""


class DeadlineExceeded(Exception):
    """The worker did not answer in time.

    `stage` is the stage of the case: checks, phases or scoring. None if the request was no case.
    """

    def __init__(self, stage: Stage | None = None) -> None:
        super().__init__()
        self.stage = stage


@dataclass
class Deadline:
    """The time at which the wait for a reply ends.

    `limits` are seconds: one limit for the whole wait, or a limit for each stage of a case. The stages are checks,
    phases and scoring. The worker reports when a stage begins.
    """

    limits: float | CaseLimits
    stage: Stage | None = None
    _ends: float = 0.0

    def __post_init__(self) -> None:
        self.enter("checks")

    def enter(self, stage: Stage) -> None:
        """Begins a stage with its time limit, unless the stage has begun already.

        If `limits` is one number, it limits all stages together, and only the first call has an effect.
        """
        if isinstance(self.limits, CaseLimits):
            if stage != self.stage:
                self.stage = stage
                self._ends = time.monotonic() + self.limits.of(stage)
        elif not self._ends:
            self._ends = time.monotonic() + self.limits

    def remaining(self) -> float:
        """Returns the seconds until the deadline; negative if the deadline is over."""
        return self._ends - time.monotonic()


@dataclass
class WorkerProcess:
    """One worker: its process in a process session of its own, its log, its pipes and its memory limit."""

    process: "subprocess.Popen[bytes]"
    log_path: Path
    scratch: Path
    limit: processes.MemoryLimit
    threads: int = 0
    """The number of threads of each Spark task, or of the worker process if it has no session."""
    jvm: str | None = None
    software: str = ""
    session: str | None = None
    session_seconds: float | None = None
    heap_bytes: int | None = None
    start_seconds: float | None = None
    """Seconds from the start of the process until the worker was ready."""
    phase: str | None = None
    executions: int = 0
    warmups: dict[str, list[str]] = field(default_factory=dict)
    """Record ids of the warm-ups that this worker ran, by the `warmup_key` of their executions."""
    warmed: dict[str, float] = field(default_factory=dict)
    """The time (time.monotonic()) at which phases last ended, for each `warmup_key` with a finished warm-up."""
    phases_ended: float = 0.0
    """The time (time.monotonic()) at which the phases of the last execution ended; 0 if they did not end."""
    _requests: int = -1
    _replies: int = -1
    _buffer: bytes = b""

    @classmethod
    def spawn(
        cls, log_path: Path, scratch: Path, limit: processes.MemoryLimit, environment: dict[str, str], umask: int = -1
    ) -> "WorkerProcess":
        """Starts the process. The first request to it must be `Open`.

        The process writes its files below `scratch`. It inherits the umask of this process, unless `umask` is given.
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
        with contextlib.suppress(OSError):  # a vanished folder is noticed later, when it is used
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
        """Sends a request and returns the reply.

        `limits` are seconds: one limit for the whole wait, or a limit for each stage of a case (see `Deadline`).
        Samplers run until the phases of the case have ended. `watch` is called regularly during the wait; an error
        in `watch` ends the wait. Raises WorkerDied, DeadlineExceeded, or the SparkscaleError of a worker that
        refused the request.
        """
        deadline = Deadline(limits)
        self.phase = None
        self.phases_ended = 0.0
        try:
            os.write(self._requests, message.model_dump_json().encode() + b"\n")
        except BrokenPipeError:
            raise WorkerDied(self._exit_report()) from None
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
        """Waits until the pipe has new data, or a sample is due, or the deadline is over.

        Data in the pipe is read before the deadline is checked, so that an answer in time counts.
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
            raise WorkerDied(self._exit_report())
        if remaining <= 0:
            raise DeadlineExceeded(deadline.stage)

    def _next_reply(self) -> Reply | None:
        """Returns the next reply that has arrived completely; None if there is none."""
        line, newline, remainder = self._buffer.partition(b"\n")
        if not newline:
            return None
        self._buffer = remainder
        return REPLY.validate_json(line)

    def _exit_report(self) -> str:
        """Returns a text with the exit status of the worker and the last lines of its log."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        last_lines = self.log_path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return f"The worker ended ({self._status()}).\nThe last lines of {self.log_path}:\n" + "\n".join(last_lines)

    def _status(self) -> str:
        code = self.process.returncode
        if code is None:
            return "its pipe closed"
        return f"signal {-code}" if code < 0 else f"exit status {code}"

    @property
    def scratch_vanished(self) -> bool:
        """True if somebody has removed the worker's folder, or its subfolder for temporary files."""
        return not (self.scratch / TEMPORARY).is_dir()

    def close(self) -> None:
        """Asks the worker to end. If it does not end, ends it by force, with all processes that it started."""
        try:
            with contextlib.suppress(WorkerDied, DeadlineExceeded, errors.SparkscaleError):
                self.request(Close(), CLOSE_SECONDS)
                processes.await_end(self.process.pid, END_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """Ends the worker and every process that it started, and removes its memory limit."""
        processes.end_session(self.process.pid)  # all at once: children that outlive the worker cannot be found
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for descriptor in (self._requests, self._replies):
            if descriptor >= 0:
                os.close(descriptor)
        self._requests = self._replies = -1
        self.limit.remove()
        redaction.scrub(self.log_path)
