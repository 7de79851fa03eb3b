"""Shared by tests of measuring."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkscale.contract import plugins
from tests.measure.observing import Start
from workloads import registry

TOY_PACKAGE = Path(__file__).parents[1] / "toy_package"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The workload data_parallel.toy, by entry point, in this process and in those that it starts."""
    monkeypatch.syspath_prepend(TOY_PACKAGE)
    monkeypatch.setenv("PYTHONPATH", str(TOY_PACKAGE), prepend=os.pathsep)
    caches = (plugins.entries, registry.workloads)
    for one in caches:
        one.cache_clear()
    yield
    monkeypatch.undo()
    for one in caches:
        one.cache_clear()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `sparkscale run` in the background; whatever is left of it at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(suite: str, *arguments: str) -> "subprocess.Popen[str]":
        path = tmp_path / "mine.toml"
        path.write_text(suite)
        command = [sys.executable, "-m", "sparkscale", "run", "--suite", str(path), "--out", str(tmp_path / "out")]
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
