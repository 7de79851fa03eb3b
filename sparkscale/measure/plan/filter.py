"""Selects cases by a filter that the user writes."""

from sparkscale.contract import filter as filters
from sparkscale.contract.errors import ConfigError
from sparkscale.measure.plan.cases import PlannedCase

FILTER_KEYS = ("workload", "engine", "placement", "cluster", "device", "dataset", "fraction", "set")


def select_cases(planned: list[PlannedCase], expression: str) -> list[PlannedCase]:
    """Returns the cases that match a filter such as "engine=xgboost*,fraction=1/4".

    A case must match all keys of the filter. If a key has several values, one of them must match. Raises ConfigError
    if a key is unknown, if a value matches no case of the suite, or if no case matches the whole filter.
    """
    wanted = filters.parsed(expression, FILTER_KEYS)
    for key, values in wanted.items():
        known = sorted({case.key(key) for case in planned})
        for value in values:
            if not any(filters.matches(choice, value) for choice in known):
                raise ConfigError(f"The filter {key}={value} matches nothing: this suite has {', '.join(known)}.")
    chosen = [
        case
        for case in planned
        if all(any(filters.matches(case.key(key), value) for value in values) for key, values in wanted.items())
    ]
    if not chosen:
        raise ConfigError(
            f"The filter '{expression}' matches none of the suite's {len(planned)} cases: no case has all of these "
            "values."
        )
    return chosen
