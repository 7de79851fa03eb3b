"""The checkout that `sparkscale bench` records: its commit, asv's configuration and files, this machine's name."""

import json
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.budget import Budget
from cluster.profile import ClusterProfile
from sparkscale.contract.errors import ConfigError, StoreError
from sparkscale.contract.record import CodeState
from sparkscale.history.recorded import RESULTS, ROOT
from sparkscale.measure import environment

CONFIGURATION = "asv.conf.json"


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
        state = environment.code_state()
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
    """What asv is told of this host, on one profile: its own description knows no cluster and no GPU."""
    host = environment.host()
    gpus = ", ".join(gpu["name"] for gpu in host["gpus"])
    return {
        "machine": f"{name or platform.node()}-{on.name}",
        "os": host["os"],
        "arch": platform.machine(),
        "cpu": f"{host['cpu']}{gpus and f'; GPU {gpus}'}",
        "num_cpu": str(len(granted.node.cpus)),
        "ram": f"{host['memory_bytes'] / 2**30:.0f} GiB",
    }


def check_same_machine(results: Path, told: dict[str, str]) -> None:
    """Raises ConfigError when there are results of another host under this one's name."""
    path = results / told["machine"] / "machine.json"
    if not path.is_file():
        return
    try:
        before = json.loads(path.read_text())
        known = {field: before[field] for field in ("cpu", "num_cpu", "arch")}
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged: move it away.") from error
    for field, word in (("cpu", "CPU"), ("num_cpu", "number of cores"), ("arch", "architecture")):
        if known[field] != told[field]:
            raise ConfigError(
                f"{path.parent} holds results of another host, whose {word} is {known[field]}, not "
                f"{told[field]}: name this one with --machine NAME."
            )
