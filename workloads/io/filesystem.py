"""Reads and writes files on any file system that `pyarrow.fs` knows: local paths, s3://, gs://, abfs://, hdfs://."""

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
"""Files and folders whose names begin with one of these characters hold no data."""
DISK_MARGIN = 1.1
"""Required free disk space, as a multiple of the bytes to be written."""


def resolve(location: str) -> tuple[fs.FileSystem, str]:
    """Returns the file system of a location, and the location's path in this file system.

    Raises ConfigError if the location cannot be reached, if its scheme is not supported, or if it contains
    credentials.
    """
    path = local_path(location)
    if path is not None:
        return fs.LocalFileSystem(), str(path.absolute())
    parts = urlsplit(location)
    if parts.password is not None or any(map(redaction.is_secret, parse_qs(parts.query))):
        raise ConfigError(
            f"A {scheme(location)}:// location holds credentials, which would be stored with the records: pass them "
            "in environment variables."
        )
    if scheme(location) not in KNOWN_SCHEMES:
        raise ConfigError(
            f"{location}: the scheme '{scheme(location)}' is not supported: use a local path or one of "
            f"{', '.join(f'{known}://' for known in KNOWN_SCHEMES)}."
        )
    try:
        system, path_in_system = fs.FileSystem.from_uri(location)
    except (OSError, pa.ArrowInvalid) as error:
        raise ConfigError(f"{location} cannot be reached: {first_line(error)}.") from error
    return system, path_in_system


def first_line(error: Exception) -> str:
    """Returns the first line of an error's text without its full stop.

    If there is no text, returns the name of the error's class.
    """
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


@contextmanager
def as_dataset_error(location: str, what: str) -> Iterator[None]:
    """Raises DatasetError with one sentence if a file system, Arrow or a decoder raises an error in the block.

    `what` follows the location in the sentence, such as "cannot be read".
    """
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeError) as error:
        raise DatasetError(f"{location} {what}: {first_line(error)}.") from error


def files_below(location: str, suffix: str = "") -> list[fs.FileInfo]:
    """Returns the files below a folder, sorted by path. Hidden files and files without the suffix are left out.

    Empty if the folder does not exist.
    """
    system, path = resolve(location)
    infos = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
    return sorted(
        (
            info
            for info in infos
            if info.type == fs.FileType.File and info.path.endswith(suffix) and not _hidden(info.path, path)
        ),
        key=lambda info: info.path,
    )


def _hidden(path: str, below: str) -> bool:
    return any(part.startswith(HIDDEN) for part in path[len(below) :].split("/"))


def check_space(location: str, needed_bytes: float, what: str) -> None:
    """Raises DatasetError if a local disk does not have enough free space. Object stores are not checked.

    `what` is the subject of the message.
    """
    path = local_path(location)
    if path is None:
        return
    path = path.absolute()
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed_bytes * DISK_MARGIN > free:
        needed = f"{needed_bytes / 2**30:,.1f} GiB"
        raise DatasetError(
            f"{what} needs about {needed} below {path}, but only {free / 2**30:,.1f} GiB are free: "
            "ask for fewer rows, or set another `storage` in the cluster profile."
        )


def read_parquet(paths: list[str], columns: list[str] | None = None) -> pa.Table:
    """Returns the rows of every Parquet file in these folders, in the order of the folders and their files.

    If `columns` is None, all columns are read. Files are read in parallel, and each by one thread if there are
    enough files for all cores. Arrow's dataset discovery is slower for many small files.
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
    """A row group, which is a part of a Parquet file that can be read separately.

    Can be pickled for another process.
    """

    system: fs.FileSystem
    path: str
    number: int
    rows: int

    def read(self, columns: list[str] | None) -> pa.Table:
        """Returns these columns of the row group; all columns if `columns` is None."""
        with pq.ParquetFile(self.path, filesystem=self.system) as file:
            return file.read_row_group(self.number, columns=columns, use_threads=False)


def row_groups(paths: list[str]) -> list[RowGroup]:
    """Returns the row groups of all Parquet files in these folders, in the same order as `read_parquet`."""

    def within(part: tuple[fs.FileSystem, str]) -> list[RowGroup]:
        system, path = part
        with pq.ParquetFile(path, filesystem=system) as file:
            sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        return [RowGroup(system, path, number, rows) for number, rows in enumerate(sizes)]

    with ThreadPoolExecutor(max(1, pa.cpu_count())) as threads:
        parts = [part for folder in threads.map(_parts, paths) for part in folder]
        return [group for groups in threads.map(within, parts) for group in groups]


def map_row_groups(paths: list[str], columns: list[str], function: Callable[[pa.Table], T]) -> Iterator[T]:
    """Calls the function with every row group in these folders, and yields the results in their order.

    It runs one thread for each core that this process may use. So memory holds at most one row group per core.
    """
    groups = row_groups(paths)
    with ThreadPoolExecutor(max(1, min(len(groups), len(os.sched_getaffinity(0))))) as threads:
        yield from threads.map(lambda group: function(group.read(columns)), groups)


def schema_of(path: str) -> pa.Schema:
    """Returns the schema of the first Parquet file in a folder."""
    system, file = _parts(path)[0]
    return pq.read_schema(file, filesystem=system)


def _parts(folder: str) -> list[tuple[fs.FileSystem, str]]:
    system, _ = resolve(folder)
    return [(system, info.path) for info in files_below(folder, ".parquet")]


def remove_folder(location: str) -> None:
    """Removes a folder with all its content, if it exists."""
    system, path = resolve(location)
    if system.get_file_info(path).type != fs.FileType.NotFound:
        system.delete_dir(path)


def make_folder(location: str) -> None:
    """Makes a folder, and its parent folders if they are missing."""
    system, path = resolve(location)
    system.create_dir(path, recursive=True)


def sha256_of(system: fs.FileSystem, path: str) -> str:
    """Returns the SHA-256 of a file's bytes as stored. A compressed file is not decompressed."""
    digest = hashlib.sha256()
    with system.open_input_stream(path, compression=None) as stream:
        while chunk := stream.read(2**22):
            digest.update(chunk)
    return digest.hexdigest()
