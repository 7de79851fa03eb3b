"""Finds the files of a user's table, and checks that they can be read as one table."""

import os
import re
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import fs

from sparkscale.contract.errors import DatasetError
from workloads.io.filesystem import HIDDEN, as_dataset_error, files_below, resolve

PARQUET = (".parquet", ".pq", ".parq")
CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
MAGIC = b"PAR1"

LOGS = {"_delta_log": "Delta", ".hoodie": "Hudi"}
"""Folders in which a table format lists the files that belong to the table."""
ICEBERG = "metadata"
"""The folder in which Iceberg lists the files of a table."""
ICEBERG_FILE = re.compile(r"(v\d+|\d{5}-[0-9a-f-]{36})(\.gz)?\.metadata\.json")
"""Names of Iceberg's metadata files, in Hadoop's catalog and in other catalogs (https://iceberg.apache.org/spec,
Table metadata)."""
LEVELS_ABOVE = 3
"""A table format's list of files is also searched in this many folders above the user's folder, because the user's
folder may be one partition of a table."""


def list_files(location: str) -> tuple[list[fs.FileInfo], str]:
    """Returns the files of the table, each once, and their format: "parquet" or "csv".

    Raises DatasetError if there are no files, or if a link leads nowhere. Also raises it for a table of Delta, Hudi
    or Iceberg, because its folder may have files that are no longer part of the table.
    """
    system, path = resolve(location)
    with as_dataset_error(location, "cannot be read"):
        info_of_path = system.get_file_info(path)
        if info_of_path.type == fs.FileType.NotFound:
            raise DatasetError(f"{location} does not exist: name a Parquet or CSV file, or a directory of them.")
        files = [info_of_path]
        if info_of_path.type != fs.FileType.File:
            if isinstance(system, fs.LocalFileSystem):
                _check_links(path, location)  # must run before files are listed, because the listing follows links
            _check_no_log(system, path, location)
            files = _each_once(system, [info for info in files_below(location) if info.size])
    formats = {_format(system, info) for info in files}
    if len(formats) > 1 or "" in formats:
        odd = next(info.path for info in files if _format(system, info) != "parquet")
        raise DatasetError(
            f"{location} contains {odd}, which is no Parquet file: name files of one format, Parquet or CSV."
        )
    if not files:
        raise DatasetError(
            f"{location} contains no Parquet or CSV file that is not empty: name a directory with such files."
        )
    return files, formats.pop()


def _check_no_log(system: fs.FileSystem, path: str, location: str) -> None:
    """Raises DatasetError if a table format's list of files lies in the folder or near it.

    The list may be in a folder below, or at most LEVELS_ABOVE levels above.
    """
    inside = [PurePosixPath(info.path) for info in system.get_file_info(fs.FileSelector(path, recursive=True))]
    for folder in _above(system, path):
        inside += [folder / name for name in LOGS if _is_folder(system, folder / name)]
        inside += _names(system, folder / ICEBERG)
    for entry in inside:
        name = LOGS.get(entry.name)
        if entry.parent.name == ICEBERG and ICEBERG_FILE.fullmatch(entry.name):
            name = "Iceberg"
        if name:
            raise DatasetError(
                f"{location} is a table of {name} ({entry} lists its files), so its folder may contain rows that are "
                "no longer part of the table: export it to Parquet, for example with "
                "spark.table(...).write.parquet(...)."
            )


def _above(system: fs.FileSystem, path: str) -> list[PurePosixPath]:
    """Returns up to LEVELS_ABOVE folders above a path. In an object store, no folder above the bucket is returned."""
    local = isinstance(system, fs.LocalFileSystem)
    parents = [parent for parent in PurePosixPath(path).parents if local or str(parent) not in (".", "/")]
    return parents[:LEVELS_ABOVE]


def _is_folder(system: fs.FileSystem, path: PurePosixPath) -> bool:
    """True if the path is a folder; false if not, or if the file system cannot tell."""
    try:
        return bool(system.get_file_info(str(path)).type == fs.FileType.Directory)
    except (OSError, pa.ArrowException):
        return False


def _names(system: fs.FileSystem, folder: PurePosixPath) -> list[PurePosixPath]:
    """Returns the paths in a folder; empty if the folder does not exist or cannot be read."""
    try:
        entries = system.get_file_info(fs.FileSelector(str(folder), allow_not_found=True))
    except (OSError, pa.ArrowException):
        return []
    return [PurePosixPath(info.path) for info in entries]


def _check_links(path: str, location: str) -> None:
    """Raises DatasetError if a symbolic link leads nowhere, or to a folder that contains the link.

    Files and folders with hidden names are ignored.
    """
    for folder, folders, files in os.walk(path, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(HIDDEN)]
        for link in (Path(folder, name) for name in (*folders, *files) if not name.startswith(HIDDEN)):
            if not link.is_symlink():
                continue
            target = Path(os.path.realpath(link))
            if not target.exists():
                raise DatasetError(
                    f"{location} contains {link}, a link to {target}, which does not exist: remove the link."
                )
            if Path(os.path.realpath(folder)).is_relative_to(target):
                raise DatasetError(
                    f"{location} contains {link}, a link to a folder that contains it: remove the link."
                )


def _each_once(system: fs.FileSystem, files: list[fs.FileInfo]) -> list[fs.FileInfo]:
    """Returns each file once, even if symbolic links also lead to the file."""
    if not isinstance(system, fs.LocalFileSystem):
        return files
    by_real_path: dict[str, fs.FileInfo] = {}
    for info in files:
        by_real_path.setdefault(os.path.realpath(info.path), info)
    return list(by_real_path.values())


def _format(system: fs.FileSystem, info: fs.FileInfo) -> str:
    """Returns the format of a file, "parquet" or "csv"; empty if it is neither."""
    if info.path.lower().endswith(CSV):
        return "csv"
    if info.path.lower().endswith(PARQUET):
        return "parquet"
    with system.open_input_file(info.path) as stream:
        return "parquet" if stream.read(len(MAGIC)) == MAGIC else ""
