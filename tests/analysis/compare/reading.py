"""Reads a comparison and its report."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from sparkscale.analysis.blocks import Answer, Block, Grid, Heading, Warning
from sparkscale.analysis.questions.compare.compare import Compared
from sparkscale.analysis.questions.compare.report import report
from sparkscale.analysis.questions.compare.row import Row
from sparkscale.contract.record import Outcome, RunRecord
from tests.analysis.reading import printed

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


class Compares(Protocol):
    """Compares two runs."""

    def __call__(self, base: str = "one", head: str = "two", **options: Any) -> Compared: ...


def verdicts(of: Compared, metric: str = "time_to_model") -> dict[str, set[str]]:
    """The verdicts on each engine."""
    return {
        engine: {row.change for row in of.rows if (row.subject.engine, row.metric) == (engine, metric)}
        for engine in ENGINES
    }


def rows(of: Compared, metric: str) -> list[Row]:
    return [row for row in of.rows if row.metric == metric]


def answer(of: Compared) -> Answer:
    return next(block for block in report(of) if isinstance(block, Answer))


def warnings(of: Compared) -> list[str]:
    return [block.text for block in report(of) if isinstance(block, Warning)]


def not_compared(of: Compared) -> list[tuple[Any, ...]]:
    """The rows of the table of what is not compared."""
    grids = [block for block in report(of) if isinstance(block, Grid) and block.title == "What is not compared"]
    return list(grids[0].rows) if grids else []


def headings(blocks: Iterable[Block]) -> list[str]:
    return [block.text for block in blocks if isinstance(block, Heading) and block.level == 2]


def text(blocks: Any) -> str:
    return " ".join(printed(blocks, 220).split())
