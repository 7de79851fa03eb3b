"""Engines of one workload are the same algorithm: tests that fail when a mapping is wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cluster.session import SparkRuntime
from sparkscale.contract.context import Context
from workloads.base import Engine, Params, Workload
from workloads.data_parallel import gradient_boosting as boosting
from workloads.data_parallel import logistic_regression as logistic
from workloads.data_parallel.pattern import labels, one_hot_matrix, read_train
from workloads.scoring import score_holdout

COEFFICIENT_TOLERANCE = 0.05
"""Of standardised or 0/1 features, so on the scale of log-odds. The objective is flat along rare categories."""

AUC_TOLERANCE = 0.02
FRACTION = 1 / 4


def fitted(
    runs: Callable[..., Context],
    workload: Workload,
    engine: type[Engine],
    spark: SparkRuntime,
    params: Params | None = None,
) -> tuple[Context, Any, float]:
    """The context, the model and its AUC."""
    run = runs(workload, engine, FRACTION, params, spark=spark)
    made: Any = engine()
    model = made.fit(run, made.load(run))
    return run, model, score_holdout(run, made.predict(run, model))["auc"]


def objective(run: Context, weights: Any, intercept: float, c: float) -> float:
    """C · Σ log-loss + ½‖w‖² on the case's training rows."""
    table = read_train(run)
    margin = one_hot_matrix(run.data, table) @ weights + intercept
    sign = 2.0 * labels(table) - 1
    return float(c * np.logaddexp(0, -sign * margin).sum() + 0.5 * weights @ weights)


@pytest.mark.spark
@pytest.mark.parametrize("c", [1.0, 0.001])
def test_parity_logistic_regression(runs: Callable[..., Context], spark: SparkRuntime, c: float) -> None:
    """With the strong penalty (C = 0.001) a wrong mapping of it moves every coefficient."""
    params = logistic.LogisticParams(C=c)
    run, sklearn, sklearn_auc = fitted(runs, logistic.WORKLOAD, logistic.SklearnLogistic, spark, params)
    _, driver, driver_auc = fitted(runs, logistic.WORKLOAD, logistic.SklearnDriver, spark, params)
    mllib_run, mllib, mllib_auc = fitted(runs, logistic.WORKLOAD, logistic.MLlibLogistic, spark, params)

    ours = mllib.coefficients.toArray()
    theirs = sklearn.coef_[0]
    reached = objective(run, ours, mllib.intercept, c), objective(run, theirs, sklearn.intercept_[0], c)
    assert reached[0] == pytest.approx(reached[1], rel=0.01)
    np.testing.assert_allclose(ours, theirs, atol=COEFFICIENT_TOLERANCE)
    np.testing.assert_allclose(driver.coef_[0], theirs, atol=COEFFICIENT_TOLERANCE)
    assert mllib_auc == pytest.approx(sklearn_auc, abs=0.002)
    assert driver_auc == pytest.approx(sklearn_auc, abs=0.0005)
    assert 0 < mllib_run.figures["iterations"] <= params.max_iterations


@pytest.mark.spark
def test_parity_gradient_boosting(runs: Callable[..., Context], spark: SparkRuntime) -> None:
    params = boosting.BoostingParams(trees=10, learning_rate=0.3)
    reached = {
        engine.name: fitted(runs, boosting.WORKLOAD, engine, spark, params)[2] for engine in boosting.WORKLOAD.engines
    }
    assert max(reached.values()) - min(reached.values()) < AUC_TOLERANCE, reached
