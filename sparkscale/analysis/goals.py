"""Ratios of two measured cases, round by round, against the goals that sparkscale sets itself."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sparkscale.analysis import metrics
from sparkscale.analysis.statistics import FEWEST_ROUNDS, Spread, at_most
from sparkscale.contract.case import Case
from sparkscale.contract.record import RunRecord
from sparkscale.contract.wording import count

Chosen = Callable[[Case], bool]


@dataclass(frozen=True)
class Ratio:
    """`upper` over `lower`, or their difference, of a metric; without `lower` the metric itself. `goal` is the most,
    or the least, that it may be; None: told beside the goals.
    """

    name: str
    metric: str
    upper: Chosen
    lower: Chosen | None
    kind: Literal["ratio", "difference"]
    goal: float | None
    bound: Literal["most", "least"]

    def of(self, records: Sequence[RunRecord]) -> list[float]:
        """One for each round that has both, on the largest fraction that both were measured on."""
        metric = metrics.of_records(records).get(self.metric)
        return [self._value(a, b) for a, b in self._pairs(records, metric.samples)] if metric else []

    def unequal(self, records: Sequence[RunRecord]) -> bool:
        """Whether the sides made different numbers of models of groups in some round: less work is no speed."""
        return any(one != other for one, other in self._pairs(records, _models))

    def _pairs(self, records: Sequence[RunRecord], samples: metrics.Samples) -> list[tuple[float, float]]:
        """Both sides' samples, by round, on the largest fraction that both were measured on."""
        upper = self._by_fraction(records, self.upper, samples)
        lower = self._by_fraction(records, self.lower, samples) if self.lower else upper
        both = upper.keys() & lower.keys()
        largest = max((fraction for fraction, _ in both), default=0.0)
        return [(upper[key], lower[key]) for key in sorted(both) if key[0] == largest]

    def _turned(self, value: float) -> float:
        """The value, or for a goal that is the least a value that falls as it rises."""
        if self.bound == "most":
            return value
        return 1 / value if self.kind == "ratio" else -value

    def _value(self, upper: float, lower: float) -> float:
        if self.lower is None:
            return upper
        return upper / lower if self.kind == "ratio" else upper - lower

    def _by_fraction(
        self, records: Sequence[RunRecord], chosen: Chosen, samples: metrics.Samples
    ) -> dict[tuple[float, int], float]:
        """By fraction and round."""
        measured = (((r.case.fraction, r.round), samples([r])) for r in records if not r.isolated and chosen(r.case))
        return {key: found[0] for key, found in measured if found}

    def lost(self, records: Sequence[RunRecord]) -> int:
        """How many executions of either side ended without a time: the rounds that are left may be the quick ones."""
        return sum(
            not record.isolated
            and not record.is_warmup
            and record.outcome not in ("ok", "unsupported")
            and any(chosen(record.case) for chosen in (self.upper, self.lower) if chosen)
            for record in metrics.latest(records)
        )

    def verdict(self, samples: Sequence[float], lost: int = 0, unequal: bool = False, goals: int = 1) -> str:
        """ "met" or "missed", where the whole interval says so for this number of goals together, and rounds are
        enough for one; else "not resolved", as where executions were lost, or did not make as many models. Empty
        without a goal.
        """
        if not samples:
            return "not measured"
        if self.goal is None:
            return ""
        if lost:
            return f"not resolved: {count(lost, 'execution')} without a time"
        if unequal:
            return "not resolved: not the same number of models"
        if len(samples) < FEWEST_ROUNDS:
            return f"not resolved: {count(len(samples), 'round')}, and {FEWEST_ROUNDS} are the least"
        met = at_most([*map(self._turned, samples)], self._turned(self.goal), goals, self.kind == "ratio")
        return "not resolved" if met is None else "met" if met else "missed"


def _models(records: Sequence[RunRecord]) -> list[float]:
    return [record.figures["models"] for record in metrics.timed(records) if "models" in record.figures]


def _case(name: str, engine: str, **params: int) -> Chosen:
    return lambda case: (
        (case.workload, case.engine) == (name, engine)
        and all(case.params.get(key) == value for key, value in params.items())
    )


RIDGE, BOOSTING = "per_group.ridge", "per_group.gradient_boosting"


def _faster(workload: str, engine: str, than: str, goal: float, with_layout: bool = False) -> Ratio:
    """How many times as fast one engine of groups is as another, at least `goal`."""
    counted = "layout + load + fit" if with_layout else "load + fit"
    return Ratio(
        f"{workload}: `{counted}` of `{than}` over `{engine}`'s",
        "time_with_layout" if with_layout else "time_to_model",
        _case(workload, than),
        _case(workload, engine),
        "ratio",
        goal,
        "least",
    )


TUNED = "tuning.gradient_boosting"
LONG, FEW, MANY = {"trials": 24}, {"trials": 12}, {"trials": 400}
"""The suite's blocks: trials of two seconds; a dozen small ones; as many small ones as a JVM needs to be warm."""


def _more_trials(
    engine: str, block: dict[str, int], than: str, other: str, goal: float | None = None, **told: int
) -> Ratio:
    """How many times the trials per second of another engine, told so, one makes, in this block of the suite."""
    return Ratio(
        f"{TUNED}: trials per second of `{engine}` over {than}",
        "trials_per_second",
        _case(TUNED, engine, **block),
        _case(TUNED, other, **block, **told),
        "ratio",
        goal,
        "least",
    )


BOOSTED, FOREST = "inference.boosting", "inference.forest"


def _more_rows(workload: str, engine: str, than: str, other: str, goal: float, threads: int = 0) -> Ratio:
    """How many times the rows per second of another engine, told so, one makes, at least `goal`."""
    return Ratio(
        f"{workload}: rows per second of `{engine}` over {than}",
        "rows_per_second",
        _case(workload, engine, threads=0),
        _case(workload, other, threads=threads),
        "ratio",
        goal,
        "least",
    )


RATIOS: dict[str, tuple[Ratio, ...]] = {
    "data-parallel-speed": (
        Ratio(
            "MLlib's logistic regression: time to model of `mllib` over `mllib-plain`",
            "time_to_model",
            _case("data_parallel.logistic_regression", "mllib"),
            _case("data_parallel.logistic_regression", "mllib-plain"),
            "ratio",
            0.75,
            "most",
        ),
        Ratio(
            "XGBoost: seconds that `xgboost-spark` takes longer than `xgboost`",
            "time_to_model",
            _case("data_parallel.gradient_boosting", "xgboost-spark"),
            _case("data_parallel.gradient_boosting", "xgboost"),
            "difference",
            4.0,
            "most",
        ),
        Ratio(
            "DDP: seconds of an epoch of one rank over those of two",
            "seconds_per_epoch",
            _case("data_parallel.mlp", "torch-distributor", ranks=1),
            _case("data_parallel.mlp", "torch-distributor", ranks=2),
            "ratio",
            1.5,
            "least",
        ),
    ),
    "per-group-speed": (
        _faster(RIDGE, "parquet-groups", "apply-in-pandas", 10),
        _faster(RIDGE, "parquet-groups", "joblib", 1.5),
        _faster(RIDGE, "parquet-groups", "apply-in-pandas", 3, with_layout=True),
        _faster(RIDGE, "parquet-groups", "joblib", 1, with_layout=True),
        _faster(RIDGE, "apply-in-arrow", "apply-in-pandas", 4),
        *(
            Ratio(
                f"{BOOSTING}: models per second of `{engine}` over `joblib`'s",
                "models_per_second",
                _case(BOOSTING, engine),
                _case(BOOSTING, "joblib"),
                "ratio",
                0.85,
                "least",
            )
            for engine in ("apply-in-pandas", "parquet-groups")
        ),
    ),
    "inference-speed": (
        _more_rows(BOOSTED, "parquet-map", "`joblib`", "joblib", 0.9),
        _more_rows(BOOSTED, "parquet-map", "`single-process` on one thread", "single-process", 1.6, threads=1),
        _more_rows(BOOSTED, "parquet-map", "`map-in-arrow`", "map-in-arrow", 1.8),
        _more_rows(FOREST, "pandas-udf-iterator", "`pandas-udf`", "pandas-udf", 3),
    ),
    "tuning-speed": (
        Ratio(
            f"{TUNED}: seconds in which `optuna-spark` dispatches a trial",
            "dispatch_seconds_median",
            _case(TUNED, "optuna-spark", **MANY),
            None,
            "difference",
            0.06,
            "most",
        ),
        _more_trials(
            "optuna-spark", LONG, "the same trials one by one on one thread", "optuna-joblib", 1.7, parallelism=1
        ),
        _more_trials("optuna-spark", LONG, "`hyperopt`, one by one on all cores", "hyperopt"),
        _more_trials("hyperopt-sparktrials", FEW, "`hyperopt`, a dozen small trials", "hyperopt"),
        _more_trials("optuna-spark", FEW, "`hyperopt-sparktrials`, a dozen small trials", "hyperopt-sparktrials"),
    ),
}
"""By the suites that measure them."""


def by_cluster(suite: str, records: Iterable[RunRecord]) -> dict[str, list[RunRecord]]:
    """The records of a suite that has ratios, cluster by cluster."""
    found: dict[str, list[RunRecord]] = {}
    for record in records if suite in RATIOS else ():
        found.setdefault(record.case.cluster, []).append(record)
    return found


def breakdown(records: Iterable[RunRecord]) -> dict[str, Spread]:
    """Where the seconds of xgboost.spark's `fit` went, by its figures."""
    names = ("starting", "importing", "waiting", "transferring", "training", "returning")
    counted = metrics.timed(list(records))
    samples = {
        name: [r.figures[f"seconds_{name}"] for r in counted if f"seconds_{name}" in r.figures] for name in names
    }
    spreads = {name: Spread.of(found) for name, found in samples.items()}
    return {name: spread for name, spread in spreads.items() if spread}
