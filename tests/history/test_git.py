"""Calls of git, in real repositories and within a real hook."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparkscale.history import git
from sparkscale.measure.worker.descriptions import ROOT

WHO = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")


def repository(folder: Path, file: str) -> Path:
    """Makes a repository with one commit, which has one empty file."""
    folder.mkdir()
    (folder / file).touch()
    for command in (["init", "--quiet"], ["add", "--all"], [*WHO, "commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def test_the_output_has_no_last_line_break(tmp_path: Path) -> None:
    folder = repository(tmp_path / "one", "a b")
    (folder / " c").touch()
    assert git.output(folder, "ls-files") == "a b"
    assert git.output(folder, "ls-files", "-z", "--others", "--cached") == " c\0a b\0"
    assert git.output(folder, "status", "--porcelain", "--", "a b") == ""


def test_a_name_that_is_no_utf_8_can_be_read(tmp_path: Path) -> None:
    folder = repository(tmp_path / "one", os.fsdecode(b"\xff"))
    assert git.output(folder, "ls-files", "-z") == "\udcff\0"


def test_a_command_that_fails_has_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git.output(tmp_path / "absent", "rev-parse", "HEAD") is None
    assert git.output(tmp_path, "no-such-command") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git.output(tmp_path, "version") is None


def test_within_a_hook_the_folder_decides_which_repository_is_read(tmp_path: Path) -> None:
    """The hook of one repository reads another one."""
    hooked, other = repository(tmp_path / "hooked", "a"), repository(tmp_path / "other", "b")
    program = f"from pathlib import Path; from sparkscale.history import git; print(git.output(Path({str(other)!r}), "
    hook = hooked / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\nset -e\ntest -n \"$GIT_DIR\"\n'{sys.executable}' -c \"{program}'ls-files'))\"\n")
    hook.chmod(0o755)
    done = subprocess.run(
        ["git", f"--git-dir={hooked / '.git'}", *WHO, "commit", "--allow-empty", "--message", "second"],
        cwd=hooked,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "b" in done.stderr.splitlines()  # git's hooks print there
