"""Two runs of the same cases, which tests change."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sparkscale.analysis.conditions import Reader
from sparkscale.analysis.questions.compare.compare import Compared, compare
from sparkscale.analysis.questions.compare.side import Side
from sparkscale.store.store import Store
from tests.analysis.compare.reading import ENGINES, FRACTIONS, ROUNDS, Change, Compares, Outcomes, Written
from tests.builders import Writer, case, invocation


@pytest.fixture
def two(store: Store) -> Store:
    """A store with two runs, which have no records yet."""
    store.begin(invocation("two", day=2))
    return store


@pytest.fixture
def written(two: Store) -> Written:
    def write(
        of: str,
        factors: dict[str, float] | None = None,
        *,
        noise: float | None = None,
        rounds: int = ROUNDS,
        outcomes: Outcomes = lambda engine, number: "ok",  # noqa: ARG005
        change: Change = lambda _: {},
    ) -> None:
        generator = np.random.default_rng(list(of.encode()))
        write = Writer(two, of, lambda record: {"id": f"{of}-{record.id}", **change(record)})
        for number in range(1, rounds + 1):
            for engine in ENGINES:
                for fraction in FRACTIONS:
                    outcome = outcomes(engine, number)
                    factor = (factors or {}).get(engine, 1.0) * float(np.exp(generator.normal(0, 0.02)))
                    write(
                        case(engine, fraction, seed=number),
                        number,
                        seconds=10 * fraction * factor if outcome == "ok" else None,
                        outcome=outcome,
                        phase="fit" if outcome == "timeout" else None,
                        noise=noise if outcome == "ok" else None,
                    )

    return write


@pytest.fixture
def side(two: Store) -> Callable[[str], Side]:
    """Returns a run as a side of a comparison."""

    def of(run: str) -> Side:
        invocation = two.invocation(identity=run)
        return Side(f"run {run}", tuple(two.records(run)), Reader(two, {run: invocation}), thresholds=invocation.gate)

    return of


@pytest.fixture
def compared(side: Callable[[str], Side]) -> Compares:
    def of(base: str = "one", head: str = "two", **options: Any) -> Compared:
        return compare(side(base), side(head), **options)

    return of
