"""Loads workloads, data sets and cluster profiles that other packages add by entry points.

A package adds to its pyproject.toml, for example:

    [project.entry-points."sparkscale.workloads"]
    churn = "mine.churn:WORKLOAD"

    [project.entry-points."sparkscale.datasets"]
    customers = "mine.customers:Customers"

    [project.entry-points."sparkscale.clusters"]
    mine = "mine.profiles"

For a workload, the entry names a `workloads.base.Workload`. For a data set, it names a subclass of
`workloads.datasets.source.Source`; the `kind` of this class is the entry's name. For clusters, it names a package
with profiles as TOML files.
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from sparkscale.contract.errors import ConfigError

Group = Literal["sparkscale.workloads", "sparkscale.datasets", "sparkscale.clusters"]
GROUPS: tuple[Group, ...] = ("sparkscale.workloads", "sparkscale.datasets", "sparkscale.clusters")


@cache
def entries(group: Group) -> tuple[EntryPoint, ...]:
    """Returns the entry points of a group, sorted by name. If two packages use one name, both are returned."""
    return tuple(sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)))


def loaded(group: Group) -> dict[str, Any]:
    """Loads the entry points of a group. Returns the loaded objects by the names of the entry points.

    Raises ConfigError if two packages use the same name, or if an entry point cannot be loaded. The message names the
    package.
    """
    objects: dict[str, Any] = {}
    for entry in entries(group):
        if entry.name in objects:
            raise ConfigError(f"Two packages add '{entry.name}' to {group}: uninstall one of them.")
        try:
            objects[entry.name] = entry.load()
        except Exception as error:
            raise ConfigError(
                f"The package {package(entry)} adds '{entry.name}' to {group}, but {entry.value} cannot be loaded: "
                f"{type(error).__name__}: {error}."
            ) from error
    return objects


def package(entry: EntryPoint) -> str:
    """Returns the name of the package that adds an entry point, or the entry point's module if it is not known."""
    return entry.dist.name if entry.dist else entry.module


def packages() -> tuple[str, ...]:
    """Returns the top-level packages of all entry points. Executors need these packages, too."""
    return tuple(dict.fromkeys(entry.module.split(".")[0] for group in GROUPS for entry in entries(group)))
