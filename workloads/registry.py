"""The workloads, patterns and data sets that exist.

A new one is its own file and one line here, or comes from another package: see `sparkscale.contract.plugins`.
"""

import importlib
import re
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args

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


def _added_datasets() -> dict[str, type[Source]]:
    """Data sets of other packages, by name. Raises ConfigError for one that cannot be used."""
    found: dict[str, type[Source]] = {}
    for entry, source in plugins.loaded("sparkscale.datasets").items():
        if not (isinstance(source, type) and issubclass(source, Source)):
            raise ConfigError(f"The entry '{entry}' of sparkscale.datasets is no class of Source, but {source!r}.")
        kind = source.model_fields.get("kind")
        if kind is None or get_args(kind.annotation) != (entry,):
            raise ConfigError(f'{source.__name__} needs the field `kind: Literal["{entry}"] = "{entry}"`.')
        if entry in (*OWN_DATASETS, "table"):
            raise ConfigError(
                f"The entry '{entry}' of sparkscale.datasets is called as a data set of sparkscale's is."
            )
        found[entry] = source
    return found


RESERVED_METRICS = {
    "time_to_model",
    "rows_per_second",
    "seconds_per_million_rows",
    "peak_memory",
    "memory_needed",
    "time_with_layout",
    "models_per_second",
    "groups_without_model",
}
"""Metrics that do not follow from a declaration."""

DATASETS: dict[str, type[Source]] = {**OWN_DATASETS, **_added_datasets()}
"""Data sets that have a name of their own, those of other packages included; any other is a table's path."""

if TYPE_CHECKING:
    AnySource = Flights | Classification | Regression | Blobs | Devices | Table
else:
    AnySource = Annotated[Union[(*DATASETS.values(), Table)], Field(discriminator="kind")]
SOURCE: TypeAdapter[AnySource] = TypeAdapter(AnySource)


@cache
def workloads() -> dict[str, Workload]:
    """Every workload by name. Raises ConfigError for one of another package that cannot be used."""
    found = dict(own_workloads())
    for entry, workload in plugins.loaded("sparkscale.workloads").items():
        if not isinstance(workload, Workload):
            raise ConfigError(f"The entry '{entry}' of sparkscale.workloads is no Workload, but {workload!r}.")
        if workload.name in found:
            raise ConfigError(
                f"The entry '{entry}' of sparkscale.workloads is called {workload.name}, as another is."
            )
        if not re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", workload.name):
            raise ConfigError(
                f"The entry '{entry}' of sparkscale.workloads is called '{workload.name}': a workload's name is that "
                "of its pattern, a dot, and its own, such as data_parallel.churn."
            )
        _check_declarations(entry, workload, list(found.values()))
        found[workload.name] = workload
    return found


def _check_declarations(entry: str, workload: Workload, others: list[Workload]) -> None:
    """Raises ConfigError for a workload that declares what another one has, or shows what it does not declare."""
    for other in others:
        if other.pattern.name == workload.pattern.name and other.pattern != workload.pattern:
            raise ConfigError(
                f"The entry '{entry}' of sparkscale.workloads has another pattern {workload.pattern.name}."
            )
    taken = {name: declared for other in others for name, declared in other.metrics().items()}
    for name, declared in workload.metrics().items():
        if name in RESERVED_METRICS or taken.get(name, declared) != declared:
            raise ConfigError(
                f"The entry '{entry}' of sparkscale.workloads declares the metric {name}, as others do."
            )
    declared_names = {one.name for one in (*workload.quality.declared, *workload.pattern.figures, *workload.figures)}
    shown = {*workload.quality.beside, *workload.quality.judged_by.values()}
    if missing := sorted(shown - declared_names):
        raise ConfigError(
            f"The entry '{entry}' of sparkscale.workloads shows {missing[0]}, which it does not declare."
        )


@cache
def own_workloads() -> dict[str, Workload]:
    """The workloads that sparkscale brings, by name."""
    found = [importlib.import_module(module).WORKLOAD for module in WORKLOAD_MODULES]
    return {workload.name: workload for workload in found}


def descriptions() -> list[WorkloadDescription]:
    """The description of each workload, those of other packages included."""
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
