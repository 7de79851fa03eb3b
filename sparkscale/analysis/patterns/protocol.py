"""The protocol of a pattern's analysis: comparisons, each with its answers and its tables."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from sparkscale.analysis.blocks import Answer, Block
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
        """Returns its conclusions, each in one or two sentences. Empty if there are none."""

    def blocks(self) -> Iterator[Block]:
        """Yields its tables, with the notes that a reader needs."""


Reports = Callable[[Store, Sequence[RunRecord]], Sequence[Comparison]]
"""A function from a store and the records of a run to the report of each comparison."""


@dataclass(frozen=True)
class PatternAnalysis:
    """The analysis of a pattern: its reports, and metrics for the patterns with the given names."""

    reports: Reports
    metrics: Callable[[tuple[str, ...]], tuple[Metric, ...]] = lambda patterns: ()  # noqa: ARG005
    condensed: Condense = lambda record, name, table: (name, table)  # noqa: ARG005
    """Returns the smallest table that is enough for the pattern's reports. Archives store it instead."""


def by_subject(
    report: str, records: Iterable[RunRecord], subject: Callable[[Case], str], variant: Callable[[Case], Variant]
) -> list[dict[Variant, list[RunRecord]]]:
    """Returns the records of a report: a dictionary for each subject, with the records of each variant.

    Subjects are in the order of the records. A variant begins with its engine's name. Variants are in the order in
    which the workload declares its engines, then ascending.
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
    """Returns a recommendation that rests on these margins. It is resolved if all of them are."""
    if all(margin.is_resolved for margin in margins):
        return Answer(text, "yes")
    return Answer(text, "not resolved", would_resolve="more rounds")


def with_evidence(answer: Answer, records: Sequence[RunRecord]) -> Answer:
    """Returns the answer with the ids of the records that it rests on."""
    return replace(answer, evidence=tuple(record.id for record in records))
