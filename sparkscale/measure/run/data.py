"""Data sets by name: what a user asked for, what lies in the cache."""

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
    """The data set of a registered name, else of a path or URI. `settings` is what else was said of it.

    Raises ConfigError for settings that it does not have or that do not fit.
    """
    registered = name in registry.DATASETS
    if not registered and "label" not in settings:
        if "/" not in name and "." not in name and not Path(name).exists():
            known = ", ".join(registry.DATASETS)
            raise ConfigError(f"Unknown data set '{name}': choose from {known}, or give a table's path or URI.")
        columns = ", ".join(column_names(name))
        raise ConfigError(f"Say which column of {name} is to be predicted, with --label: it has {columns}.")
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
    """Makes a data set ready on a profile's storage."""
    where = profile.load(cluster)
    granted = budget(where)
    with machine_lock(), scratch_folder() as scratch, closing(observer()) as watching, ExitStack() as stack:
        running = None
        if by_spark:
            running = stack.enter_context(ready_cluster(where, granted, scratch, scratch, watching))
        found = prepare_all(
            {source.title: source}, where, granted, watching, scratch / "data", cluster=running, tasks=tasks
        )
        return found[source.title]


@dataclass(frozen=True)
class Cached:
    """One folder of the cache. `manifest` is None for what was never finished."""

    folder: str
    id: str
    manifest: prepared.Manifest | None
    bytes: int

    @property
    def name(self) -> str:
        return self.manifest.name if self.manifest else self.id.rsplit("-", 1)[0]

    @property
    def is_merged(self) -> bool:
        """Whether it is another data set's copy with fewer files."""
        return self.name.startswith(MERGED_PREFIX)

    @property
    def data(self) -> PreparedDataset | None:
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


def cached(where: ClusterProfile) -> list[Cached]:
    """What lies on the profile's storage, by name."""
    return sorted(_cached(where), key=lambda found: found.id)


def _cached(where: ClusterProfile) -> Iterator[Cached]:
    system, path = resolve(join(where.storage_location, prepared.FOLDER))
    for info in system.get_file_info(fs.FileSelector(path, allow_not_found=True)):
        if info.type == fs.FileType.Directory and not info.base_name.startswith("."):
            folder = join(where.storage_location, f"{prepared.FOLDER}/{info.base_name}")
            try:
                manifest = prepared.manifest_of(folder)
            except (OSError, ValidationError):
                manifest = None
            inside = system.get_file_info(fs.FileSelector(info.path, recursive=True))
            yield Cached(folder, info.base_name, manifest, sum(found.size or 0 for found in inside))


def find(name: str, where: ClusterProfile) -> list[Cached]:
    """The cached data sets of this name or folder. Raises ConfigError when there is none."""
    there = [found for found in cached(where) if not found.is_merged]
    matching = [found for found in there if name in (found.id, found.name, found.id.rsplit("-", 1)[-1])]
    matching = matching or [found for found in there if found.name.startswith(f"{name}-")]
    if not matching:
        choices = ", ".join(found.id for found in there) or "nothing yet"
        advice = f"; `sparkscale data prepare {name}` makes it" if name in registry.DATASETS else ""
        raise ConfigError(f"No data set '{name}' in {where.storage_location}: there is {choices}{advice}.")
    return matching


def remove(found: Cached, where: ClusterProfile) -> int:
    """Deletes a data set and its merged copies; returns the bytes that are free again."""
    ours = [found]
    if found.manifest:
        ours += [other for other in cached(where) if other.name == f"{MERGED_PREFIX}{found.manifest.id}"]
    for folder in ours:
        prepared.remove(folder.folder)
    return sum(folder.bytes for folder in ours)
