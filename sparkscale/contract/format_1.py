"""The workloads, and the goals of suites, of the last release that wrote stores of format 1."""

import json
from functools import cache
from importlib import resources
from typing import Any

from sparkscale.contract.declared import WorkloadDescription


@cache
def workloads() -> dict[str, WorkloadDescription]:
    """The workloads by name."""
    text = (resources.files("sparkscale.contract") / "workloads-of-format-1.json").read_text(encoding="utf-8")
    return {found["workload"]: WorkloadDescription.model_validate(found) for found in json.loads(text)}


@cache
def goals() -> dict[str, list[dict[str, Any]]]:
    """The goals by the names of suites."""
    text = (resources.files("sparkscale.contract") / "goals-of-format-1.json").read_text(encoding="utf-8")
    found: dict[str, list[dict[str, Any]]] = json.loads(text)
    return found
