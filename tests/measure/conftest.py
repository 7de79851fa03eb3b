"""Shared by tests of measuring."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.measure.observing import Start


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
