"""Workloads, data sets and cluster profiles that other packages add by entry points.

A package adds to its pyproject.toml, for example:

    [project.entry-points."sparkscale.workloads"]
    churn = "mine.churn:WORKLOAD"

    [project.entry-points."sparkscale.datasets"]
    customers = "mine.customers:Customers"

    [project.entry-points."sparkscale.clusters"]
    mine = "mine.profiles"

A workload is a `workloads.base.Workload`, a data set a class of `workloads.datasets.source.Source` whose `kind` is
the entry's name, and profiles are the TOML files of a package.
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from sparkscale.contract.errors import ConfigError

Group = Literal["sparkscale.workloads", "sparkscale.datasets", "sparkscale.clusters"]
GROUPS: tuple[Group, ...] = ("sparkscale.workloads", "sparkscale.datasets", "sparkscale.clusters")


@cache
def entries(group: Group) -> tuple[EntryPoint, ...]:
    """The entry points of a group, by name; of one that two packages have, both."""
    return tuple(sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)))


def loaded(group: Group) -> dict[str, Any]:
    """The objects behind the entries of a group, by name.

    Raises ConfigError, with the package that is at fault, for an entry that cannot be loaded, and for a name that two
    packages have.
    """
    found: dict[str, Any] = {}
    for entry in entries(group):
        if entry.name in found:
            raise ConfigError(f"Two packages add '{entry.name}' to {group}: uninstall one of them.")
        try:
            found[entry.name] = entry.load()
        except Exception as error:
            raise ConfigError(
                f"The package {package(entry)} adds '{entry.name}' to {group}, but {entry.value} cannot be loaded: "
                f"{type(error).__name__}: {error}."
            ) from error
    return found


def package(entry: EntryPoint) -> str:
    """The distribution that an entry point belongs to, or the module if that is not known."""
    return entry.dist.name if entry.dist else entry.module


def packages() -> tuple[str, ...]:
    """The top-level packages that all entries come from: what executors need, too."""
    return tuple(dict.fromkeys(entry.module.split(".")[0] for group in GROUPS for entry in entries(group)))
