"""One run at a time on a machine."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sparkscale.contract.errors import BusyError
from sparkscale.measure.run import lock

HOLD = """
import sys
from pathlib import Path
from sparkscale.measure.run import lock
lock.lock_path = lambda: Path(sys.argv[1])
lock.SOCKET = "\\0" + sys.argv[2]
with lock.machine_lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> str:
    """The socket's name, for this test only; a child that measures under a parent's lock is no matter here."""
    found = f"sparkscale-test-{uuid.uuid4().hex}"
    monkeypatch.setattr(lock, "SOCKET", f"\0{found}")
    monkeypatch.delenv(lock.HOLDER, raising=False)
    return found


@contextmanager
def held(path: Path, name: str) -> Iterator[int]:
    """Another process measures, under this file and this socket."""
    command = [sys.executable, "-c", HOLD, str(path), name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.communicate()


def test_a_second_run_is_told_who_measures(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "lock_path", lambda: tmp_path / "lock")
    with (
        held(tmp_path / "lock", name) as pid,
        pytest.raises(BusyError, match=f"process {pid}"),
        lock.machine_lock(),
    ):
        pass
    with lock.machine_lock():
        pass


def test_a_run_that_sees_another_tmp_is_noticed(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Services of systemd have a /tmp of their own, and so another file."""
    monkeypatch.setattr(lock, "lock_path", lambda: tmp_path / "mine")
    with (
        held(tmp_path / "theirs", name),
        pytest.raises(BusyError, match="in a process with another /tmp"),
        lock.machine_lock(),
    ):
        pass
    with lock.machine_lock():
        pass
