"""Builds and checks prepared artefacts: folders that are made once from a definition, hashed, and then only read.

A folder is valid if its manifest matches its files. The manifest is written last. If the process is killed
earlier, the folder is not valid, and the next preparation replaces it. On a local disk each artefact has a lock,
so it is safe if two processes prepare it at the same time. An object store has no locks, but two processes with
the same definition write the same bytes.
"""

import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyarrow import fs
from pydantic import BaseModel, ConfigDict, ValidationError

from sparkscale.contract.case import digest
from sparkscale.contract.errors import DatasetError
from sparkscale.contract.file_names import folder_name
from sparkscale.contract.location import join, local_path
from workloads.io.filesystem import files_below, first_line, resolve, sha256_of

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
FOLDER = "datasets"
"""The folder of the data sets below a storage location."""


class FileEntry(BaseModel):
    """The entry of one file in a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    sha256: str
    modified_ns: int = 0
    """The time when the file was written, in nanoseconds. A file with the same size and time counts as unchanged,
    so its hash is not computed again. 0 if the time is not known."""


class Manifest(BaseModel):
    """The manifest of an artefact. `content` is the part of it that the artefact's `Build` function returned.

    The manifest is written last. A folder is a valid artefact only if its manifest matches its files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    id: str
    definition: dict[str, Any]
    content_hash: str
    files: dict[str, FileEntry]
    content: dict[str, Any]

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.files.values())


Build = Callable[[str], tuple[dict[str, Any], dict[str, str]]]
"""A function that writes the files of an artefact into an existing, empty folder. It returns the content of the
manifest, and the SHA-256 of files by their relative paths. Missing hashes are computed from the files later."""


def folder_of(storage: str, name: str, definition: dict[str, Any], below: str = FOLDER) -> str:
    """Returns the folder of the artefact with this definition."""
    return join(storage, f"{below}/{folder_name(name)}-{digest(definition)}")


def prepare(
    storage: str, name: str, definition: dict[str, Any], build: Build, below: str = FOLDER
) -> tuple[str, Manifest]:
    """Returns the folder and the manifest of an artefact. Builds the artefact first if it is missing or not valid.

    Raises DatasetError if the folder cannot be written.
    """
    folder = folder_of(storage, name, definition, below)
    try:
        with _locked(folder):
            manifest = read(folder)
            if manifest is None:
                manifest = _build(folder, name, definition, build)
            return folder, manifest
    except OSError as error:
        raise DatasetError(f"{name} cannot be prepared in {storage}: {first_line(error)}.") from error


def exists(folder: str) -> bool:
    """True if the folder exists, even if it is not valid."""
    system, path = resolve(folder)
    return bool(system.get_file_info(path).type != fs.FileType.NotFound)


def read(folder: str) -> Manifest | None:
    """Returns the folder's manifest. None if the manifest is missing or does not match the files."""
    if not exists(folder):
        return None
    try:
        manifest = manifest_of(folder)
    except (OSError, ValidationError) as error:
        log.warning("%s is half-written or damaged (%s): it is prepared again.", folder, type(error).__name__)
        return None
    wrong = _wrong_files(folder, manifest)
    if wrong:
        log.warning("%s is damaged (%s): it is prepared again.", folder, ", ".join(wrong[:3]))
        return None
    return manifest


def manifest_of(folder: str) -> Manifest:
    """Reads the manifest without checking the files. Raises OSError or ValidationError if that fails."""
    system, path = resolve(join(folder, MANIFEST))
    with system.open_input_stream(path) as stream:
        return Manifest.model_validate_json(stream.read())


def remove(folder: str) -> None:
    """Deletes an artefact. Its manifest is deleted first, so that a half-deleted artefact never looks valid."""
    system, path = resolve(folder)
    manifest = f"{path}/{MANIFEST}"
    if system.get_file_info(manifest).type == fs.FileType.File:
        system.delete_file(manifest)
    if system.get_file_info(path).type == fs.FileType.Directory:
        system.delete_dir(path)


def _build(folder: str, name: str, definition: dict[str, Any], build: Build) -> Manifest:
    system, path = resolve(folder)
    remove(folder)
    system.create_dir(path, recursive=True)
    try:
        content, hashes = build(folder)
        files = {
            _relative(info, path): FileEntry(
                bytes=info.size,
                sha256=hashes.get(_relative(info, path)) or sha256_of(system, info.path),
                modified_ns=info.mtime_ns or 0,
            )
            for info in files_below(folder)
        }
        manifest = Manifest(
            name=name,
            id=digest(definition),
            definition=definition,
            content_hash=digest({relative: entry.sha256 for relative, entry in files.items()}),
            files=files,
            content=content,
        )
        _write_whole(system, f"{path}/{MANIFEST}", manifest.model_dump_json(indent=1).encode())
    except BaseException:
        remove(folder)
        raise
    return manifest


def _write_whole(system: fs.FileSystem, path: str, content: bytes) -> None:
    """Writes a file so that it appears under its name only when it is complete.

    An object store shows no incomplete objects, so only a local file is renamed at the end.
    """
    if not isinstance(system, fs.LocalFileSystem):
        with system.open_output_stream(path) as stream:
            stream.write(content)
        return
    with system.open_output_stream(f"{path}.partial") as stream:
        stream.write(content)
    system.move(f"{path}.partial", path)


def _wrong_files(folder: str, manifest: Manifest) -> list[str]:
    """Returns the relative paths of files that are missing, added or changed."""
    system, path = resolve(folder)
    present = {_relative(info, path): info for info in files_below(folder) if not info.path.endswith(MANIFEST)}
    return sorted(
        relative
        for relative in present.keys() | manifest.files.keys()
        if relative not in present
        or relative not in manifest.files
        or not _unchanged(system, present[relative], manifest.files[relative])
    )


def _unchanged(system: fs.FileSystem, info: fs.FileInfo, entry: FileEntry) -> bool:
    if info.size != entry.bytes:
        return False
    return info.mtime_ns == entry.modified_ns or sha256_of(system, info.path) == entry.sha256


def _relative(info: fs.FileInfo, path: str) -> str:
    return str(info.path[len(path) :].lstrip("/"))


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Holds the artefact's lock during the block. Does nothing on an object store."""
    path = local_path(folder)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    descriptor = _lock(lock)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Waits for the lock, and returns its file descriptor. Tries again if the last holder deleted the lock's file."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)
