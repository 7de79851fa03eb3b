"""`--cold-cache`: drops the data from the page cache before each execution, so that phases read from disk."""

from collections.abc import Iterable
from pathlib import Path

from cluster import pagecache
from cluster.profile import ClusterProfile
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import ConfigError, DatasetError
from sparkscale.contract.location import local_path
from sparkscale.contract.model import PreparedModel


def check_profile(profile: ClusterProfile) -> None:
    """Raises ConfigError if executors of this profile read data on other hosts, or from an object store."""
    if profile.kind != "local" and not profile.starts_daemons:
        raise ConfigError(
            f"--cold-cache works on this host only, and the executors of cluster '{profile.name}' may be on other "
            "hosts: leave it out, or choose a cluster on this machine."
        )
    if local_path(profile.storage_location) is None:
        raise ConfigError(
            f"--cold-cache works with local files only, and cluster '{profile.name}' keeps its data at "
            f"{profile.storage_location}: leave it out, or set `storage` in the profile to a local folder."
        )


def check_data(data: Iterable[PreparedDataset]) -> None:
    """Drops these data sets' files from the page cache once. Raises ConfigError if the files stay in memory."""
    for dataset in data:
        try:
            drop(dataset)
        except DatasetError as error:
            raise ConfigError(f"--cold-cache is not possible here. {error}") from error


def drop(data: PreparedDataset, model: PreparedModel | None = None) -> None:
    """Drops all files of a data set from the page cache, and the files of a model if one is given.

    Raises DatasetError if more than `pagecache.TOLERATED_SHARE` of the files' pages stays in memory.
    """
    roots = [data.root, *data.merged.values(), *([model.root] if model else [])]
    folders = [path for root in roots if (path := local_path(root)) is not None]
    files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]
    try:
        share = pagecache.drop(files)
    except OSError as error:
        raise DatasetError(
            f"The page cache of {folders[0]} cannot be emptied: {error.strerror}. Leave --cold-cache out."
        ) from error
    if share > pagecache.TOLERATED_SHARE:
        raise DatasetError(
            f"The page cache keeps {share:.0%} of {_shown(folders)}: run as the user who owns these files, keep them "
            "on a disk, or leave --cold-cache out."
        )


def _shown(folders: list[Path]) -> str:
    return ", ".join(map(str, folders))
