"""The checkout that `sparkscale bench` records: its commit, asv's configuration and files, this machine's name."""

import importlib.metadata
import json
import platform
import subprocess
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
from sparkscale.history.asv_benchmarks import RESULTS
from sparkscale.measure.worker import descriptions
from sparkscale.measure.worker.descriptions import ROOT

CONFIGURATION = "asv.conf.json"
LOCK = "requirements.lock"
NAMED = 5


@dataclass(frozen=True)
class Checkout:
    """Where this code lies, at which commit, and whether there are changes beside it."""

    root: Path
    code: CodeState

    @classmethod
    def here(cls, allow_dirty: bool) -> "Checkout":
        """Raises ConfigError where asv could not say what was measured."""
        if not (ROOT / CONFIGURATION).is_file():
            raise ConfigError(f"{ROOT} has no {CONFIGURATION}: `sparkscale bench` works in a checkout of sparkscale.")
        state = descriptions.code_state()
        if state.commit is None:
            raise ConfigError(
                f"{ROOT} is no git repository, or git is not installed: asv keeps its history by commits. "
                "Clone sparkscale with git, or measure with `sparkscale run`."
            )
        if _top(ROOT) != ROOT:
            raise ConfigError(f"{ROOT} lies within another git repository, {_top(ROOT)}: clone sparkscale with git.")
        found = cls(ROOT, state)
        if found.dirty and not allow_dirty:
            raise ConfigError(
                f"{ROOT} has changes that are not committed, and asv would take them for commit {state.commit[:8]}: "
                "commit them, or record them apart with --dirty."
            )
        return found

    @property
    def commit(self) -> str:
        return str(self.code.commit)

    @property
    def dirty(self) -> bool:
        """Where git does not say, too."""
        return self.code.dirty is not False

    @property
    def results(self) -> Path:
        return RESULTS

    def configuration(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / CONFIGURATION).read_text())
        return found


def _top(folder: Path) -> Path:
    """Where the working tree of this folder begins."""
    said = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=True
    )
    return Path(said.stdout.strip()).resolve()


def damaged(results: Path) -> list[Path]:
    """Files that asv cannot read."""
    return [path for path in sorted(results.glob("**/*.json")) if not _whole(path)]


def _whole(path: Path) -> bool:
    from asv.results import Results
    from asv.util import UserError

    try:
        if path.name in ("benchmarks.json", "machine.json"):
            return isinstance(json.loads(path.read_text()), dict)
        Results.load(str(path))
    except (UserError, ValueError, OSError, TypeError, AttributeError):
        return False
    return True


def machine(name: str | None, on: ClusterProfile, granted: Budget) -> dict[str, str]:
    """What asv is told of this host, on one profile: its own description knows no cluster, no Java and no GPU."""
    host = descriptions.host()
    gpus = ", ".join(gpu["name"] for gpu in host["gpus"])
    shown, said = describe(on), on.model_dump(exclude_defaults=True)
    settings = {key: shown[key] for key in said if key not in WORDS_OF_A_PROFILE}
    ours = on.kind == "local" or on.starts_daemons
    return {
        "machine": f"{name or platform.node()}-{on.name}",
        "os": host["os"],
        "arch": platform.machine(),
        "cpu": f"{host['cpu']}{gpus and f'; GPU {gpus}'}",
        "num_cpu": str(len(granted.node.cpus)),
        "ram": f"{host['memory_bytes'] / 2**30:.0f} GiB",
        "profile": digest(settings),
        "java": _java() if ours else "the cluster's own",
    }


def _java() -> str:
    """The version that Spark would run on; engines without Spark are measured where there is none, too."""
    try:
        return java.find(cache_folder()).version
    except ClusterError:
        return "none"


WORDS_OF_A_PROFILE = ("name", "summary", "storage", "patience_seconds")
"""What changes no figure."""
CHECKED = {
    "cpu": "CPU",
    "num_cpu": "number of cores",
    "arch": "architecture",
    "profile": "profile (a digest of its settings)",
    "java": "Java",
}
"""What must be the same under one name, as a sentence calls it."""
SINCE = ("profile", "java")
"""What earlier releases did not keep."""


def check_same_machine(results: Path, told: dict[str, str]) -> None:
    """Raises ConfigError when there are results of another host, profile or Java under this one's name: a difference
    between them would read as one of the code.
    """
    path = results / told["machine"] / "machine.json"
    if not path.is_file():
        return
    try:
        before = json.loads(path.read_text())
        known = {field: before[field] for field in CHECKED if field in before or field not in SINCE}
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged: move it away.") from error
    for field, before_it in known.items():
        if before_it != told[field]:
            raise ConfigError(
                f"{path.parent} holds results of another machine, whose {CHECKED[field]} is {before_it}, not "
                f"{told[field]}: name this one with --machine NAME."
            )


def check_installed(root: Path) -> None:
    """Raises ConfigError if other releases are installed than the lock says: after `git pull` without `make setup`
    the new commit would be recorded with the old releases.
    """
    differing = []
    for line in (root / LOCK).read_text().splitlines():
        if "==" not in line or line.startswith("#"):
            continue
        pinned = Requirement(line)
        try:
            found = importlib.metadata.version(pinned.name)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        asked = next(iter(pinned.specifier)).version
        if found.partition("+")[0] != asked.partition("+")[0]:  # a build tag is no other release
            differing.append(f"{pinned.name} {found}, not {asked}")
    if differing:
        raise ConfigError(
            f"Other releases are installed than {LOCK} says ({named(differing, NAMED, '; ')}): run `make setup`."
        )
