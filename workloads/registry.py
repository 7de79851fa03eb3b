"""Which workloads, patterns and data sets there are. A new one is its own file and one line here."""

import importlib
from functools import cache
from types import ModuleType

from workloads.base import Pattern, Workload

WORKLOAD_MODULES = (
    "workloads.data_parallel.gradient_boosting",
    "workloads.data_parallel.logistic_regression",
)

DATASET_MODULES = {
    "flights": "workloads.datasets.flights",
}


@cache
def workloads() -> dict[str, Workload]:
    """Every workload by name."""
    found = [importlib.import_module(module).WORKLOAD for module in WORKLOAD_MODULES]
    return {workload.name: workload for workload in found}


def patterns() -> dict[str, Pattern]:
    """Every pattern by name."""
    return {workload.pattern.name: workload.pattern for workload in workloads().values()}


def dataset(name: str) -> ModuleType:
    """The module of a data set: NAME, SUMMARY and prepare(storage). Raises KeyError."""
    return importlib.import_module(DATASET_MODULES[name])
