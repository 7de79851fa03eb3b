"""Shared by tests of measuring."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sparkscale.contract import plugins
from sparkscale.measure.run import warmup
from tests.measure.observing import Start
from workloads import registry

WITH_LOCK = """
import sys
from pathlib import Path
from sparkscale.cli.main import main
from sparkscale.measure.run import lock
path = sys.argv.pop(1)
lock.lock_path = lambda: Path(path)
lock.SOCKET = "\\0" + path
main()
"""
"""The command line with another lock than the machine's."""

TOY_PACKAGE = Path(__file__).parents[1] / "toy_package"


@pytest.fixture
def toy() -> Iterator[None]:
    """The workload data_parallel.toy, by entry point, in this process and in those that it starts."""
    with toy_workload():
        yield


@contextmanager
def toy_workload() -> Iterator[None]:
    """The same, for a fixture of a module."""
    caches = (plugins.entries, registry.workloads)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TOY_PACKAGE)
        patch.setenv("PYTHONPATH", str(TOY_PACKAGE), prepend=os.pathsep)
        for one in caches:
            one.cache_clear()
        yield
    for one in caches:
        one.cache_clear()


@pytest.fixture
def one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes one pass enough to warm a JVM up, in runs of this process, where a test is not about times."""
    monkeypatch.setattr(warmup, "LONG_SECONDS", 0.0)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `sparkscale run` in the background; whatever is left of it at the end is killed.

    With `lock`, the run takes the lock of this name instead of the machine's, which the tests hold.
    """
    started: list[subprocess.Popen[str]] = []

    def begin(suite: str, *arguments: str, lock: Path | None = None) -> "subprocess.Popen[str]":
        path = tmp_path / "mine.toml"
        path.write_text(suite)
        program = ["-c", WITH_LOCK, str(lock)] if lock else ["-m", "sparkscale"]
        command = [sys.executable, *program, "run", "--suite", str(path), "--out", str(tmp_path / "out")]
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
