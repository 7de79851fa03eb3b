"""Package environments: other releases of some packages, on top of the Python that runs sparkscale."""

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
LONGEST_NAME = 100
"""The most characters of a folder's name that lists its releases."""


@dataclass(frozen=True)
class Environment:
    """A Python to measure with.

    `releases` lists the releases that differ from the installed ones, each as NAME==VERSION.
    """

    releases: tuple[str, ...]
    python: Path

    @property
    def requirements(self) -> dict[str, str]:
        """Versions by package, as asv stores them."""
        return dict(release.split("==") for release in self.releases)

    @property
    def title(self) -> str:
        return ", ".join(self.releases) or "the installed releases"


def combinations(releases: Sequence[str]) -> list[tuple[str, ...]]:
    """Returns the sets of releases to measure: every combination of one release per package.

    Without releases, returns one empty set. Raises ConfigError for a release that is not NAME==VERSION.
    """
    by_package: dict[str, list[str]] = {}
    for release in releases:
        if not PINNED.fullmatch(release):
            raise ConfigError(f"--with {release} names no release: write NAME==VERSION, such as xgboost==3.1.1.")
        name, _, number = release.partition("==")
        name = re.sub(r"[-_.]+", "-", name).lower()  # PEP 503
        by_package.setdefault(name, []).append(f"{name}=={number}")
    packages = [dict.fromkeys(by_package[name]) for name in sorted(by_package)]
    return list(itertools.product(*packages))


def installed() -> Environment:
    """Returns the Python that runs this process, with the installed releases."""
    return Environment((), Path(sys.executable))


def overlay(releases: tuple[str, ...], folder: Path) -> Environment:
    """Returns the package environment of these releases below `folder`.

    Makes the environment if it is missing or incomplete, or if the installed packages have changed since it was
    made. It contains only packages that differ, because the packages of the Python that runs sparkscale count as
    installed.

    If a release cannot be installed, raises ConfigError with pip's reason and leaves no environment behind.
    """
    installed_packages = _installed_packages()
    root = folder / _folder_name(releases)
    python = root / "bin" / "python"
    if (root / READY).is_file() and (root / READY).read_text() == installed_packages and python.exists():
        return Environment(releases, python)
    shutil.rmtree(root, ignore_errors=True)
    try:
        _run([sys.executable, "-m", "venv", "--without-pip", str(root)], releases)
        site = root / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
        line = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (site / "below.pth").write_text(line)  # this code makes Python read the .pth files there, too
        pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
        _run([*pip, "install", "--quiet", *releases], releases)
        _check_releases(python, releases)
        (root / READY).write_text(installed_packages)
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    return Environment(releases, python)


def _folder_name(releases: tuple[str, ...]) -> str:
    """Returns the name of the folder of these releases. A digest replaces a name that file systems would refuse."""
    name = "-".join(release.replace("==", "-") for release in releases)
    return name if len(name) <= LONGEST_NAME else f"{len(releases)}-releases-{digest(list(releases))}"


def _installed_packages() -> str:
    """Returns a digest of the names and versions of all installed packages."""
    packages = {
        (distribution.metadata["Name"], distribution.version) for distribution in importlib.metadata.distributions()
    }
    return digest(sorted(map(list, packages)))


def _check_releases(python: Path, releases: tuple[str, ...]) -> None:
    """Raises ConfigError if this Python does not find the requested releases."""
    for release in releases:
        name, _, requested = release.partition("==")
        code = f"import importlib.metadata as m; print(m.version({name!r}))"
        found_version = _run([str(python), "-c", code], releases).strip()
        if Version(found_version) != Version(requested):
            raise ConfigError(
                f"{release} cannot be used: Python finds {name} {found_version} in {python.parents[1]}."
            )


def _run(command: list[str], releases: tuple[str, ...]) -> str:
    """Returns the output of the command. Raises ConfigError with the command's reason if it fails."""
    try:
        finished = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False, start_new_session=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{', '.join(releases)} cannot be installed: {error}.") from error
    if finished.returncode:
        errors = [line.removeprefix("ERROR: ") for line in finished.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = (errors or finished.stderr.strip().splitlines() or ["pip gives no reason"])[-1].rstrip(".")
        raise ConfigError(f"{', '.join(releases)} cannot be installed: {reason}.")
    return finished.stdout
