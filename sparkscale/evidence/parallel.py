"""Runs simulations in parallel processes, and says how many are done."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Scenario = TypeVar("Scenario")
Result = TypeVar("Result")


def in_parallel(
    simulate: Callable[[Scenario], Result],
    scenarios: Sequence[Scenario],
    processes: int,
    progress: Callable[[str], None],
    noun: str = "scenarios",
) -> list[Result]:
    """Returns the result of each scenario, in the order of `scenarios`.

    `progress` gets a text such as "3 of 30 scenarios" after each result.
    """
    results = []
    with ProcessPoolExecutor(processes) as pool:
        for result in pool.map(simulate, scenarios):
            results.append(result)
            progress(f"{len(results)} of {len(scenarios)} {noun}")
    return results
