"""Calls git for a folder, and not for the repository of a git hook that runs this process."""

import os
import subprocess
from pathlib import Path

HOOK_VARIABLES = {
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
}
"""The variables that git sets for its hooks. They would make git use another repository than that of the folder."""


def environment() -> dict[str, str]:
    """Returns the environment of this process without the variables of a git hook."""
    return {name: value for name, value in os.environ.items() if name not in HOOK_VARIABLES}


def finished(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs git in a folder, and returns its exit status and output. Raises OSError if git is not installed.

    Bytes that are no UTF-8 become surrogates, so that every name of a file can be read.
    """
    return subprocess.run(
        ["git", "-C", str(folder), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        env=environment(),
        check=False,
    )


def output(folder: Path, *arguments: str) -> str | None:
    """Returns the output of git in a folder, without the last line break. None if git fails or is not installed."""
    try:
        process = finished(folder, *arguments)
    except OSError:
        return None
    return process.stdout.removesuffix("\n") if process.returncode == 0 else None
