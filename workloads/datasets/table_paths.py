"""Which files a user's table consists of."""

import os
import re
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import fs

from sparkscale.contract.errors import DatasetError
from workloads.io.filesystem import HIDDEN, files_below, reported, resolve

PARQUET = (".parquet", ".pq", ".parq")
CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
MAGIC = b"PAR1"

LOGS = {"_delta_log": "Delta", ".hoodie": "Hudi"}
"""Folders in which a table format keeps which files belong to the table."""
ICEBERG = "metadata"
"""The folder in which Iceberg keeps that."""
ICEBERG_FILE = re.compile(r"(v\d+|\d{5}-[0-9a-f-]{36})(\.gz)?\.metadata\.json")
"""Of Hadoop's catalog and of others (https://iceberg.apache.org/spec, Table metadata)."""
LEVELS_ABOVE = 3
"""How far above the named folder such a log is looked for: it may be one partition of a table."""


def list_files(location: str) -> tuple[list[fs.FileInfo], str]:
    """The table's files, each once, and their format, "parquet" or "csv".

    Raises DatasetError where there is none, for a link to nothing, and for a table of Delta, Hudi or Iceberg, whose
    folder holds files that are no longer part of it.
    """
    system, path = resolve(location)
    with reported(location, "cannot be read"):
        kind = system.get_file_info(path)
        if kind.type == fs.FileType.NotFound:
            raise DatasetError(f"There is no {location}: name a Parquet or CSV file, or a directory of them.")
        found = [kind]
        if kind.type != fs.FileType.File:
            if isinstance(system, fs.LocalFileSystem):
                _check_links(path, location)  # before anything follows them
            _check_no_log(system, path, location)
            found = _each_once(system, [info for info in files_below(location) if info.size])
    formats = {_format(system, info) for info in found}
    if len(formats) > 1 or "" in formats:
        odd = next(info.path for info in found if _format(system, info) != "parquet")
        raise DatasetError(f"{location} holds {odd}, which is no Parquet: give files of one format, Parquet or CSV.")
    if not found:
        raise DatasetError(f"{location} holds no Parquet or CSV file with content.")
    return found, formats.pop()


def _check_no_log(system: fs.FileSystem, path: str, location: str) -> None:
    """Raises DatasetError if a table format's log lies in the folder, below it, or not far above it."""
    inside = [PurePosixPath(info.path) for info in system.get_file_info(fs.FileSelector(path, recursive=True))]
    for folder in _above(system, path):
        inside += [folder / name for name in LOGS if _is_folder(system, folder / name)]
        inside += _names(system, folder / ICEBERG)
    for found in inside:
        name = LOGS.get(found.name)
        if found.parent.name == ICEBERG and ICEBERG_FILE.fullmatch(found.name):
            name = "Iceberg"
        if name:
            raise DatasetError(
                f"{location} is a table of {name} ({found} says which files belong to it): its folder holds rows "
                "that are no longer part of it, so export it to Parquet, such as with "
                "spark.table(...).write.parquet(...)."
            )


def _above(system: fs.FileSystem, path: str) -> list[PurePosixPath]:
    """The folders above, as far as a partition may lie below its table; of an object store none above the bucket."""
    local = isinstance(system, fs.LocalFileSystem)
    parents = [parent for parent in PurePosixPath(path).parents if local or str(parent) not in (".", "/")]
    return parents[:LEVELS_ABOVE]


def _is_folder(system: fs.FileSystem, path: PurePosixPath) -> bool:
    """Of one that may not be read nothing is known."""
    try:
        return bool(system.get_file_info(str(path)).type == fs.FileType.Directory)
    except (OSError, pa.ArrowException):
        return False


def _names(system: fs.FileSystem, folder: PurePosixPath) -> list[PurePosixPath]:
    try:
        found = system.get_file_info(fs.FileSelector(str(folder), allow_not_found=True))
    except (OSError, pa.ArrowException):
        return []
    return [PurePosixPath(info.path) for info in found]


def _check_links(path: str, location: str) -> None:
    """Raises DatasetError for a symbolic link to nothing, and for one to a folder that it lies in. Nobody looks at
    what has a hidden name.
    """
    for folder, folders, files in os.walk(path, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(HIDDEN)]
        for link in (Path(folder, name) for name in (*folders, *files) if not name.startswith(HIDDEN)):
            if not link.is_symlink():
                continue
            target = Path(os.path.realpath(link))
            if not target.exists():
                raise DatasetError(f"{location} holds {link}, a link to {target}, which is not there: remove it.")
            if Path(os.path.realpath(folder)).is_relative_to(target):
                raise DatasetError(f"{location} holds {link}, a link to a folder that it lies in: remove it.")


def _each_once(system: fs.FileSystem, found: list[fs.FileInfo]) -> list[fs.FileInfo]:
    """Without those that are there by another way, too, through a symbolic link."""
    if not isinstance(system, fs.LocalFileSystem):
        return found
    kept: dict[str, fs.FileInfo] = {}
    for info in found:
        kept.setdefault(os.path.realpath(info.path), info)
    return list(kept.values())


def _format(system: fs.FileSystem, info: fs.FileInfo) -> str:
    if info.path.lower().endswith(CSV):
        return "csv"
    if info.path.lower().endswith(PARQUET):
        return "parquet"
    with system.open_input_file(info.path) as stream:
        return "parquet" if stream.read(len(MAGIC)) == MAGIC else ""
