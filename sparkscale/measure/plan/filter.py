"""Selects cases by a filter that the user writes."""

from fnmatch import fnmatchcase

from sparkscale.contract.errors import ConfigError
from sparkscale.measure.plan.cases import PlannedCase

FILTER_KEYS = ("workload", "engine", "placement", "cluster", "device", "dataset", "fraction", "set")


def select_cases(planned: list[PlannedCase], expression: str) -> list[PlannedCase]:
    """Returns the cases that match a filter such as "engine=xgboost*,fraction=1/4".

    A case must match all keys of the filter. If a key has several values, one of them must match. Raises ConfigError
    if a key is unknown, if a value matches no case of the suite, or if no case matches the whole filter.
    """
    wanted: dict[str, list[str]] = {}
    for part in expression.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise ConfigError(f"The filter '{part}' is not KEY=VALUE: write it like engine=xgboost* or fraction=1/4.")
        if key not in FILTER_KEYS:
            raise ConfigError(f"Unknown filter key '{key}': choose from {', '.join(FILTER_KEYS)}.")
        known = sorted({case.key(key) for case in planned})
        if not any(_matches(choice, value) for choice in known):
            raise ConfigError(f"The filter {key}={value} matches nothing: this suite has {', '.join(known)}.")
        wanted.setdefault(key, []).append(value)
    chosen = [
        case
        for case in planned
        if all(any(_matches(case.key(key), value) for value in values) for key, values in wanted.items())
    ]
    if not chosen:
        raise ConfigError(
            f"The filter '{expression}' matches none of the suite's {len(planned)} cases: no case has all of these "
            "values."
        )
    return chosen


def _matches(name: str, pattern: str) -> bool:
    """Returns true if `name` matches `pattern`, a value of the filter that may contain wildcards.

    A workload may be named by its last part, such as gradient_boosting for data_parallel.gradient_boosting.
    """
    return fnmatchcase(name, pattern) or ("." in name and fnmatchcase(name.split(".", 1)[1], pattern))
