"""Descriptions of workloads, and goals of suites, as they were in the last release with store format 1."""

import json
from functools import cache
from importlib import resources
from typing import Any

from sparkscale.contract.declared import WorkloadDescription


@cache
def workloads() -> dict[str, WorkloadDescription]:
    """Returns the descriptions of the workloads by name."""
    text = (resources.files("sparkscale.contract") / "workloads-of-format-1.json").read_text(encoding="utf-8")
    return {
        description["workload"]: WorkloadDescription.model_validate(description) for description in json.loads(text)
    }


@cache
def goals() -> dict[str, list[dict[str, Any]]]:
    """Returns the goals of each suite, by the suite's name."""
    text = (resources.files("sparkscale.contract") / "goals-of-format-1.json").read_text(encoding="utf-8")
    goals_by_suite: dict[str, list[dict[str, Any]]] = json.loads(text)
    return goals_by_suite
