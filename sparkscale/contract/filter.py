"""Filters that a user writes to choose cases, such as "engine=xgboost*,fraction=1/4"."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from sparkscale.contract.errors import ConfigError

PROPERTIES = ("workload", "dataset", "cluster", "device", "engine", "set", "parameters", "fraction")
"""The names of the properties by which stored cases are distinguished."""


def parsed(expression: str, keys: Sequence[str]) -> dict[str, list[str]]:
    """Returns the wanted values of each key. A case must have one of the values of every key.

    Raises ConfigError if a part is not KEY=VALUE, or if its key is not one of `keys`.
    """
    wanted: dict[str, list[str]] = {}
    for part in expression.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise ConfigError(f"The filter '{part}' is not KEY=VALUE: write it like engine=xgboost* or fraction=1/4.")
        if key not in keys:
            raise ConfigError(f"Unknown filter key '{key}': choose from {', '.join(keys)}.")
        wanted.setdefault(key, []).append(value)
    return wanted


def matches(name: str, pattern: str) -> bool:
    """Returns true if `name` matches `pattern`, a value of a filter that may contain wildcards.

    A workload may be named by its last part, such as gradient_boosting for data_parallel.gradient_boosting.
    """
    return fnmatchcase(name, pattern) or ("." in name and fnmatchcase(name.split(".", 1)[1], pattern))
