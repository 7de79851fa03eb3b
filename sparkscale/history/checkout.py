"""The checkout that `sparkscale bench` records: its commit, asv's configuration and files, and the machine."""

import importlib.metadata
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from cluster import java
from cluster.budget import Budget
from cluster.profile import ClusterProfile, cache_folder
from cluster.session import describe
from sparkscale.contract.case import digest
from sparkscale.contract.errors import ClusterError, ConfigError, StoreError
from sparkscale.contract.phrases import named
from sparkscale.contract.record import CodeState
from sparkscale.history import git
from sparkscale.history.asv_benchmarks import RESULTS
from sparkscale.measure.worker import descriptions
from sparkscale.measure.worker.descriptions import ROOT

CONFIGURATION = "asv.conf.json"
LOCK = "requirements.lock"
NAMED = 5
"""The largest number of differing packages that a message names."""


@dataclass(frozen=True)
class Checkout:
    """The folder of this code, its commit, and any uncommitted changes."""

    root: Path
    code: CodeState

    @classmethod
    def here(cls, allow_dirty: bool) -> "Checkout":
        """Returns this checkout. Raises ConfigError if its code does not belong to a commit that asv could record."""
        if not (ROOT / CONFIGURATION).is_file():
            raise ConfigError(f"{ROOT} has no {CONFIGURATION}: `sparkscale bench` works in a checkout of sparkscale.")
        state = descriptions.code_state()
        if state.commit is None:
            raise ConfigError(
                f"{ROOT} is no git repository, or git is not installed: asv keeps its history by commits. "
                "Clone sparkscale with git, or measure with `sparkscale run`."
            )
        top = git.output(ROOT, "rev-parse", "--show-toplevel")
        if top is None:
            raise ConfigError(f"{ROOT} is no working tree of git: clone sparkscale with git.")
        if Path(top).resolve() != ROOT:
            raise ConfigError(f"{ROOT} lies within another git repository, {top}: clone sparkscale with git.")
        checkout = cls(ROOT, state)
        if checkout.dirty and not allow_dirty:
            raise ConfigError(
                f"{ROOT} has changes that are not committed, and asv would take them for commit {state.commit[:8]}: "
                "commit them, or record them separately with --dirty."
            )
        return checkout

    @property
    def commit(self) -> str:
        return str(self.code.commit)

    @property
    def dirty(self) -> bool:
        """True if there are uncommitted changes, or if git cannot tell."""
        return self.code.dirty is not False

    @property
    def results(self) -> Path:
        return RESULTS

    def configuration(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.root / CONFIGURATION).read_text())
        return content


def damaged(results: Path) -> list[Path]:
    """Returns the JSON files below `results` that asv cannot read."""
    return [path for path in sorted(results.glob("**/*.json")) if not _is_readable(path)]


def _is_readable(path: Path) -> bool:
    from asv.results import Results
    from asv.util import UserError

    try:
        if path.name in ("benchmarks.json", "machine.json"):
            return isinstance(json.loads(path.read_text()), dict)
        Results.load(str(path))
    except (UserError, ValueError, OSError, TypeError, AttributeError):
        return False
    return True


def machine(name: str | None, profile: ClusterProfile, granted: Budget) -> dict[str, str]:
    """Returns the description of this host and of one profile for asv.

    asv's own description of a machine lacks the cluster, Java and the GPUs. If `name` is None, the hostname is
    used.
    """
    host = descriptions.host()
    gpus = ", ".join(gpu["name"] for gpu in host["gpus"])
    described, stated = describe(profile), profile.model_dump(exclude_defaults=True)
    settings = {key: described[key] for key in stated if key not in FIELDS_WITHOUT_EFFECT}
    uses_our_java = profile.kind == "local" or profile.starts_daemons
    return {
        "machine": f"{name or platform.node()}-{profile.name}",
        "os": host["os"],
        "arch": platform.machine(),
        "cpu": f"{host['cpu']}{gpus and f'; GPU {gpus}'}",
        "num_cpu": str(len(granted.node.cpus)),
        "ram": f"{host['memory_bytes'] / 2**30:.0f} GiB",
        "profile": digest(settings),
        "java": _java() if uses_our_java else "the cluster's own",
    }


def _java() -> str:
    """Returns the version of the Java that Spark would use; "none" if Spark finds no Java."""
    try:
        return java.find(cache_folder()).version
    except ClusterError:
        return "none"


FIELDS_WITHOUT_EFFECT = ("name", "summary", "storage", "patience_seconds", "price")
"""Fields of a profile that change no measured value."""
CHECKED = {
    "cpu": "CPU",
    "num_cpu": "number of cores",
    "arch": "architecture",
    "profile": "profile (a digest of its settings)",
    "java": "Java",
}
"""Fields of asv's machine.json that must be equal in all results under one machine name.

The values are the names of the fields in messages.
"""
ADDED_LATER = ("profile", "java")
"""Fields that earlier releases did not store."""


def check_same_machine(results: Path, description: dict[str, str]) -> None:
    """Raises ConfigError if the machine's name already has results of another host, profile or Java.

    A difference between the machines would look like a change of the code. Raises StoreError if the file is damaged.
    """
    path = results / description["machine"] / "machine.json"
    if not path.is_file():
        return
    try:
        recorded = json.loads(path.read_text())
        recorded_fields = {
            field: recorded[field] for field in CHECKED if field in recorded or field not in ADDED_LATER
        }
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged: move it away.") from error
    for field, recorded_value in recorded_fields.items():
        if recorded_value != description[field]:
            raise ConfigError(
                f"{path.parent} holds results of another machine: its {CHECKED[field]} is {recorded_value}, not "
                f"{description[field]}. Give this machine another name with --machine NAME."
            )


def check_installed(root: Path) -> None:
    """Raises ConfigError if the installed releases differ from the lock file.

    After `git pull` without `make setup`, the new commit would be recorded with the old releases.
    """
    differing = [
        f"{name} {installed or 'none'}, not {locked}" for name, installed, locked in differing_releases(root / LOCK)
    ]
    if differing:
        raise ConfigError(
            f"The installed releases differ from {LOCK} ({named(differing, NAMED, '; ')}): run `make setup`."
        )


def differing_releases(lock: Path) -> list[tuple[str, str | None, str]]:
    """Returns the packages with other releases than the lock file pins: name, installed release, pinned release.

    The installed release is None if the package is not installed. A build tag, such as +cpu, makes no difference.
    """
    differing = []
    for line in lock.read_text().splitlines():
        if "==" not in line or line.startswith("#"):
            continue
        pinned = Requirement(line)
        try:
            installed = importlib.metadata.version(pinned.name)
        except importlib.metadata.PackageNotFoundError:
            installed = None
        locked = next(iter(pinned.specifier)).version
        if installed is None or installed.partition("+")[0] != locked.partition("+")[0]:
            differing.append((pinned.name, installed, locked))
    return differing
