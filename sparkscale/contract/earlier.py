"""The workloads of the last release whose records did not refer to a description of theirs."""

import json
from functools import cache
from importlib import resources

from sparkscale.contract.declared import WorkloadDescription


@cache
def workloads() -> dict[str, WorkloadDescription]:
    """By name."""
    text = (resources.files("sparkscale.contract") / "workloads-of-format-1.json").read_text(encoding="utf-8")
    return {found["workload"]: WorkloadDescription.model_validate(found) for found in json.loads(text)}
