"""Maps each pattern to its analysis. Each analysis has its own folder here, and an entry in PATTERNS."""

from typing import Any

from sparkscale.analysis.patterns.data_parallel import report as data_parallel
from sparkscale.analysis.patterns.data_parallel import scores
from sparkscale.analysis.patterns.inference import report as inference
from sparkscale.analysis.patterns.per_group import metrics as per_group_metrics
from sparkscale.analysis.patterns.per_group import report as per_group
from sparkscale.analysis.patterns.protocol import PatternAnalysis
from sparkscale.analysis.patterns.tuning import report as tuning
from sparkscale.contract.record import RunRecord

PATTERNS: dict[str, PatternAnalysis] = {
    "data_parallel": PatternAnalysis(data_parallel.reports, condensed=scores.condensed),
    "per_group": PatternAnalysis(per_group.reports, per_group_metrics.metrics, per_group.condensed),
    "tuning": PatternAnalysis(tuning.reports, condensed=tuning.condensed),
    "inference": PatternAnalysis(inference.reports),
}
"""The analysis of each pattern. The key is the pattern's `report`. A run's reports are shown in this order."""


def condensed(record: RunRecord, name: str, table: Any) -> tuple[str, Any] | None:
    """Returns what an archive stores in place of the table `name` of a record: a name and a table (pyarrow.Table).

    If reports need less than the whole table, a smaller table is returned. None if reports do not need the table.
    """
    pattern = PATTERNS.get(record.declared.report)
    return pattern.condensed(record, name, table) if pattern else (name, table)
