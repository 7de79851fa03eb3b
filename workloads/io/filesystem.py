"""Files on any file system that `pyarrow.fs` knows: local paths, s3://, gs://, abfs://, hdfs://."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from sparkscale.contract import redaction
from sparkscale.contract.errors import ConfigError, DatasetError
from sparkscale.contract.location import local_path, scheme

T = TypeVar("T")

KNOWN_SCHEMES = ("file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
HIDDEN = (".", "_")
"""How names begin of files and folders that are no part of any data."""
DISK_MARGIN = 1.1
"""What is left free of a disk, as a factor on what is written."""


def resolve(location: str) -> tuple[fs.FileSystem, str]:
    """The file system of a location and the path in it. Raises ConfigError for one that cannot be reached."""
    path = local_path(location)
    if path is not None:
        return fs.LocalFileSystem(), str(path.absolute())
    parts = urlsplit(location)
    if parts.password is not None or any(map(redaction.is_secret, parse_qs(parts.query))):
        raise ConfigError(
            f"A {scheme(location)}:// location holds credentials, which would be stored with the records: give them "
            "by the environment."
        )
    if scheme(location) not in KNOWN_SCHEMES:
        raise ConfigError(
            f"{location}: the scheme '{scheme(location)}' is not supported: use a local path or one of "
            f"{', '.join(f'{known}://' for known in KNOWN_SCHEMES)}."
        )
    try:
        found, path_in_it = fs.FileSystem.from_uri(location)
    except (OSError, pa.ArrowInvalid) as error:
        raise ConfigError(f"{location} cannot be reached: {first_line(error)}.") from error
    return found, path_in_it


def first_line(error: Exception) -> str:
    """An error's first line, without the full stop."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


@contextmanager
def as_dataset_error(location: str, what: str) -> Iterator[None]:
    """Turns what a file system, Arrow or a decoder raises into one sentence: DatasetError."""
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeError) as error:
        raise DatasetError(f"{location} {what}: {first_line(error)}.") from error


def files_below(location: str, suffix: str = "") -> list[fs.FileInfo]:
    """Every file below a folder, hidden ones left out, sorted by path; none where there is no folder."""
    system, path = resolve(location)
    found = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
    return sorted(
        (
            info
            for info in found
            if info.type == fs.FileType.File and info.path.endswith(suffix) and not _hidden(info.path, path)
        ),
        key=lambda info: info.path,
    )


def _hidden(path: str, below: str) -> bool:
    return any(part.startswith(HIDDEN) for part in path[len(below) :].split("/"))


def check_space(location: str, needed_bytes: float, what: str) -> None:
    """Raises DatasetError when a local disk has no room. Of an object store nobody knows."""
    path = local_path(location)
    if path is None:
        return
    path = path.absolute()
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed_bytes * DISK_MARGIN > free:
        needed = f"{needed_bytes / 2**30:,.1f} GiB"
        raise DatasetError(
            f"{what} needs about {needed} below {path}, where {free / 2**30:,.1f} GiB are free: "
            "ask for fewer rows, or give the cluster profile another `storage`."
        )


def read_parquet(paths: list[str], columns: list[str] | None = None) -> pa.Table:
    """The rows of every Parquet file in these folders, in the folders' and files' order.

    Files are opened side by side and each is decoded by one thread: many small files cost a fraction of what a
    dataset's discovery and a thread pool per file would.
    """
    with ThreadPoolExecutor(max(1, pa.cpu_count())) as threads:
        files = [file for folder in threads.map(_parts, paths) for file in folder]
        inner = len(files) < pa.cpu_count()

        def read(source: tuple[fs.FileSystem, str]) -> pa.Table:
            system, path = source
            with pq.ParquetFile(path, filesystem=system) as file:
                return file.read(columns=columns, use_threads=inner)

        return pa.concat_tables(threads.map(read, files))


@dataclass(frozen=True)
class RowGroup:
    """A part of a Parquet file that can be read on its own. Picklable, for a process that reads it elsewhere."""

    system: fs.FileSystem
    path: str
    number: int
    rows: int

    def read(self, columns: list[str] | None) -> pa.Table:
        with pq.ParquetFile(self.path, filesystem=self.system) as file:
            return file.read_row_group(self.number, columns=columns, use_threads=False)


def row_groups(paths: list[str]) -> list[RowGroup]:
    """Of every Parquet file in these folders, in the order of `read_parquet`."""

    def within(part: tuple[fs.FileSystem, str]) -> list[RowGroup]:
        system, path = part
        with pq.ParquetFile(path, filesystem=system) as file:
            sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        return [RowGroup(system, path, number, rows) for number, rows in enumerate(sizes)]

    with ThreadPoolExecutor(max(1, pa.cpu_count())) as threads:
        parts = [part for folder in threads.map(_parts, paths) for part in folder]
        return [found for inner in threads.map(within, parts) for found in inner]


def map_row_groups(paths: list[str], columns: list[str], function: Callable[[pa.Table], T]) -> Iterator[T]:
    """What the function makes of every row group in these folders, in their order: side by side, a thread for each
    core that this process may use. No more row groups than threads are in memory.
    """
    groups = row_groups(paths)
    with ThreadPoolExecutor(max(1, min(len(groups), len(os.sched_getaffinity(0))))) as threads:
        yield from threads.map(lambda group: function(group.read(columns)), groups)


def schema_of(path: str) -> pa.Schema:
    """The schema of the first Parquet file in a folder."""
    system, file = _parts(path)[0]
    return pq.read_schema(file, filesystem=system)


def _parts(folder: str) -> list[tuple[fs.FileSystem, str]]:
    system, _ = resolve(folder)
    return [(system, info.path) for info in files_below(folder, ".parquet")]


def remove_folder(location: str) -> None:
    """A folder and all that is in it, if it is there."""
    system, path = resolve(location)
    if system.get_file_info(path).type != fs.FileType.NotFound:
        system.delete_dir(path)


def make_folder(location: str) -> None:
    """A folder, with those that it lies in."""
    system, path = resolve(location)
    system.create_dir(path, recursive=True)


def sha256_of(system: fs.FileSystem, path: str) -> str:
    """Of a file's bytes as they lie there."""
    found = hashlib.sha256()
    with system.open_input_stream(path, compression=None) as stream:
        while chunk := stream.read(2**22):
            found.update(chunk)
    return found.hexdigest()
