"""Prepared artefacts: folders made once from a definition, content-hashed, then only read.

A folder becomes valid by an atomic rename after its manifest was written; a lock per artefact lets two
processes prepare it at once; every file's size and SHA-256 is checked before the folder is trusted.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sparkscale.contract.case import digest
from sparkscale.contract.errors import DatasetError

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"


class FileEntry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """Written last; a folder without a manifest that fits it is not an artefact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    id: str
    definition: dict[str, Any]
    content_hash: str
    files: dict[str, FileEntry]
    content: dict[str, Any]


def prepare(
    parent: Path, name: str, definition: dict[str, Any], build: Callable[[Path], dict[str, Any]]
) -> tuple[Path, Manifest]:
    """The artefact's folder and manifest; built first when it is absent, half-written or damaged.

    `build(folder)` writes the files and returns what the manifest shall say of them.
    Raises DatasetError when the folder cannot be written.
    """
    identity = digest(definition)
    folder = parent / f"{name}-{identity}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with _locked(parent / f".{folder.name}.lock"):
            manifest = read(folder)
            if manifest is None:
                manifest = _build(folder, name, identity, definition, build)
            return folder, manifest
    except OSError as error:
        raise DatasetError(f"Cannot prepare {name} in {parent}: {error}.") from error


def read(folder: Path) -> Manifest | None:
    """The folder's manifest, or None when it is absent or does not fit the files."""
    if not folder.exists():
        return None
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_text())
        present = _entries(folder)
    except (OSError, ValidationError) as error:
        log.warning("%s is half-written or damaged (%s); it is made anew.", folder, type(error).__name__)
        return None
    if present != manifest.files:
        wrong = sorted(
            path for path in present.keys() | manifest.files.keys() if present.get(path) != manifest.files.get(path)
        )
        log.warning("%s is damaged (%s); it is made anew.", folder, ", ".join(wrong[:3]))
        return None
    return manifest


def _build(
    folder: Path,
    name: str,
    identity: str,
    definition: dict[str, Any],
    build: Callable[[Path], dict[str, Any]],
) -> Manifest:
    aside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    content = build(aside)
    files = _entries(aside)
    manifest = Manifest(
        name=name,
        id=identity,
        definition=definition,
        content_hash=digest({path: entry.sha256 for path, entry in files.items()}),
        files=files,
        content=content,
    )
    (aside / MANIFEST).write_text(json.dumps(manifest.model_dump(mode="json"), indent=1))
    if folder.exists():
        shutil.rmtree(folder)
    aside.rename(folder)
    return manifest


def _entries(folder: Path) -> dict[str, FileEntry]:
    """Size and hash of every file below the folder, hidden ones and the manifest left out."""
    return {
        str(path.relative_to(folder)): FileEntry(
            bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest()
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST and not path.name.startswith(".")
    }


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
