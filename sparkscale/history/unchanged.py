"""Decides whether a commit needs to be measured: not if only files changed that cannot change a figure."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from sparkscale.contract.phrases import count, named
from sparkscale.history import git
from sparkscale.history.asv_results import file_of
from sparkscale.history.checkout import Checkout
from sparkscale.history.package_environments import Environment

WITHOUT_EFFECT = {
    "docs/*": "pages, and the scripts that write them",
    "tests/*": "no measurement imports them",
    "results/*": "what was measured",
    ".github/*": "workflows and templates of GitHub",
    ".ci/*": "what CI runs",
    "*.md": "texts for people",
    "mkdocs.yml": "the settings of the documentation",
    "LICENSE": "a text for people",
    ".gitignore": "which files git lists",
}
"""Files that cannot change a figure, as patterns of paths in the checkout, with the reason.

All other files can, also those that are not known here: a new file is measured until it has a line of its own.
"""
MOST_NAMED = 3
"""The largest number of files that the sentence names."""


@dataclass(frozen=True)
class Unchanged:
    """The last recorded commit, and the files that changed since. None of them can change a figure."""

    recorded: str
    files: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The reason why nothing is measured."""
        since = f"Commit {self.recorded[:8]} is recorded already"
        if self.files:
            since += f", and only {count(len(self.files), 'file')} that cannot change a figure changed since then"
            since += f" ({named(self.files, MOST_NAMED)})"
        return f"{since}: nothing is measured. To measure all the same, leave out --if-changed."


def unchanged(
    checkout: Checkout, results: Path, machines: Sequence[str], release_sets: Iterable[tuple[str, ...]]
) -> Unchanged | None:
    """Returns the last recorded commit if nothing changed since then that can change a figure.

    A commit is recorded if `results` has a file of asv for it, on each of these machines with each set of releases.
    Returns None if the commit of the checkout must be measured: if something changed, if the checkout has changes
    that are not committed, if no commit in its history is recorded, or if git does not answer.
    """
    if checkout.dirty:
        return None
    environments = [Environment(releases, Path()) for releases in release_sets]
    for commit in (git.output(checkout.root, "rev-list", "--topo-order", "HEAD") or "").split():
        code = checkout.code.model_copy(update={"commit": commit})
        files = [
            file_of(results, Checkout(checkout.root, code), machine, environment)
            for machine in machines
            for environment in environments
        ]
        if all(_is_of(path, commit) for path in files):
            changed = _changed(checkout.root, commit, checkout.commit)
            if changed is None or any(map(can_change_a_figure, changed)):
                return None
            return Unchanged(commit, tuple(changed))
    return None


def can_change_a_figure(path: str) -> bool:
    """Returns true if a change of this file of the checkout can change a figure."""
    return not any(fnmatchcase(path, pattern) for pattern in WITHOUT_EFFECT)


def _is_of(path: Path, commit: str) -> bool:
    """Returns true if this file of asv exists and belongs to the commit. A damaged file does not."""
    try:
        return bool(json.loads(path.read_text())["commit_hash"] == commit)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _changed(root: Path, base: str, head: str) -> list[str] | None:
    """Returns the files that differ between two commits. None if git does not answer.

    A file that was renamed counts under both names.
    """
    names = git.output(root, "diff", "--no-renames", "--no-ext-diff", "--name-only", "-z", base, head)
    return None if names is None else [name for name in names.split("\0") if name]
