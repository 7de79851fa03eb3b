"""Which files a user's table consists of."""

import os
from pathlib import Path, PurePosixPath

from pyarrow import fs

from sparkscale.contract.errors import DatasetError
from workloads.filesystem import files_below, reported, resolve

PARQUET = (".parquet", ".pq", ".parq")
CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
MAGIC = b"PAR1"

LOGS = {"_delta_log": "Delta", ".hoodie": "Hudi"}
"""Folders in which a table format keeps which files belong to the table."""
ICEBERG = ("metadata", ".metadata.json")
"""The folder in which Iceberg keeps that, and how the files in it end."""
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
            _check_no_log(system, path, location)
            if isinstance(system, fs.LocalFileSystem):
                _check_links(path, location)
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
    below = system.get_file_info(fs.FileSelector(path, recursive=True))
    inside = [PurePosixPath(info.path) for info in below]
    above = [PurePosixPath(path), *PurePosixPath(path).parents][: LEVELS_ABOVE + 1]
    beside = [folder / name for folder in above for name in LOGS]
    inside += [PurePosixPath(info.path) for info in _infos(system, beside) if info.type == fs.FileType.Directory]
    for folder in above[1:]:
        metadata = fs.FileSelector(str(folder / ICEBERG[0]), allow_not_found=True)
        try:
            inside += [PurePosixPath(info.path) for info in system.get_file_info(metadata)]
        except OSError:  # of a folder that may not be read nothing is known
            continue
    for found in inside:
        name = LOGS.get(found.name)
        if found.parent.name == ICEBERG[0] and found.name.endswith(ICEBERG[1]):
            name = "Iceberg"
        if name:
            raise DatasetError(
                f"{location} is a table of {name} ({found} says which files belong to it): its folder holds rows "
                "that are no longer part of it, so export it to Parquet, such as with "
                "spark.table(...).write.parquet(...)."
            )


def _infos(system: fs.FileSystem, paths: list[PurePosixPath]) -> list[fs.FileInfo]:
    try:
        return list(system.get_file_info([str(path) for path in paths]))
    except OSError:
        return []


def _check_links(path: str, location: str) -> None:
    """Raises DatasetError for a symbolic link to nothing, and for one to a folder that it lies in."""
    for folder, folders, files in os.walk(path, followlinks=True):
        for link in (Path(folder, name) for name in (*folders, *files)):
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
