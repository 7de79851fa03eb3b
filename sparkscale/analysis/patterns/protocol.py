"""The protocol of a pattern's analysis: comparisons, each with its answers and its tables."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from sparkscale.analysis.blocks import Answer, Block, Chart
from sparkscale.analysis.executions import Margin, of_report
from sparkscale.analysis.metrics import Metric
from sparkscale.contract.case import Case
from sparkscale.contract.record import RunRecord
from sparkscale.store.archive import Condense
from sparkscale.store.store import Store

Variant = TypeVar("Variant", bound=tuple[object, ...])


class Comparison(Protocol):
    """The comparison of engines that do the same work on the same rows."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters that all compared cases share."""

    @property
    def subject(self) -> str:
        """The subject of the comparison, in one line."""

    def answers(self) -> list[Answer]:
        """Returns the answers that the comparison gives. Empty if there are none."""

    @property
    def cluster(self) -> str:
        """The cluster of all compared cases. Empty if they ran on several."""

    @property
    def cases(self) -> Iterable[Case]:
        """Cases that the comparison is about. Their failures are listed below its tables. Empty to list none."""

    def charts(self) -> Iterator[Chart]:
        """Yields the charts of the comparison. The report leaves out empty ones."""

    def blocks(self) -> Iterator[Block]:
        """Yields the tables of the comparison, with the notes that a reader needs."""


Reports = Callable[[Store, Sequence[RunRecord]], Sequence[Comparison]]
"""A function that takes a store and the records of a run. It returns the report of each comparison."""


@dataclass(frozen=True)
class PatternAnalysis:
    """The analysis of a pattern.

    `reports` makes the report of each comparison. `metrics` takes the names of patterns, and returns the metrics
    that only these patterns have.
    """

    reports: Reports
    metrics: Callable[[tuple[str, ...]], tuple[Metric, ...]] = lambda patterns: ()  # noqa: ARG005
    condensed: Condense = lambda record, name, table: (name, table)  # noqa: ARG005
    """Returns the name and the table that an archive stores in place of a record's table: only what reports need.

    None if reports do not need the table. The default leaves tables unchanged.
    """


def by_subject(
    report: str, records: Iterable[RunRecord], subject: Callable[[Case], str], variant: Callable[[Case], Variant]
) -> list[dict[Variant, list[RunRecord]]]:
    """Returns the records of a report by subject. Each dictionary maps the variants of a subject to their records.

    A subject is what engines are compared on, such as a workload on a sample of a data set. `subject` returns its key
    for a case, and `variant` returns a tuple that begins with the engine's name. Subjects are in the order of the
    records. Variants are in the order in which the workload declares its engines. Variants of one engine are in
    ascending order.
    """
    by_key: dict[str, dict[Variant, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in of_report(report, records):
        by_key[subject(record.case)][variant(record.case)].append(record)
    ordered = []
    for variants in by_key.values():
        declared = next(iter(variants.values()))[0].declared
        ordered.append(
            {key: variants[key] for key in sorted(variants, key=lambda key: (declared.position(str(key[0])), *key))}
        )
    return ordered


def recommended(text: str, margins: Sequence[Margin]) -> Answer:
    """Returns the recommendation `text` as an answer.

    The recommendation rests on `margins`: each is the advantage of one engine over another. The answer is resolved
    if all these advantages are significant.
    """
    if all(margin.is_resolved for margin in margins):
        return Answer(text, "yes")
    return Answer(text, "not resolved", would_resolve="more rounds")


def with_evidence(answer: Answer, records: Sequence[RunRecord]) -> Answer:
    """Returns the answer with the ids of the records that support it."""
    return replace(answer, evidence=tuple(record.id for record in records))
