"""How results are judged: the quality that decides whether a sample is enough, and how it is shown."""

from collections.abc import Callable
from dataclasses import dataclass

from sparkscale.analysis.clustered import ClusteredAuc, ClusteredQuality, ClusteredRatio
from sparkscale.analysis.crossed import LOG, LOGIT, PLAIN, Scale
from sparkscale.analysis.statistics import Array
from sparkscale.contract.case import Case
from workloads import registry


@dataclass(frozen=True)
class Judging:
    """`given_up` is what a part gives up against a whole, of floats or of arrays of bootstrap replicates; positive is
    worse. A sample is enough when it gives up no more than `tolerance`.
    """

    key: str
    """The quality in a record that it judges by."""
    name: str
    of: Callable[[Array, Array, Array], ClusteredQuality]
    """From unit, label and score, all of shape (rows,)."""
    given_up: Callable[[float | Array, float | Array], float | Array]
    tolerance: float
    within: str
    """The tolerance in words."""
    show: Callable[[float], str]
    show_given_up: Callable[[float], str]
    second: str
    """Another quality that tables show, and its key in a record."""
    second_key: str
    scale: Scale = PLAIN
    """On which the interval of the quality itself is symmetric."""
    truth: str = ""
    """What reaches the ceiling, where data sets know it."""


JUDGINGS: dict[str, Judging] = {
    "auc": Judging(
        key="auc",
        name="AUC",
        of=ClusteredAuc.of,
        given_up=lambda whole, part: whole - part,
        tolerance=0.005,
        within="an AUC within 0.005",
        show=lambda value: f"{value:.4f}",
        show_given_up=lambda value: f"{value:+.4f}",
        second="log-loss",
        second_key="log_loss",
        scale=LOGIT,
        truth="the true probabilities",
    ),
    "rmse": Judging(
        key="rmse",
        name="RMSE",
        of=ClusteredRatio.rmse,
        given_up=lambda whole, part: (part - whole) / whole,
        tolerance=0.01,
        within="an RMSE within 1 %",
        show=lambda value: f"{value:.4g}",
        show_given_up=lambda value: f"{value:+.2%}",
        second="R²",
        second_key="r2",
        scale=LOG,
        truth="the true expectations",
    ),
    "inertia": Judging(
        key="inertia",
        name="inertia",
        of=ClusteredRatio.mean_score,
        given_up=lambda whole, part: (part - whole) / whole,
        tolerance=0.01,
        within="an inertia within 1 %",
        show=lambda value: f"{value:.4g}",
        show_given_up=lambda value: f"{value:+.2%}",
        second="variance explained",
        second_key="variance_explained",
        scale=LOG,
    ),
    "variance_explained": Judging(
        key="variance_explained",
        name="variance explained",
        of=ClusteredRatio.explained,
        given_up=lambda whole, part: whole - part,
        tolerance=0.005,
        within="a share of variance explained within 0.005",
        show=lambda value: f"{value:.4f}",
        show_given_up=lambda value: f"{value:+.4f}",
        second="variance explained",
        second_key="variance_explained",
    ),
    "accuracy": Judging(
        key="accuracy",
        name="accuracy",
        of=ClusteredRatio.accuracy,
        given_up=lambda whole, part: whole - part,
        tolerance=0.01,
        within="an accuracy within 0.01",
        show=lambda value: f"{value:.4f}",
        show_given_up=lambda value: f"{value:+.4f}",
        second="recall",
        second_key="recall",
        scale=LOGIT,
    ),
    "kept_cells": Judging(
        key="kept_cells",
        name="cells kept",
        of=ClusteredRatio.mean_score,
        given_up=lambda whole, part: whole - part,
        tolerance=0.005,
        within="a share of cells kept within 0.5 %",
        show=lambda value: f"{value:.2%}",
        show_given_up=lambda value: f"{value:+.2%}",
        second="rows kept whole",
        second_key="kept_rows",
    ),
}
"""By the names that workloads give their qualities."""


def judging_of(case: Case) -> Judging:
    """How the case's workload is judged on the case's task."""
    return JUDGINGS[registry.workloads()[case.workload].quality.judged_by[case.task]]
