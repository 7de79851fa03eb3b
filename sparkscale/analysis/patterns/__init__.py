"""The reports of patterns: one folder for each, and one line in REPORTS."""

from sparkscale.analysis.patterns.data_parallel import report as data_parallel
from sparkscale.analysis.patterns.inference import report as inference
from sparkscale.analysis.patterns.per_group import report as per_group
from sparkscale.analysis.patterns.protocol import Reports
from sparkscale.analysis.patterns.tuning import report as tuning

REPORTS: dict[str, Reports] = {
    "data_parallel": data_parallel.reports,
    "per_group": per_group.reports,
    "tuning": tuning.reports,
    "inference": inference.reports,
}
"""By the `report` that patterns declare; a run's reports come in this order."""
