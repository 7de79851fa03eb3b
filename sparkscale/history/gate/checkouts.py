"""The checkouts that a gate measures: the commit of a revision, a clean clone of it, and the Python for it."""

import difflib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import CodeState
from sparkscale.history import git, package_environments
from sparkscale.history.checkout import LOCK, differing_releases
from sparkscale.measure.worker import descriptions
from sparkscale.measure.worker.descriptions import CODE, ROOT

CLONES = Path(".asv") / "gate"
"""The folder of the clones. The last ones are kept for the next gate."""
KEPT = 8
"""The number of clones that are kept."""
ENVIRONMENTS = Path(".asv") / "with"
SHORT = 12
"""The number of characters of a commit that names of folders and messages have."""
NEAREST = 3
"""The largest number of branches and tags that a message proposes."""


@dataclass(frozen=True)
class Side:
    """A checkout to measure: its folder, the Python to use, and the state that its records must name."""

    root: Path
    python: Path
    code: CodeState
    run_options: tuple[str, ...] = ()
    """Options of `sparkscale run` that a gate sets only if the checkout has them."""

    def environment(self) -> dict[str, str]:
        """Returns the environment of a process that runs this checkout's code."""
        others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and Path(path) != ROOT]
        return {**git.environment(), "PYTHONPATH": os.pathsep.join([str(self.root), *others])}


def head_state(allow_dirty: bool) -> CodeState:
    """Returns the state of this checkout. Changes to files that cannot change a measurement do not count.

    Raises ConfigError if the checkout has no commit, or if it has changes and they are not allowed.
    """
    state = descriptions.code_state()
    if state.commit is None:
        raise ConfigError(f"{ROOT} is no git repository, or git is not installed: a gate compares commits.")
    if git.output(ROOT, "status", "--porcelain", "--", *(name for name in CODE if (ROOT / name).exists())) == "":
        return CodeState(commit=state.commit, dirty=False)
    if not allow_dirty:
        raise ConfigError(
            f"{ROOT} has changes that are not committed, and a gate measures commits: commit them, or measure the "
            "files as they are with --dirty."
        )
    return state


def commit_of(revision: str, root: Path = ROOT) -> str:
    """Returns the commit of a git revision. Raises ConfigError with the most similar names if there is none."""
    commit = git.output(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit:
        return commit
    references = (git.output(root, "for-each-ref", "--format=%(refname:short)", "refs") or "").splitlines()
    by_last_part = {name.rpartition("/")[2]: name for name in reversed(references)}
    near = difflib.get_close_matches(revision, [*references, *by_last_part], NEAREST)
    names = list(dict.fromkeys(by_last_part.get(name, name) if name not in references else name for name in near))
    hint = f"did you mean {' or '.join(names)}?" if names else "name a branch, a tag or a commit with --base."
    if git.output(root, "rev-parse", "--is-shallow-repository") == "true":
        hint = "this clone is shallow: fetch the history with `git fetch --unshallow`."
    raise ConfigError(f"{root} has no revision '{revision}': {hint}")


def checked_out(commit: str, root: Path = ROOT) -> Path:
    """Returns the folder of a clean clone of this commit. An existing clone is used again, a damaged one replaced.

    Raises ConfigError with git's reason if the commit cannot be cloned.
    """
    folder = root / CLONES / commit[:SHORT]
    if not _is_whole(folder, commit):
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            _clone(root, commit, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    folder.touch()
    by_use = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for unused in by_use[KEPT:]:
        shutil.rmtree(unused, ignore_errors=True)
    return folder


def _clone(root: Path, commit: str, folder: Path) -> None:
    for command in (
        ["clone", "--quiet", "--no-checkout", str(root), str(folder)],
        ["-C", str(folder), "checkout", "--quiet", "--detach", commit],
    ):
        done = git.finished(root, *command)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["git gives no reason"])[-1].rstrip(".")
            raise ConfigError(f"Commit {commit[:SHORT]} cannot be cloned into {folder}: {reason}.")


def _is_whole(folder: Path, commit: str) -> bool:
    """Returns true if the folder is a clone of its own, of this commit, and without changes."""
    return (
        (folder / ".git").is_dir()
        and git.output(folder, "rev-parse", "HEAD") == commit
        and git.output(folder, "status", "--porcelain") == ""
    )


def python_for(root: Path, environments: Path = ROOT / ENVIRONMENTS) -> Path:
    """Returns the Python with the releases that the checkout's lock pins.

    It is the Python of this process, or that of a thin environment below `environments` with the releases that
    differ. Raises ConfigError with pip's reason if a release cannot be installed.
    """
    lock = root / LOCK
    if not lock.is_file():
        return Path(sys.executable)
    releases = tuple(f"{name}=={locked}" for name, _, locked in sorted(differing_releases(lock)))
    return package_environments.overlay(releases, environments).python if releases else Path(sys.executable)
