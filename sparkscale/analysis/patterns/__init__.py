"""What each pattern compares: one folder for each, and one line in REPORTS."""

from sparkscale.analysis.patterns.data_parallel.report import tradeoffs
from sparkscale.analysis.patterns.inference.report import predictions
from sparkscale.analysis.patterns.per_group.report import trainings
from sparkscale.analysis.patterns.protocol import Comparisons
from sparkscale.analysis.patterns.tuning.report import searches

REPORTS: dict[str, Comparisons] = {
    "data_parallel": tradeoffs,
    "per_group": trainings,
    "tuning": searches,
    "inference": predictions,
}
"""By the `report` that patterns declare; reports are shown in this order."""
