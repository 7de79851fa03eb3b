"""Runs trials one after the other, each in a separate child process that can be killed.

A template process imports the libraries, opens the data, and then forks a child for each trial. A trial that
raises an error, hangs or needs too much memory does not harm other trials, and the next trial needs no imports.
The template itself never trains, so no thread of a library is lost in a fork. (Pools such as loky's or pebble's
use a process for several trials. After a process is killed, such a pool must start a new process, which imports
the libraries again.)
"""

import gc
import math
import os
import pickle
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from sparkscale.contract.phrases import brief
from sparkscale.contract.threads import thread_variables
from workloads.tuning.trials import Job, TrialResult, failed, train_and_judge

IDLE_SECONDS = 60.0
"""A template process ends after this many seconds without a request."""
OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "cannot allocate memory", "can't allocate memory", "out of memory")


class TrialProcess:
    """Starts a template process and sends it one trial at a time. The template forks a child for each trial."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, values: dict[str, Any], gpu: str = "") -> TrialResult:
        """Runs one trial with these values of the parameters. If `gpu` names a GPU, the trial sees only this GPU.

        A failure is not raised; it is the outcome of the result.
        """
        began = time.time()
        for _ in range(2):  # the template may just have ended because it was idle
            process = self._process or self._started()
            try:
                _write(_pipe(process.stdin), (values, gpu))
                result: TrialResult = _read(_pipe(process.stdout))
            except (EOFError, OSError):
                self.close()
            else:
                return result
        return failed("failed", "the process that trains trials ended twice", began, socket.gethostname())

    def close(self) -> None:
        """Ends the template process, and the trial that it is running, if any."""
        process, self._process = self._process, None
        if process:
            for pipe in (process.stdin, process.stdout):
                try:
                    _pipe(pipe).close()
                except OSError:  # the template ended before it had read everything
                    continue
            process.wait()

    def _started(self) -> "subprocess.Popen[bytes]":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workloads.tuning.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                **thread_variables(self.job.run.case.known_threads),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
        )
        _write(_pipe(self._process.stdin), self.job)
        _read(_pipe(self._process.stdout))  # waits until the template is ready
        return self._process


class TemplateOfJob:
    """Holds the template process that forks this process's trials. For another job, a new one replaces it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: TrialProcess | None = None
        self._gpu_binding = ExitStack()

    def run(self, job: Job, values: dict[str, Any], gpu: str) -> TrialResult:
        with self._lock:
            current = self._current
            if current is None or current.job.id != job.id:
                if current:
                    current.close()
                if job.bind_gpu:
                    self._gpu_binding.close()
                    self._gpu_binding.enter_context(job.bind_gpu())
                self._current = current = TrialProcess(job)
                # PySpark's daemon collects garbage after each task. Without the freeze it searches all objects of
                # the imports, which adds 25 ms to each trial
                gc.collect()
                gc.freeze()
            return current.run(values, gpu)


_template = TemplateOfJob()


def run_trial(job: Job, values: dict[str, Any], gpu: str = "") -> TrialResult:
    """Runs a trial in a child of this process's template process.

    The trial uses the GPU that `gpu` names. If `gpu` is empty, it uses the GPU of the Spark task, if there is one.
    """
    return _template.run(job, values, gpu)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _write(pipe: IO[bytes], value: Any) -> None:
    pickle.dump(value, pipe)
    pipe.flush()


def _read(pipe: IO[bytes]) -> Any:
    return pickle.load(pipe)


def main() -> None:
    """Runs the template process, which reads a job and then configurations from stdin, and writes results to stdout.

    All other output goes to stderr.
    """
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    job: Job = _read(requests)
    for name in job.imports:
        import_module(name)
    paths = job.data
    train, validation = (read_arrow(path) for path in paths)
    where = f"{socket.gethostname()}/{os.getpid()}"
    _write(results, None)
    while select.select([requests], [], [], IDLE_SECONDS)[0]:
        try:
            values, gpu = _read(requests)
        except EOFError:
            return
        if gpu:
            # CUDA reads this when it starts, and it starts in the child process
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        _write(results, supervised(job, values, train, validation, where, f"{socket.gethostname()}:{paths[0]}"))


def read_arrow(path: str) -> pa.Table:
    """Returns the table of an Arrow file. The file is mapped into memory, not read."""
    with pa.memory_map(path) as source:
        return pa.ipc.open_file(source).read_all()


def supervised(
    job: Job, values: dict[str, Any], train: pa.Table, validation: pa.Table, where: str, copy: str
) -> TrialResult:
    """Runs a trial in a child process.

    Kills the child at the trial's deadline. Also kills it if stdin ends, because then nobody waits for the result.
    """
    began = time.time()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _train_and_exit(job, values, train, validation, writing)
    os.close(writing)
    content, in_time = b"", True
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while True:
            seconds_left = began + job.deadline_seconds - time.time()
            ready = select.select([pipe, sys.stdin], [], [], max(0.0, seconds_left))[0]
            if pipe in ready:
                part = pipe.read(65536)
                if not part:
                    break
                content += part
            elif ready or seconds_left <= 0:
                in_time = False
                os.kill(child, signal.SIGKILL)
                break
    _, status, usage = os.wait4(child, 0)
    if not in_time:
        return failed("timeout", f"no model within {job.deadline_seconds:g} s", began, where, copy)
    if not content:
        code = os.waitstatus_to_exitcode(status)
        killed = code == -signal.SIGKILL
        reason = "killed by the system, which had no memory left" if killed else f"its process ended with {code}"
        return failed("oom" if killed else "failed", reason, began, where, copy)
    loss, outcome, error = pickle.loads(content)
    return TrialResult(loss, outcome, error, began, time.time(), where, copy, usage.ru_maxrss * 1024)


def _train_and_exit(job: Job, values: dict[str, Any], train: pa.Table, validation: pa.Table, answering: int) -> None:
    """Runs in the child process: trains, writes (loss, outcome, error) to the pipe, and ends the process."""
    usual_limit = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        # when memory runs out, the system shall kill this process and no other
        Path("/proc/self/oom_score_adj").write_text("1000")
        resource.setrlimit(resource.RLIMIT_DATA, (job.most_bytes, usual_limit[1]))
        result: tuple[float, str, str | None] = (train_and_judge(job, values, train, validation), "ok", None)
    except BaseException as problem:
        resource.setrlimit(resource.RLIMIT_DATA, usual_limit)
        text = brief(problem)
        traceback.print_exc()
        is_memory = isinstance(problem, MemoryError) or any(phrase in text.lower() for phrase in OUT_OF_MEMORY)
        result = (math.inf, "oom", _memory_message(job)) if is_memory else (math.inf, "failed", text)
    try:
        with os.fdopen(answering, "wb") as pipe:
            pickle.dump(result, pipe)
    finally:
        os._exit(0)


def _memory_message(job: Job) -> str:
    return f"needed more than the {job.most_bytes / 2**20:,.0f} MiB that a trial may have"


if __name__ == "__main__":
    main()
