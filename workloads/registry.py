"""The list of all workloads, patterns and data sets.

To add one, write a file and add a line in this module. Or register it from another package, as described in
`sparkscale.contract.plugins`.
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
    """Returns the data sets of other packages, by name. Raises ConfigError if one of them cannot be used."""
    added: dict[str, type[Source]] = {}
    for entry, source in plugins.loaded("sparkscale.datasets").items():
        if not (isinstance(source, type) and issubclass(source, Source)):
            raise ConfigError(
                f"The entry '{entry}' of sparkscale.datasets is {source!r}: make it a subclass of Source."
            )
        kind = source.model_fields.get("kind")
        if kind is None or get_args(kind.annotation) != (entry,):
            raise ConfigError(
                f"The entry '{entry}' of sparkscale.datasets has the wrong `kind`: give {source.__name__} the field "
                f'`kind: Literal["{entry}"] = "{entry}"`.'
            )
        if entry in (*OWN_DATASETS, "table"):
            raise ConfigError(
                f"The entry '{entry}' of sparkscale.datasets has the name of a data set of sparkscale: rename it."
            )
        added[entry] = source
    return added


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
"""The names of sparkscale's own metrics, which no workload may declare."""

DATASETS: dict[str, type[Source]] = {**OWN_DATASETS, **_added_datasets()}
"""All data sets with a name, including the data sets of other packages. A table has a path instead of a name."""

if TYPE_CHECKING:
    AnySource = Flights | Classification | Regression | Blobs | Devices | Table
else:
    AnySource = Annotated[Union[(*DATASETS.values(), Table)], Field(discriminator="kind")]
SOURCE: TypeAdapter[AnySource] = TypeAdapter(AnySource)


@cache
def workloads() -> dict[str, Workload]:
    """Returns all workloads by name. Raises ConfigError if a workload of another package cannot be used."""
    known = dict(own_workloads())
    for entry, workload in plugins.loaded("sparkscale.workloads").items():
        if not isinstance(workload, Workload):
            raise ConfigError(
                f"The entry '{entry}' of sparkscale.workloads is no Workload, but {workload!r}: point it at a "
                "Workload."
            )
        if workload.name in known:
            raise ConfigError(
                f"The entry '{entry}' of sparkscale.workloads has the name {workload.name}, which another workload "
                "has: rename it."
            )
        if not re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", workload.name):
            raise ConfigError(
                f"The entry '{entry}' of sparkscale.workloads is called '{workload.name}': use the name of its "
                "pattern, a dot and a name in lower case, such as data_parallel.churn."
            )
        _check_declarations(entry, workload, list(known.values()))
        known[workload.name] = workload
    return known


def _check_declarations(entry: str, workload: Workload, others: list[Workload]) -> None:
    """Raises ConfigError if the declarations of `workload` are wrong. `entry` is the name of its entry point.

    It is an error if one of the `others` declares another pattern or metric with the same name. It is also an
    error if tables show a quality or a figure that the workload does not declare.
    """
    for other in others:
        if other.pattern.name == workload.pattern.name and other.pattern != workload.pattern:
            raise ConfigError(
                f"The entry '{entry}' of sparkscale.workloads has another pattern {workload.pattern.name} than "
                f"{other.name}: use that pattern, or rename yours."
            )
    others_metrics = {name: declared for other in others for name, declared in other.metrics().items()}
    for name, declared in workload.metrics().items():
        if name in RESERVED_METRICS or others_metrics.get(name, declared) != declared:
            raise ConfigError(
                f"The entry '{entry}' of sparkscale.workloads declares the metric {name}, which exists already: "
                "rename it."
            )
    declarations = (*workload.quality.declared, *workload.pattern.figures, *workload.figures)
    declared_names = {declaration.name for declaration in declarations}
    shown = {*workload.quality.beside, *workload.quality.judged_by.values()}
    if missing := sorted(shown - declared_names):
        raise ConfigError(
            f"The entry '{entry}' of sparkscale.workloads shows {missing[0]}, which it does not declare: declare it "
            "as a quality or a figure."
        )


@cache
def own_workloads() -> dict[str, Workload]:
    """Returns the workloads of sparkscale itself, by name."""
    own = [importlib.import_module(module).WORKLOAD for module in WORKLOAD_MODULES]
    return {workload.name: workload for workload in own}


def descriptions() -> list[WorkloadDescription]:
    """Returns the descriptions of all workloads, including workloads of other packages."""
    return [workload.description for workload in workloads().values()]


def patterns() -> dict[str, Pattern]:
    """Returns all patterns by name."""
    return {workload.pattern.name: workload.pattern for workload in workloads().values()}


def source(definition: dict[str, Any]) -> AnySource:
    """Returns the data set for a user's definition. Raises ValidationError if the definition is wrong."""
    return SOURCE.validate_python(settings(definition))


def settings(definition: dict[str, Any]) -> dict[str, Any]:
    """Returns the definition with its `kind` filled in. A definition with a path describes a table."""
    return {"kind": "table", **definition} if "path" in definition else definition
