"""Which workloads, patterns and data sets there are. A new one is its own file and one line here."""

import importlib
from functools import cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from sparkscale.contract.declared import WorkloadDescription
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

AnySource = Annotated[
    Flights | Classification | Regression | Blobs | Devices | Table,
    Field(discriminator="kind"),
]
SOURCE: TypeAdapter[AnySource] = TypeAdapter(AnySource)

DATASETS: dict[str, type[Source]] = {
    "flights": Flights,
    "classification": Classification,
    "regression": Regression,
    "blobs": Blobs,
    "devices": Devices,
}
"""Data sets that have a name of their own; any other is a table's path."""


@cache
def workloads() -> dict[str, Workload]:
    """Every workload by name."""
    found = [importlib.import_module(module).WORKLOAD for module in WORKLOAD_MODULES]
    return {workload.name: workload for workload in found}


def descriptions() -> list[WorkloadDescription]:
    """What each workload declares."""
    return [workload.description() for workload in workloads().values()]


def patterns() -> dict[str, Pattern]:
    """Every pattern by name."""
    return {workload.pattern.name: workload.pattern for workload in workloads().values()}


def source(definition: dict[str, Any]) -> AnySource:
    """A data set from its definition as a user writes it. Raises pydantic's ValidationError."""
    return SOURCE.validate_python(settings(definition))


def settings(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition with its kind: one that has a path is a table's."""
    return {"kind": "table", **definition} if "path" in definition else definition
