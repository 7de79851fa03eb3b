"""The protocol of a pattern's analysis: comparisons, each with its answers and its tables."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sparkscale.analysis.blocks import Answer, Block, Verdict
from sparkscale.analysis.executions import of_report
from sparkscale.analysis.metrics import Metric
from sparkscale.contract.case import Case
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store

Way = TypeVar("Way", bound=tuple[object, ...])


class Comparison(Protocol):
    """Engines that do the same work on the same rows."""

    @property
    def case(self) -> Case:
        """One of the cases that are compared."""

    @property
    def subject(self) -> str:
        """What is compared, in one line."""

    def answers(self) -> list[Answer]:
        """Its conclusions, each in a sentence or two; empty if there are none."""

    def blocks(self) -> Iterator[Block]:
        """Its tables, with what a reader must know of them."""


Reports = Callable[[Store, Sequence[RunRecord]], Sequence[Comparison]]
"""From a store and the records of a run to the report of each comparison."""


@dataclass(frozen=True)
class PatternAnalysis:
    """What is known of a pattern beside its declarations: its reports, and metrics for patterns of these names."""

    reports: Reports
    metrics: Callable[[tuple[str, ...]], tuple[Metric, ...]] = lambda patterns: ()  # noqa: ARG005


def by_subject(
    report: str, records: Iterable[RunRecord], subject: Callable[[Case], str], way: Callable[[Case], Way]
) -> list[dict[Way, list[RunRecord]]]:
    """The records of a report, by what is compared and by the ways that are compared.

    Subjects are in the order of the records. A way begins with its engine's name; ways are in the order in which the
    workload declares its engines, then ascending.
    """
    found: dict[str, dict[Way, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in of_report(report, records):
        found[subject(record.case)][way(record.case)].append(record)
    ordered = []
    for ways in found.values():
        declared = next(iter(ways.values()))[0].declared
        ordered.append(
            {one: ways[one] for one in sorted(ways, key=lambda one: (declared.position(str(one[0])), *one))}
        )
    return ordered


def advised(text: str, records: Sequence[RunRecord]) -> list[Answer]:
    """A sentence of advice as an answer; none if it is empty. The sentence itself says what is not resolved."""
    if not text:
        return []
    open_ = any(words in text for words in ("not resolved", "nothing says", "No engine", "not every round"))
    verdict: Verdict = "not resolved" if open_ else "yes"
    more = "more rounds" if "not resolved" in text else ""
    return [Answer(text, verdict, tuple(record.id for record in records), more)]
