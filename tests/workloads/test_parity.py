"""Engines of one workload are the same algorithm: tests that fail when a mapping is wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cluster.session import SparkRuntime
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import PreparedDataset
from workloads.base import Engine, Params, Workload
from workloads.data_parallel import gradient_boosting as boosting
from workloads.data_parallel import logistic_regression as logistic
from workloads.data_parallel.pattern import labels, one_hot_matrix, read_train
from workloads.datasets.tabular import Regression
from workloads.scoring import score_holdout
from workloads.tasks import Here

COEFFICIENT_TOLERANCE = 0.001
"""Of standardised or 0/1 features, so on the scale of log-odds."""

AUC_TOLERANCE = 0.02
FRACTION = 1 / 4


def fitted(
    runs: Callable[..., Context],
    workload: Workload,
    engine: type[Engine],
    spark: SparkRuntime,
    params: Params | None = None,
    fraction: float = FRACTION,
    **options: Any,
) -> tuple[Context, Any, float]:
    """The context, the model and its AUC (RMSE)."""
    run = runs(workload, engine, fraction, params, spark=spark, **options)
    made: Any = engine()
    model = made.fit(run, made.load(run))
    quality = score_holdout(run, made.predict(run, model))
    return run, model, quality["auc" if run.data.task == "classification" else "rmse"]


def objective(run: Context, weights: Any, intercept: float, c: float) -> float:
    """C · Σ log-loss + ½‖w‖² on the case's training rows."""
    table = read_train(run)
    margin = one_hot_matrix(run.data, table) @ weights + intercept
    sign = 2.0 * labels(table) - 1
    return float(c * np.logaddexp(0, -sign * margin).sum() + 0.5 * weights @ weights)


CONVERGED = {"max_iterations": 3000, "gradient_tolerance": 1e-8, "loss_tolerance": 1e-12}


@pytest.mark.spark
def test_parity_logistic_regression_as_it_is_measured(runs: Callable[..., Context], spark: SparkRuntime) -> None:
    """Same objective within 1 %, same ranking. Coefficients along flat directions need more iterations: see below."""
    run, sklearn, sklearn_auc = fitted(runs, logistic.WORKLOAD, logistic.SklearnLogistic, spark)
    _, _, driver_auc = fitted(runs, logistic.WORKLOAD, logistic.SklearnDriver, spark)
    mllib_run, mllib, mllib_auc = fitted(runs, logistic.WORKLOAD, logistic.MLlibLogistic, spark)
    ours = objective(run, mllib.coefficients.toArray(), mllib.intercept, 1.0)
    theirs = objective(run, sklearn.coef_[0], sklearn.intercept_[0], 1.0)
    assert ours == pytest.approx(theirs, rel=0.01)
    assert mllib_auc == pytest.approx(sklearn_auc, abs=0.002)
    assert driver_auc == pytest.approx(sklearn_auc, abs=0.0005)
    assert 0 < mllib_run.figures["iterations"] <= logistic.LogisticParams().max_iterations


@pytest.mark.spark
@pytest.mark.parametrize("c", [1.0, 0.001])
def test_parity_logistic_regression_converged(runs: Callable[..., Context], spark: SparkRuntime, c: float) -> None:
    """Run to convergence, both find the same minimum: a wrong penalty, scale or intercept would move it."""
    params = logistic.LogisticParams.model_validate({"C": c, **CONVERGED})
    run, sklearn, _ = fitted(runs, logistic.WORKLOAD, logistic.SklearnLogistic, spark, params, 1 / 16)
    _, mllib, _ = fitted(runs, logistic.WORKLOAD, logistic.MLlibLogistic, spark, params, 1 / 16)
    ours, theirs = mllib.coefficients.toArray(), sklearn.coef_[0]
    np.testing.assert_allclose(ours, theirs, atol=COEFFICIENT_TOLERANCE)
    assert mllib.intercept == pytest.approx(sklearn.intercept_[0], abs=COEFFICIENT_TOLERANCE)
    reached = objective(run, ours, mllib.intercept, c)
    assert reached == pytest.approx(objective(run, theirs, sklearn.intercept_[0], c), rel=1e-6)


@pytest.mark.spark
def test_parity_gradient_boosting(runs: Callable[..., Context], spark: SparkRuntime) -> None:
    params = boosting.BoostingParams(trees=10, learning_rate=0.3)
    reached = {
        engine.name: fitted(runs, boosting.WORKLOAD, engine, spark, params)[2] for engine in boosting.WORKLOAD.engines
    }
    assert max(reached.values()) - min(reached.values()) < AUC_TOLERANCE, reached


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Synthetic, for its truth is known to be learnable: a regression."""
    return Regression(rows=20_000, features=10).prepare(str(tmp_path_factory.mktemp("regression")), Here())


@pytest.mark.spark
def test_parity_of_one_regression_tree(
    runs: Callable[..., Context], spark: SparkRuntime, numbers: PreparedDataset
) -> None:
    params = boosting.BoostingParams(trees=1, learning_rate=1.0, l2=0.0, depth=5)
    reached = {
        engine.name: fitted(runs, boosting.WORKLOAD, engine, spark, params, 1, on=numbers)[2]
        for engine in boosting.WORKLOAD.engines
    }
    assert max(reached.values()) / min(reached.values()) < 1.04, reached


@pytest.mark.spark
def test_parity_gradient_boosting_regression(
    runs: Callable[..., Context], spark: SparkRuntime, numbers: PreparedDataset
) -> None:
    """MLlib does not shrink its first tree; XGBoost made to do the same comes close. Twice the step would not."""
    import xgboost

    params = boosting.BoostingParams(trees=8, learning_rate=0.15, l2=0.0, depth=5)
    reached = {
        engine.name: fitted(runs, boosting.WORKLOAD, engine, spark, params, 1, on=numbers)
        for engine in boosting.WORKLOAD.engines
    }
    mllib = reached.pop("mllib")[2]
    found = [quality for _, _, quality in reached.values()]
    assert max(found) / min(found) < 1.03, found

    run: Context = reached["xgboost"][0]
    engine = boosting.XGBoost()
    train = engine.load(run)
    words = {"max_depth": 5, "max_bin": 64, "reg_lambda": 0.0, "seed": 0}

    def after(step: float) -> float:
        first = xgboost.train({**words, "learning_rate": 1.0}, train, num_boost_round=1)
        model = xgboost.train({**words, "learning_rate": step}, train, num_boost_round=7, xgb_model=first)
        return score_holdout(run, engine.predict(run, model))["rmse"]

    assert mllib == pytest.approx(after(0.15), rel=0.04)
    assert abs(mllib - after(0.15)) < abs(mllib - after(0.3)) / 3
