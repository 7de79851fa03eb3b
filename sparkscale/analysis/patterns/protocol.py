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
    """Engines that do the same work on the same rows."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters that all cases share which are compared."""

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
    condensed: Condense = lambda record, name, table: (name, table)  # noqa: ARG005
    """The smallest table that its reports need in place of a stored one."""


def by_subject(
    report: str, records: Iterable[RunRecord], subject: Callable[[Case], str], variant: Callable[[Case], Variant]
) -> list[dict[Variant, list[RunRecord]]]:
    """The records of a report, by what is compared and by the ways that are compared.

    Subjects are in the order of the records. A way begins with its engine's name; ways are in the order in which the
    workload declares its engines, then ascending.
    """
    found: dict[str, dict[Variant, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in of_report(report, records):
        found[subject(record.case)][variant(record.case)].append(record)
    ordered = []
    for variants in found.values():
        declared = next(iter(variants.values()))[0].declared
        ordered.append(
            {one: variants[one] for one in sorted(variants, key=lambda one: (declared.position(str(one[0])), *one))}
        )
    return ordered


def recommended(text: str, margins: Sequence[Margin]) -> Answer:
    """A recommendation that rests on these margins: it is resolved if all of them are."""
    if all(margin.is_resolved for margin in margins):
        return Answer(text, "yes")
    return Answer(text, "not resolved", would_resolve="more rounds")


def with_evidence(answer: Answer, records: Sequence[RunRecord]) -> Answer:
    """The answer with the ids of the records that it rests on."""
    return replace(answer, evidence=tuple(record.id for record in records))
