"""Doubts about a quality: the model is not better than a constant, or too good to be true."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from sparkscale.analysis import metrics
from sparkscale.contract.case import show_fraction
from sparkscale.contract.record import RunRecord


def quality_warning(record: RunRecord) -> str | None:
    """Why the quality of an ok record deserves doubt, as a sentence without its full stop. Returns None if nothing
    speaks against it.
    """
    quality = record.quality if record.outcome == "ok" else {}
    observed = [(one, quality[one.name]) for one in record.declared.qualities if one.name in quality]
    for one, value in observed:
        if one.at_least is not None and value <= one.at_least:
            return f"{one.title} {value:.3f} is no better than a constant prediction"
    for one, value in observed:
        if one.skill and quality.get(one.skill, 1.0) <= 0:
            return f"{one.title} {value:.4g} is no better than {one.constant}"
    for one, value in observed:
        if one.too_good is not None and value > one.too_good:
            return f"{one.title} {value:.6f} is suspiciously good: look for a leak"
    return None


def quality_warnings(records: Iterable[RunRecord]) -> Iterator[str]:
    """The warnings of the records of one table: a sentence for each engine and fraction that has one. It holds the
    first warning and, unless all executions have one, how many do.
    """
    executions: dict[str, list[str | None]] = defaultdict(list)
    for record in metrics.scored(list(records)):
        executions[f"{record.case.engine}, {show_fraction(record.case.fraction)}"].append(quality_warning(record))
    for subject, warnings in executions.items():
        told = [warning for warning in warnings if warning]
        if told:
            share = "" if len(told) == len(warnings) else f" (in {len(told)} of {len(warnings)} executions)"
            yield f"{subject}: {told[0]}{share}."
