"""Packs our own code into one zip, for executors that do not have this checkout."""

import importlib.util
import logging
import zipfile
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from sparkscale.contract import plugins

log = logging.getLogger(__name__)

PACKAGES = ("sparkscale", "workloads", "cluster")
EPOCH = (1980, 1, 1, 0, 0, 0)


def ship(spark: Any, scratch: Path) -> Path:
    """Puts our packages on the path of the session's Python workers, and returns the path of the zip.

    A classic session uses `addPyFile`; a Spark Connect session adds the zip as an artifact.
    """
    archive = scratch / "sparkscale.zip"
    pack(archive)
    if hasattr(spark, "addArtifacts") and not hasattr(spark, "_jsparkSession"):
        spark.addArtifacts(str(archive), pyfile=True)
    else:
        spark.sparkContext.addPyFile(str(archive))
    return archive


def pack(archive: Path) -> None:
    """Writes a zip with all source files of our packages and of the packages that add workloads.

    The same source files always give the same bytes.
    """
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for package in PACKAGES:
            _add(target, resources.files(package), package)
        for name in plugins.packages():
            if name not in PACKAGES:
                _add_plugin(target, name)


def _add_plugin(target: zipfile.ZipFile, name: str) -> None:
    """Writes into the zip one package or module that adds workloads.

    Leaves out a package with compiled extensions: it cannot run from a zip, so it must be installed on the executors.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:  # missing, or a namespace package
        log.warning(
            "Package %s adds workloads but is not sent to executors, because it has no __init__.py: add one, or "
            "install the package on the executors",
            name,
        )
        return
    if not spec.submodule_search_locations:
        source = Path(spec.origin).read_bytes()
        target.writestr(zipfile.ZipInfo(f"{name}.py", EPOCH), source, zipfile.ZIP_DEFLATED)
    elif list(Path(spec.origin).parent.rglob("*.so")):
        log.warning(
            "Package %s adds workloads but is not sent to executors, because it has compiled extensions: install it "
            "on the executors",
            name,
        )
    else:
        _add(target, resources.files(name), name)


def _add(target: zipfile.ZipFile, folder: Traversable, name: str) -> None:
    for entry in sorted(folder.iterdir(), key=lambda child: child.name):
        inside = f"{name}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            _add(target, entry, inside)
        elif entry.is_file() and not entry.name.endswith(".pyc"):
            target.writestr(zipfile.ZipInfo(inside, EPOCH), entry.read_bytes(), zipfile.ZIP_DEFLATED)
