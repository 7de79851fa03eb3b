"""The analysis of patterns: one folder for each, and one line in PATTERNS."""

from sparkscale.analysis.patterns.data_parallel import report as data_parallel
from sparkscale.analysis.patterns.inference import report as inference
from sparkscale.analysis.patterns.per_group import metrics as per_group_metrics
from sparkscale.analysis.patterns.per_group import report as per_group
from sparkscale.analysis.patterns.protocol import PatternAnalysis
from sparkscale.analysis.patterns.tuning import report as tuning

PATTERNS: dict[str, PatternAnalysis] = {
    "data_parallel": PatternAnalysis(data_parallel.reports),
    "per_group": PatternAnalysis(per_group.reports, per_group_metrics.metrics),
    "tuning": PatternAnalysis(tuning.reports),
    "inference": PatternAnalysis(inference.reports),
}
"""By the `report` that patterns declare; a run's reports come in this order."""
