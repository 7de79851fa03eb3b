"""Our own code for executors that have never seen this checkout, as one zip."""

import zipfile
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from sparkscale.contract import plugins

PACKAGES = ("sparkscale", "workloads", "cluster")
EPOCH = (1980, 1, 1, 0, 0, 0)


def ship(spark: Any, scratch: Path) -> Path:
    """Puts our packages on the path of the session's Python workers; returns the zip.

    By `addPyFile`, or on Spark Connect as an artifact.
    """
    archive = scratch / "sparkscale.zip"
    pack(archive)
    if hasattr(spark, "addArtifacts") and not hasattr(spark, "_jsparkSession"):
        spark.addArtifacts(str(archive), pyfile=True)
    else:
        spark.sparkContext.addPyFile(str(archive))
    return archive


def pack(archive: Path) -> None:
    """Every source of our packages, and of those that add workloads; equal sources make equal bytes."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for package in (*PACKAGES, *plugins.packages()):
            _add(target, resources.files(package), package)


def _add(target: zipfile.ZipFile, folder: Traversable, name: str) -> None:
    for entry in sorted(folder.iterdir(), key=lambda found: found.name):
        inside = f"{name}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            _add(target, entry, inside)
        elif entry.is_file() and not entry.name.endswith(".pyc"):
            target.writestr(zipfile.ZipInfo(inside, EPOCH), entry.read_bytes(), zipfile.ZIP_DEFLATED)
