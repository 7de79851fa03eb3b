"""Prepares, finds and removes the data sets that a user names."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs
from pydantic import ValidationError

from cluster import profile
from cluster.budget import budget
from cluster.profile import ClusterProfile
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import ConfigError, plain
from sparkscale.contract.location import join
from sparkscale.measure.run.clusters import ready_cluster
from sparkscale.measure.run.lock import machine_lock
from sparkscale.measure.run.preparation import prepare_all
from sparkscale.measure.run.progress import Observer
from sparkscale.measure.run.scratch import scratch_folder
from workloads import registry
from workloads.datasets.source import MERGED_PREFIX
from workloads.datasets.table import Table
from workloads.datasets.table_files import column_names
from workloads.io import prepared
from workloads.io.filesystem import resolve
from workloads.registry import AnySource


def source_of(name: str, settings: dict[str, Any]) -> AnySource:
    """Returns a data set with these settings. `name` is a registered name, or the path or URI of a table.

    Raises ConfigError for an unknown name, a missing label, or a setting that does not exist or is wrong.
    """
    registered = name in registry.DATASETS
    if not registered and "label" not in settings:
        if "/" not in name and "." not in name and not Path(name).exists():
            known = ", ".join(registry.DATASETS)
            raise ConfigError(f"Unknown data set '{name}': choose from {known}, or give a table's path or URI.")
        columns = ", ".join(column_names(name))
        raise ConfigError(f"Name the column of {name} to predict with --label: it has {columns}.")
    path = name if registered or "://" in name else str(Path(name).expanduser().absolute())
    try:
        return registry.source({**({"kind": name} if registered else {"path": path}), **settings})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"][1:])
        if first["type"] == "extra_forbidden":
            kind = registry.DATASETS.get(name) or Table
            valid = ", ".join(field for field in kind.model_fields if field not in ("kind", "name", "path"))
            has = f"has {valid}" if valid else "is fixed: it has no settings"
            raise ConfigError(f"The data set {name} has no setting '{key}': it {has}.") from error
        raise ConfigError(f"The data set {name}: {key}: {plain(first['msg'])}.") from error


def prepare(
    source: AnySource, cluster: str, observer: Callable[[], Observer], by_spark: bool, tasks: int | None
) -> PreparedDataset:
    """Prepares a data set on the storage of the profile `cluster`.

    If `by_spark` is true, Spark's executors write the data, otherwise processes on this node. `tasks` is the
    number of tasks that write in parallel; None: a default number.
    """
    cluster_profile = profile.load(cluster)
    granted = budget(cluster_profile)
    with machine_lock(), scratch_folder() as scratch, closing(observer()) as watching, ExitStack() as stack:
        running = None
        if by_spark:
            running = stack.enter_context(ready_cluster(cluster_profile, granted, scratch, scratch, watching))
        prepared_data = prepare_all(
            {source.title: source}, cluster_profile, granted, watching, scratch / "data", cluster=running, tasks=tasks
        )
        return prepared_data[source.title]


@dataclass(frozen=True)
class Cached:
    """A folder of the cache with one data set. `manifest` is None if the data set was not prepared completely."""

    folder: str
    id: str
    manifest: prepared.Manifest | None
    bytes: int

    @property
    def name(self) -> str:
        return self.manifest.name if self.manifest else self.id.rsplit("-", 1)[0]

    @property
    def is_merged(self) -> bool:
        """True if the folder is a copy of another data set, with fewer files."""
        return self.name.startswith(MERGED_PREFIX)

    @property
    def data(self) -> PreparedDataset | None:
        """The data set in the folder; None if the folder is incomplete or a copy (see `is_merged`)."""
        if self.manifest is None or self.is_merged:
            return None
        return PreparedDataset(
            name=self.manifest.name,
            dataset_id=self.manifest.id,
            content_hash=self.manifest.content_hash,
            root=self.folder,
            bytes=self.manifest.bytes,
            definition=self.manifest.definition,
            **self.manifest.content,
        )


def cached(cluster_profile: ClusterProfile) -> list[Cached]:
    """Returns the folders of the cache on the profile's storage, in the order of their ids."""
    return sorted(_cached(cluster_profile), key=lambda entry: entry.id)


def _cached(cluster_profile: ClusterProfile) -> Iterator[Cached]:
    system, path = resolve(join(cluster_profile.storage_location, prepared.FOLDER))
    for info in system.get_file_info(fs.FileSelector(path, allow_not_found=True)):
        if info.type == fs.FileType.Directory and not info.base_name.startswith("."):
            folder = join(cluster_profile.storage_location, f"{prepared.FOLDER}/{info.base_name}")
            try:
                manifest = prepared.manifest_of(folder)
            except (OSError, ValidationError):
                manifest = None
            inside = system.get_file_info(fs.FileSelector(info.path, recursive=True))
            yield Cached(folder, info.base_name, manifest, sum(file.size or 0 for file in inside))


def find(name: str, cluster_profile: ClusterProfile) -> list[Cached]:
    """Returns the cached data sets with this name, id or hash.

    If there are none, returns the data sets with a name that begins with `name` and a hyphen. Raises ConfigError
    if there are none of these either.
    """
    entries = [entry for entry in cached(cluster_profile) if not entry.is_merged]
    matching = [entry for entry in entries if name in (entry.id, entry.name, entry.id.rsplit("-", 1)[-1])]
    matching = matching or [entry for entry in entries if entry.name.startswith(f"{name}-")]
    if not matching:
        choices = ", ".join(entry.id for entry in entries) or "nothing yet"
        advice = f"; prepare it with `sparkscale data prepare {name}`" if name in registry.DATASETS else ""
        raise ConfigError(f"No data set '{name}' in {cluster_profile.storage_location}: it has {choices}{advice}.")
    return matching


def remove(entry: Cached, cluster_profile: ClusterProfile) -> int:
    """Deletes a data set and its copies in fewer files. Returns the number of bytes that were freed."""
    folders = [entry]
    if entry.manifest:
        folders += [other for other in cached(cluster_profile) if other.name == f"{MERGED_PREFIX}{entry.manifest.id}"]
    for folder in folders:
        prepared.remove(folder.folder)
    return sum(folder.bytes for folder in folders)
