"""Which workloads, patterns and data sets there are.

A new one is its own file and one line here, or comes from another package: see `sparkscale.contract.plugins`.
"""

import importlib
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field, TypeAdapter

from sparkscale.contract import plugins
from sparkscale.contract.declared import WorkloadDescription
from sparkscale.contract.errors import ConfigError
from workloads.base import Pattern, Workload
from workloads.datasets.blobs import Blobs
from workloads.datasets.devices import Devices
from workloads.datasets.flights import Flights
from workloads.datasets.source import Source
from workloads.datasets.table import Table
from workloads.datasets.tabular import Classification, Regression

WORKLOAD_MODULES = (
    "workloads.data_parallel.feature_pipeline",
    "workloads.data_parallel.gradient_boosting",
    "workloads.data_parallel.kmeans",
    "workloads.data_parallel.knn",
    "workloads.data_parallel.linear_regression",
    "workloads.data_parallel.logistic_regression",
    "workloads.data_parallel.mlp",
    "workloads.data_parallel.pca",
    "workloads.data_parallel.random_forest",
    "workloads.inference.boosting",
    "workloads.inference.forest",
    "workloads.inference.mlp",
    "workloads.per_group.forecast",
    "workloads.per_group.gradient_boosting",
    "workloads.per_group.ridge",
    "workloads.tuning.gradient_boosting",
    "workloads.tuning.mlp",
    "workloads.tuning.random_forest",
)

OWN_DATASETS: dict[str, type[Source]] = {
    "flights": Flights,
    "classification": Classification,
    "regression": Regression,
    "blobs": Blobs,
    "devices": Devices,
}

DATASETS: dict[str, type[Source]] = {**plugins.loaded("sparkscale.datasets"), **OWN_DATASETS}
"""Data sets that have a name of their own, those of other packages included; any other is a table's path."""

if TYPE_CHECKING:
    AnySource = Flights | Classification | Regression | Blobs | Devices | Table
else:
    AnySource = Annotated[Union[(*DATASETS.values(), Table)], Field(discriminator="kind")]
SOURCE: TypeAdapter[AnySource] = TypeAdapter(AnySource)


@cache
def workloads() -> dict[str, Workload]:
    """Every workload by name. Raises ConfigError for one of another package that cannot be used."""
    found = {workload.name: workload for workload in plugins.loaded("sparkscale.workloads").values()}
    own = [importlib.import_module(module).WORKLOAD for module in WORKLOAD_MODULES]
    if taken := [workload.name for workload in own if workload.name in found]:
        raise ConfigError(f"Another package adds a workload that is called as one of sparkscale's: {taken[0]}.")
    return {workload.name: workload for workload in own} | found


def descriptions() -> list[WorkloadDescription]:
    """What each workload declares."""
    return [workload.description for workload in workloads().values()]


def patterns() -> dict[str, Pattern]:
    """Every pattern by name."""
    return {workload.pattern.name: workload.pattern for workload in workloads().values()}


def source(definition: dict[str, Any]) -> AnySource:
    """A data set from its definition as a user writes it. Raises pydantic's ValidationError."""
    return SOURCE.validate_python(settings(definition))


def settings(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition with its kind: one that has a path is a table's."""
    return {"kind": "table", **definition} if "path" in definition else definition
