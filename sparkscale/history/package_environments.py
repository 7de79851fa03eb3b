"""Thin environments: other releases of some packages, laid over the Python that runs this."""

import importlib.metadata
import itertools
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from sparkscale.contract.case import digest
from sparkscale.contract.errors import ConfigError

PINNED = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?==[A-Za-z0-9.!+]+")
READY = ".ready"
INSTALL_SECONDS = 3600


@dataclass(frozen=True)
class Environment:
    """A Python to measure with. `releases` are what differs in it from what is installed: none, or NAME==VERSION."""

    releases: tuple[str, ...]
    python: Path

    @property
    def requirements(self) -> dict[str, str]:
        """Versions by package, as asv keeps them."""
        return dict(release.split("==") for release in self.releases)

    @property
    def title(self) -> str:
        return ", ".join(self.releases) or "what is installed"


def combinations(asked: Sequence[str]) -> list[tuple[str, ...]]:
    """Which releases to measure together: of one package each in turn, of several packages every combination; of none
    one empty one.

    Raises ConfigError for what is no NAME==VERSION.
    """
    by_package: dict[str, list[str]] = {}
    for release in asked:
        if not PINNED.fullmatch(release):
            raise ConfigError(f"--with {release} names no release: write NAME==VERSION, such as xgboost==3.1.1.")
        name, _, number = release.partition("==")
        name = re.sub(r"[-_.]+", "-", name).lower()  # PEP 503
        by_package.setdefault(name, []).append(f"{name}=={number}")
    packages = [dict.fromkeys(by_package[name]) for name in sorted(by_package)]
    return list(itertools.product(*packages))


def installed() -> Environment:
    return Environment((), Path(sys.executable))


def thin(releases: tuple[str, ...], folder: Path) -> Environment:
    """The environment below `folder`, made when it is not whole, or was laid over other packages than there are now.

    It holds only what differs, for pip takes what it sees of the Python below as installed.

    Raises ConfigError with pip's reason for what cannot be installed, and leaves nothing then.
    """
    below = _installed_packages()
    root = folder / "-".join(release.replace("==", "-") for release in releases)
    python = root / "bin" / "python"
    if (root / READY).is_file() and (root / READY).read_text() == below and python.exists():
        return Environment(releases, python)
    shutil.rmtree(root, ignore_errors=True)
    try:
        _run([sys.executable, "-m", "venv", "--without-pip", str(root)], releases)
        site = root / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
        line = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (site / "below.pth").write_text(line)  # a line of code, so that the .pth files below count, too
        pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
        _run([*pip, "install", "--quiet", *releases], releases)
        _check_releases(python, releases)
        (root / READY).write_text(below)
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    return Environment(releases, python)


def _installed_packages() -> str:
    found = {(one.metadata["Name"], one.version) for one in importlib.metadata.distributions()}
    return digest(sorted(map(list, found)))


def _check_releases(python: Path, releases: tuple[str, ...]) -> None:
    """Raises ConfigError when this Python sees other releases than were asked for."""
    for release in releases:
        name, _, asked = release.partition("==")
        code = f"import importlib.metadata as m; print(m.version({name!r}))"
        seen = _run([str(python), "-c", code], releases).strip()
        if Version(seen) != Version(asked):
            raise ConfigError(f"{release} cannot be used: Python finds {name} {seen} in {python.parents[1]}.")


def _run(command: list[str], releases: tuple[str, ...]) -> str:
    """What it prints."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False, start_new_session=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{', '.join(releases)} cannot be installed: {error}.") from error
    if done.returncode:
        said = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = (said or done.stderr.strip().splitlines() or ["pip says no more"])[-1].rstrip(".")
        raise ConfigError(f"{', '.join(releases)} cannot be installed: {reason}.")
    return done.stdout
