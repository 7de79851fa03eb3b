"""Processes that train trials, one after the other, each in a child of its own that can be killed.

A template imports the libraries, opens the data, and then forks for each trial: one that raises, hangs or exhausts
its memory costs nobody else anything, and the next one pays no imports. The template itself never trains, so no
thread of a library is lost in a fork. (Pools such as loky's or pebble's reuse a process, and pay its start anew after
each one that was killed.)
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
from workloads.tuning.trials import Answer, Job, failed, train_and_judge

IDLE_SECONDS = 60.0
"""A template that nobody asks for so long ends."""
OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "cannot allocate memory", "can't allocate memory", "out of memory")


class TrialProcess:
    """A template and who asks it, one trial at a time."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, values: dict[str, Any], gpu: str = "") -> Answer:
        """One trial, which sees this GPU only if one is named; whatever becomes of it is in the answer."""
        asked = time.time()
        for _ in range(2):  # the template may just have ended, idle
            process = self._process or self._started()
            try:
                _write(_pipe(process.stdin), (values, gpu))
                answer: Answer = _read(_pipe(process.stdout))
            except (EOFError, OSError):
                self.close()
            else:
                return answer
        return failed("failed", "the process that trains trials ended twice", asked, socket.gethostname())

    def close(self) -> None:
        """Ends the template, and a trial of it."""
        process, self._process = self._process, None
        if process:
            for pipe in (process.stdin, process.stdout):
                try:
                    _pipe(pipe).close()
                except OSError:  # what was not written to one that has ended
                    continue
            process.wait()

    def _started(self) -> "subprocess.Popen[bytes]":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workloads.tuning.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                **thread_variables(self.job.run.case.threads),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
        )
        _write(_pipe(self._process.stdin), self.job)
        _read(_pipe(self._process.stdout))  # it has read the job, and nothing beyond
        return self._process


class Kept:
    """This process's own template for the case that it works for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: TrialProcess | None = None
        self._bound = ExitStack()

    def run(self, job: Job, values: dict[str, Any], gpu: str) -> Answer:
        with self._lock:
            found = self._found
            if found is None or found.job.id != job.id:
                if found:
                    found.close()
                if job.bind_gpu:
                    self._bound.close()
                    self._bound.enter_context(job.bind_gpu())
                self._found = found = TrialProcess(job)
                # PySpark's daemon collects garbage after each task: all that the imports made, 25 ms of each dispatch
                gc.collect()
                gc.freeze()
            return found.run(values, gpu)


_kept = Kept()


def run_trial(job: Job, values: dict[str, Any], gpu: str = "") -> Answer:
    """A trial by this process's own template, on this GPU, or else on that of the Spark task."""
    return _kept.run(job, values, gpu)


def _pipe(found: IO[bytes] | None) -> IO[bytes]:
    assert found is not None
    return found


def _write(pipe: IO[bytes], value: Any) -> None:
    pickle.dump(value, pipe)
    pipe.flush()


def _read(pipe: IO[bytes]) -> Any:
    return pickle.load(pipe)


def main() -> None:
    """The template: a job, then configurations on stdin; answers on stdout, which nothing else may write to."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    job: Job = _read(requests)
    for name in job.imports:
        import_module(name)
    paths = job.data
    train, validation = (read_arrow(path) for path in paths)
    where = f"{socket.gethostname()}/{os.getpid()}"
    _write(answers, None)
    while select.select([requests], [], [], IDLE_SECONDS)[0]:
        try:
            values, gpu = _read(requests)
        except EOFError:
            return
        if gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # read when CUDA starts, which is in the child
        _write(answers, supervised(job, values, train, validation, where, f"{socket.gethostname()}:{paths[0]}"))


def read_arrow(path: str) -> pa.Table:
    """Mapped, not read."""
    with pa.memory_map(path) as source:
        return pa.ipc.open_file(source).read_all()


def supervised(
    job: Job, values: dict[str, Any], train: pa.Table, validation: pa.Table, where: str, copy: str
) -> Answer:
    """Trains in a child, which is killed at its deadline, and when nobody waits for it any more."""
    began = time.time()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _train_and_exit(job, values, train, validation, writing)
    os.close(writing)
    content, timely = b"", True
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while True:
            left = began + job.deadline_seconds - time.time()
            ready = select.select([pipe, sys.stdin], [], [], max(0.0, left))[0]
            if pipe in ready:
                part = pipe.read(65536)
                if not part:
                    break
                content += part
            elif ready or left <= 0:
                timely = False
                os.kill(child, signal.SIGKILL)
                break
    _, status, used = os.wait4(child, 0)
    if not timely:
        return failed("timeout", f"no model within {job.deadline_seconds:g} s", began, where, copy)
    if not content:
        code = os.waitstatus_to_exitcode(status)
        killed = code == -signal.SIGKILL
        reason = "killed by the system, which had no memory left" if killed else f"its process ended with {code}"
        return failed("oom" if killed else "failed", reason, began, where, copy)
    loss, outcome, error = pickle.loads(content)
    return Answer(loss, outcome, error, began, time.time(), where, copy, used.ru_maxrss * 1024)


def _train_and_exit(job: Job, values: dict[str, Any], train: pa.Table, validation: pa.Table, answering: int) -> None:
    """The child: writes (loss, outcome, error), and never returns."""
    usual = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        # the first that the system kills when memory ends, and the only one
        Path("/proc/self/oom_score_adj").write_text("1000")
        resource.setrlimit(resource.RLIMIT_DATA, (job.most_bytes, usual[1]))
        found: tuple[float, str, str | None] = (train_and_judge(job, values, train, validation), "ok", None)
    except BaseException as problem:
        resource.setrlimit(resource.RLIMIT_DATA, usual)
        text = brief(problem)
        traceback.print_exc()
        is_memory = isinstance(problem, MemoryError) or any(said in text.lower() for said in OUT_OF_MEMORY)
        found = (math.inf, "oom", _too_much(job)) if is_memory else (math.inf, "failed", text)
    try:
        with os.fdopen(answering, "wb") as pipe:
            pickle.dump(found, pipe)
    finally:
        os._exit(0)


def _too_much(job: Job) -> str:
    return f"needed more than the {job.most_bytes / 2**20:,.0f} MiB that a trial may have"


if __name__ == "__main__":
    main()
