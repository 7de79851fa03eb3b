"""Warnings about a quality: the model is no better than a constant, or too good to be true."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from sparkscale.analysis import metrics
from sparkscale.contract.case import show_fraction
from sparkscale.contract.record import RunRecord


def quality_warning(record: RunRecord) -> str | None:
    """Returns a warning if the quality of an ok record is doubtful, as a sentence without a full stop.

    None if the quality is not doubtful.
    """
    quality = record.quality if record.outcome == "ok" else {}
    observed = [
        (declared, quality[declared.name]) for declared in record.declared.qualities if declared.name in quality
    ]
    for declared, value in observed:
        if declared.at_least is not None and value <= declared.at_least:
            return f"{declared.title} {value:.3f} is no better than a constant prediction"
    for declared, value in observed:
        if declared.skill and quality.get(declared.skill, 1.0) <= 0:
            return f"{declared.title} {value:.4g} is no better than {declared.constant}"
    for declared, value in observed:
        if declared.too_good is not None and value > declared.too_good:
            return f"{declared.title} {value:.6f} is suspiciously good: look for a leak"
    return None


def quality_warnings(records: Iterable[RunRecord]) -> Iterator[str]:
    """Yields a sentence for each engine and fraction with a doubtful quality.

    The sentence contains the first warning. It also says how many executions have a warning, unless all have one.
    """
    executions: dict[str, list[str | None]] = defaultdict(list)
    for record in metrics.scored(list(records)):
        executions[f"{record.engine}, {show_fraction(record.case.fraction)}"].append(quality_warning(record))
    for subject, warnings in executions.items():
        messages = [warning for warning in warnings if warning]
        if messages:
            share = "" if len(messages) == len(warnings) else f" (in {len(messages)} of {len(warnings)} executions)"
            yield f"{subject}: {messages[0]}{share}."
