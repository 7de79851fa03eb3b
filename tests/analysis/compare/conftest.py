"""Two runs of the same cases, which tests change."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import pytest

from sparkscale.analysis.conditions import Reader
from sparkscale.analysis.questions.compare.side import Side
from sparkscale.contract.record import Outcome, RunRecord
from sparkscale.store.store import Store
from tests.builders import Writer, case, invocation

ENGINES = ("sklearn", "xgboost", "mllib")
FRACTIONS = (1 / 4, 1.0)
ROUNDS = 8
Change = Callable[[RunRecord], dict[str, Any]]
Outcomes = Callable[[str, int], Outcome]


class Written(Protocol):
    """Writes a run: each engine takes about 10 s times its factor, with a noise of 2 %.

    `outcomes` returns the outcome of an engine in a round, and `change` what is different in a record.
    """

    def __call__(
        self,
        of: str,
        factors: dict[str, float] | None = None,
        *,
        noise: float | None = None,
        rounds: int = ROUNDS,
        outcomes: Outcomes = ...,
        change: Change = ...,
    ) -> None: ...


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


@contextmanager
def _sides(store: Store) -> Iterator[Callable[[str], Side]]:
    yield lambda run: Side(
        f"run {run}",
        tuple(store.records(run)),
        Reader(store, {run: store.invocation(identity=run)}),
        thresholds=store.invocation(identity=run).gate,
    )


@pytest.fixture
def side(two: Store) -> Iterator[Callable[[str], Side]]:
    """Returns a run as a side of a comparison."""
    with _sides(two) as made:
        yield made
