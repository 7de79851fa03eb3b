"""Data-parallel training for asv: time to model and AUC loss per engine and fraction.

One process per benchmark would mean one JVM per figure, so `setup_cache` measures the whole suite once and the
benchmarks only read what it found.
"""

from pathlib import Path
from statistics import median
from typing import Any

from sparkscale.analysis.metrics import metrics
from sparkscale.contract.case import digest, show_fraction
from sparkscale.measure import plan, suite
from sparkscale.measure.progress import observer
from sparkscale.measure.run import Request, measure

SUITE = "asv"
RESULTS = Path(__file__).resolve().parents[1] / "results"
METRICS = ("time_to_model", "auc_loss")

Figures = dict[tuple[str, str, str], float]

CASES = plan.cases(suite.load(SUITE))


def _engine(workload: str, engine: str) -> str:
    """What a person calls an engine among those of all workloads: gradient_boosting/xgboost."""
    return f"{workload.split('.', 1)[1]}/{engine}"


class DataParallel:
    """Parameters are engine × fraction of `flights`."""

    params: tuple[list[str], list[str]] = (
        list(dict.fromkeys(_engine(case.workload.name, case.engine.name) for case in CASES)),
        [show_fraction(fraction) for fraction in sorted({case.fraction for case in CASES})],
    )
    param_names = ("engine", "fraction")
    timeout = 3600.0
    number = 1
    repeat = 1
    rounds = 1
    warmup_time = 0.0
    version = digest(
        [
            sorted({(case.workload.name, case.workload.version, str(case.params)) for case in CASES}),
            [(name, metrics()[name].version) for name in METRICS],
        ]
    )

    def setup_cache(self) -> Figures:
        """Measures the suite; medians by metric, engine and fraction. A case that is not ok has no entry."""
        finished = measure(Request(suite=SUITE, out=RESULTS), observer)
        by_case: dict[tuple[str, str], list[Any]] = {}
        for record in finished.records:
            case = record.case
            key = _engine(case.workload, case.engine), show_fraction(case.fraction)
            by_case.setdefault(key, []).append(record)
        return {
            (name, *key): median(samples)
            for key, records in by_case.items()
            for name in METRICS
            if (samples := metrics()[name].samples(records))
        }

    setup_cache.timeout = 3600.0  # type: ignore[attr-defined]

    def track_time_to_model(self, figures: Figures, engine: str, fraction: str) -> float:
        """Seconds of load + fit."""
        return figures.get(("time_to_model", engine, fraction), float("nan"))

    track_time_to_model.unit = "seconds"  # type: ignore[attr-defined]
    track_time_to_model.pretty_name = "Time to model"  # type: ignore[attr-defined]

    def track_auc_loss(self, figures: Figures, engine: str, fraction: str) -> float:
        """One minus the AUC on the hold-out."""
        return figures.get(("auc_loss", engine, fraction), float("nan"))

    track_auc_loss.unit = "1 - AUC"  # type: ignore[attr-defined]
    track_auc_loss.pretty_name = "AUC loss"  # type: ignore[attr-defined]
