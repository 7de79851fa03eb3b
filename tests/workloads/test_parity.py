"""Engines of one workload are the same algorithm: tests that fail when a mapping is wrong."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from cluster.session import SparkRuntime
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import Moments, PreparedDataset
from sparkscale.contract.errors import InvalidResult
from tests.workloads.altering import changed, with_column
from workloads.base import Engine, Params, Sample, Workload
from workloads.data_parallel import feature_pipeline as pipeline
from workloads.data_parallel import gradient_boosting as boosting
from workloads.data_parallel import kmeans, knn, pca
from workloads.data_parallel import linear_regression as linear
from workloads.data_parallel import logistic_regression as logistic
from workloads.data_parallel import random_forest as forest
from workloads.data_parallel.pattern import labels, one_hot_matrix, read_train
from workloads.datasets.blobs import Blobs
from workloads.datasets.tabular import Classification, Regression
from workloads.libraries.tasks import Here
from workloads.quality.scoring import Scores, score_holdout

COEFFICIENT_TOLERANCE = 0.001
"""Of standardised or 0/1 features, so on the scale of log-odds."""

AUC_TOLERANCE = 0.02
FRACTION = 1 / 16


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
    quality = workload.quality.score(run, made.predict(run, model))
    return run, model, quality[workload.quality.judged_by[run.data.task]]


def objective(run: Context, weights: Any, intercept: float, c: float) -> float:
    """C · Σ log-loss + ½‖w‖² on the case's training rows."""
    table = read_train(run)
    margin = one_hot_matrix(run.data, table) @ weights + intercept
    sign = 2.0 * labels(table) - 1
    return float(c * np.logaddexp(0, -sign * margin).sum() + 0.5 * weights @ weights)


def test_parity_of_the_objective_that_is_recorded(runs: Callable[..., Context]) -> None:
    """Read row group by row group it is the formula's, over C and the rows."""
    run = runs(logistic.WORKLOAD, logistic.SklearnLogistic, 1 / 16, logistic.LogisticParams(C=0.5))
    engine = logistic.SklearnLogistic()
    model = engine.fit(run, engine.load(run))
    recorded = logistic.WORKLOAD.quality.score(run, engine.predict(run, model))["objective"]
    own = objective(run, model.coef_[0], model.intercept_[0], 0.5)
    assert recorded == pytest.approx(own / (0.5 * run.case.rows), rel=1e-9)


def test_parity_sgd_out_of_core(runs: Callable[..., Context]) -> None:
    """Passes over row groups come close to the minimum that L-BFGS finds, and more passes closer."""
    found = {}
    for epochs in (1, 10):
        params = logistic.LogisticParams(epochs=epochs)
        run = runs(logistic.WORKLOAD, logistic.SGD, 1 / 4, params)
        engine = logistic.SGD()
        found[epochs] = logistic.score(run, engine.predict(run, engine.fit(run, engine.load(run))))
    run = runs(logistic.WORKLOAD, logistic.SklearnLogistic, 1 / 4)
    exact = logistic.SklearnLogistic()
    best = logistic.score(run, exact.predict(run, exact.fit(run, exact.load(run))))
    assert best["objective"] < found[10]["objective"] < found[1]["objective"]
    assert found[10]["objective"] < best["objective"] * 1.02
    assert found[10]["auc"] == pytest.approx(best["auc"], abs=0.01)


def on_cpu(workload: Workload) -> list[type[Engine]]:
    return [engine for engine in workload.engines if "cpu" in engine.devices]


CONVERGED = {"max_iterations": 3000, "gradient_tolerance": 1e-8, "loss_tolerance": 1e-12}


@pytest.mark.slow
@pytest.mark.spark
def test_parity_logistic_regression_as_it_is_measured(runs: Callable[..., Context], spark: SparkRuntime) -> None:
    """Same objective within 1 %, same ranking. Coefficients along flat directions need more iterations: see below."""
    few = 1 / 64
    run, sklearn, sklearn_auc = fitted(runs, logistic.WORKLOAD, logistic.SklearnLogistic, spark, fraction=few)
    _, _, driver_auc = fitted(runs, logistic.WORKLOAD, logistic.SklearnDriver, spark, fraction=few)
    _, _, plain_auc = fitted(runs, logistic.WORKLOAD, logistic.MLlibPlain, spark, fraction=few)
    mllib_run, mllib, mllib_auc = fitted(runs, logistic.WORKLOAD, logistic.MLlibLogistic, spark, fraction=few)
    ours = objective(run, mllib.coefficients.toArray(), mllib.intercept, 1.0)
    theirs = objective(run, sklearn.coef_[0], sklearn.intercept_[0], 1.0)
    assert ours == pytest.approx(theirs, rel=0.01)
    assert mllib_auc == pytest.approx(sklearn_auc, abs=0.002)
    assert plain_auc == pytest.approx(mllib_auc, abs=1e-4)
    assert driver_auc == pytest.approx(sklearn_auc, abs=0.0005)
    assert 0 < mllib_run.figures["iterations"] <= logistic.LogisticParams().max_iterations


@pytest.mark.spark
@pytest.mark.parametrize("c", [1.0, 0.001])
def test_parity_logistic_regression_converged(
    runs: Callable[..., Context], spark: SparkRuntime, tmp_path: Path, c: float
) -> None:
    """Run to convergence, both find the same minimum: a wrong penalty, scale or intercept would move it.

    Few columns: on those of the flights this takes hundreds of steps.
    """
    data = Classification(rows=6000, features=10, categorical=4, levels=10, balance=0.2).prepare(
        str(tmp_path), Here()
    )
    params = logistic.LogisticParams.model_validate({"C": c, **CONVERGED})
    run, sklearn, _ = fitted(runs, logistic.WORKLOAD, logistic.SklearnLogistic, spark, params, 1, on=data)
    _, mllib, _ = fitted(runs, logistic.WORKLOAD, logistic.MLlibLogistic, spark, params, 1, on=data)
    ours, theirs = mllib.coefficients.toArray(), sklearn.coef_[0]
    np.testing.assert_allclose(ours, theirs, atol=COEFFICIENT_TOLERANCE)
    assert mllib.intercept == pytest.approx(sklearn.intercept_[0], abs=COEFFICIENT_TOLERANCE)
    reached = objective(run, ours, mllib.intercept, c)
    assert reached == pytest.approx(objective(run, theirs, sklearn.intercept_[0], c), rel=1e-6)


@pytest.mark.spark
def test_parity_gradient_boosting(runs: Callable[..., Context], spark: SparkRuntime) -> None:
    params = boosting.BoostingParams(trees=5, learning_rate=0.3)
    reached = {
        engine.name: fitted(runs, boosting.WORKLOAD, engine, spark, params)[2] for engine in on_cpu(boosting.WORKLOAD)
    }
    assert max(reached.values()) - min(reached.values()) < AUC_TOLERANCE, reached


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Synthetic, for its truth is known to be learnable: a regression."""
    return Regression(rows=20_000, features=10).prepare(str(tmp_path_factory.mktemp("regression")), Here())


@pytest.mark.spark
@pytest.mark.parametrize("alpha", [1.0, 3000.0])
def test_parity_ridge(
    runs: Callable[..., Context], spark: SparkRuntime, numbers: PreparedDataset, alpha: float
) -> None:
    """A penalty that moves the coefficients: one that forgot the label's deviation would move them elsewhere."""
    params = linear.RidgeParams(alpha=alpha, tolerance=1e-10)
    _, sklearn, rmse = fitted(runs, linear.WORKLOAD, linear.SklearnRidge, spark, params, 1, on=numbers)
    _, mllib, other = fitted(runs, linear.WORKLOAD, linear.MLlibRidge, spark, params, 1, on=numbers)
    np.testing.assert_allclose(mllib.coefficients.toArray(), sklearn.coef_, atol=COEFFICIENT_TOLERANCE)
    assert mllib.intercept == pytest.approx(sklearn.intercept_, abs=COEFFICIENT_TOLERANCE)
    assert other == pytest.approx(rmse, rel=1e-4)
    label = read_train(runs(linear.WORKLOAD, linear.SklearnRidge, 1, on=numbers)).column("label").to_numpy()
    assert abs(label.std() - 1) > 0.2, "a label of unit deviation could not tell the two mappings apart"


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return Blobs(rows=5000, features=5, clusters=6, box=4.0).prepare(str(tmp_path_factory.mktemp("blobs")), Here())


@pytest.mark.spark
def test_parity_kmeans(runs: Callable[..., Context], spark: SparkRuntime, clusters: PreparedDataset) -> None:
    """Best of the same number of seeds: both find the six blobs, so the same inertia on the hold-out."""
    params = kmeans.KMeansParams(clusters=6, seeds=2)
    ours, mllib, first = fitted(runs, kmeans.WORKLOAD, kmeans.MLlibKMeans, spark, params, 1, on=clusters)
    theirs, sklearn, second = fitted(runs, kmeans.WORKLOAD, kmeans.SklearnKMeans, spark, params, 1, on=clusters)
    assert first == pytest.approx(second, rel=0.001)
    assert ours.figures["training_inertia"] == pytest.approx(theirs.figures["training_inertia"], rel=0.001)
    found = np.array(mllib.clusterCenters())
    distance = np.linalg.norm(found[:, None] - sklearn.cluster_centers_, axis=2)
    assert distance.min(axis=1).max() < 0.01


@pytest.mark.spark
@pytest.mark.parametrize("tolerance", [0.1, pytest.param(0.003, marks=pytest.mark.slow)])
def test_parity_of_the_tolerance_of_kmeans(
    runs: Callable[..., Context], spark: SparkRuntime, tmp_path: Path, tolerance: float
) -> None:
    """On blobs that overlap Lloyd's steps become small slowly. Both libraries stop where the rule that they have in
    common says so: with MLlib's own 1e-4, or scikit-learn's tolerance unscaled, one would go on much longer.
    """
    overlapping = Blobs(rows=4000, features=4, clusters=12, box=1.0).prepare(str(tmp_path), Here())
    params = kmeans.KMeansParams(clusters=12, seeds=3, max_iterations=300, tolerance=tolerance)
    found = {}
    for engine in (kmeans.SklearnKMeans, kmeans.MLlibKMeans):
        run, _, _ = fitted(runs, kmeans.WORKLOAD, engine, spark, params, 1, on=overlapping)
        found[engine.name] = (run.figures["iterations"], run.figures["training_inertia"])
    assert found["mllib"][1] == pytest.approx(found["sklearn"][1], rel=0.03)
    assert found["mllib"][0] < 4 * found["sklearn"][0] + 8, found
    if tolerance == 0.003:
        assert min(iterations for iterations, _ in found.values()) > 3, found


@pytest.mark.spark
def test_parity_of_the_leaves_of_a_forest(
    runs: Callable[..., Context], spark: SparkRuntime, numbers: PreparedDataset
) -> None:
    """Depth and least leaf hold in every library's trees, and are reached: a parameter that got lost would show."""
    params = forest.ForestParams(trees=5, depth=6, min_leaf_rows=400)
    depths, leaves = {}, {}
    _, model, _ = fitted(runs, forest.WORKLOAD, forest.SklearnForest, spark, params, 1, on=numbers)
    trees = [tree.tree_ for tree in model.estimators_]
    depths["sklearn"] = max(tree.max_depth for tree in trees)
    leaves["sklearn"] = min(tree.weighted_n_node_samples[tree.children_left < 0].min() for tree in trees)
    _, model, _ = fitted(runs, forest.WORKLOAD, forest.XGBoostForest, spark, params, 1, on=numbers)
    nodes = model.trees_to_dataframe()
    ends = nodes[nodes["Feature"] == "Leaf"]
    depths["xgboost"] = max(line.count("\t") for tree in model.get_dump() for line in tree.splitlines())
    leaves["xgboost"] = ends["Cover"].min()
    _, model, _ = fitted(runs, forest.WORKLOAD, forest.MLlibForest, spark, params, 1, on=numbers)
    depths["mllib"] = max(tree.depth for tree in model.trees)
    assert depths == {"sklearn": 6, "xgboost": 6, "mllib": 6}
    assert all(400 <= least < 1200 for least in leaves.values()), leaves
    assert len(model.trees) == len(trees) == nodes["Tree"].nunique() == 5
    assert model.getMinInstancesPerNode() == params.min_leaf_rows


@pytest.mark.spark
def test_parity_pca(runs: Callable[..., Context], spark: SparkRuntime) -> None:
    """The same subspace, axis by axis, and the same rows rebuilt: an uncentred projection would not be."""
    params = pca.PcaParams(components=5)
    _, sklearn, first = fitted(runs, pca.WORKLOAD, pca.SklearnPCA, spark, params)
    _, mllib, second = fitted(runs, pca.WORKLOAD, pca.MLlibPCA, spark, params)
    assert second == pytest.approx(first, abs=1e-6)
    assert subspace_angles(mllib.axes, sklearn.components_.T).max() < 1e-6
    cosines = np.abs((mllib.axes.T * sklearn.components_).sum(axis=1))
    assert cosines.min() > 1 - 1e-9
    np.testing.assert_allclose(mllib.mean, sklearn.mean_, atol=1e-9)


@pytest.mark.slow
@pytest.mark.spark
def test_parity_feature_pipeline(runs: Callable[..., Context], spark: SparkRuntime) -> None:
    """The same matrix, cell by cell, with missing cells and unseen categories in the hold-out."""
    found, shares = {}, {}
    for engine in on_cpu(pipeline.WORKLOAD):
        run = runs(pipeline.WORKLOAD, engine, 1 / 64, spark=spark)
        made: Any = engine()
        matrix = made.predict(run, made.fit(run, made.load(run)))
        shares[engine.name] = pipeline.score(run, matrix)[pipeline.WORKLOAD.quality.judged_by[run.data.task]]
        found[engine.name] = matrix.cells[np.argsort(matrix.row)]
    np.testing.assert_allclose(found["mllib"], found["sklearn"], rtol=1 / run.case.rows, atol=1e-9)
    assert shares["mllib"] == pytest.approx(shares["sklearn"], abs=1e-4)
    raw = pipeline.raw_frame(run, [run.data.holdout_path], holdout=True)
    for name in pipeline.Parts.of(run.data).one_hot:
        assert (raw[name] == pipeline.UNSEEN).mean() > 0.04
        assert raw[name].isna().mean() > 0.04
    assert raw["temp"].isna().mean() > 0.04


@pytest.mark.spark
def test_parity_knn(runs: Callable[..., Context], spark: SparkRuntime, tmp_path: Path) -> None:
    """Exact engines agree exactly; hashing finds some of the neighbours, and says how many."""
    data = Classification(rows=5000, features=8).prepare(str(tmp_path), Here())
    params = knn.KnnParams(queries=50)
    found = {}
    for engine in on_cpu(knn.WORKLOAD):
        run = runs(knn.WORKLOAD, engine, 1, params, spark=spark, on=data)
        made: Any = engine()
        neighbours = made.predict(run, made.fit(run, made.load(run)))
        found[engine.name] = (neighbours, knn.score(run, neighbours))
    exact, qualities = found["sklearn"]
    other, others = found["spark-brute"]
    np.testing.assert_array_equal(other.row, exact.row)
    assert qualities == others
    assert qualities["recall"] == 1
    assert 0.1 < found["mllib-lsh"][1]["recall"] < 1
    for wrong in (np.where(exact.row == exact.row[0, 0], 10**9, exact.row), np.repeat(exact.row[:, :1], 10, axis=1)):
        with pytest.raises(InvalidResult, match="neighbour"):
            knn.score(run, dataclasses.replace(exact, row=wrong))


FOREST = forest.ForestParams(trees=40, depth=6, features_share=0.6)


@pytest.mark.spark
def test_parity_random_forest(runs: Callable[..., Context], spark: SparkRuntime) -> None:
    params = FOREST.model_copy(update={"trees": 20})
    reached = {
        engine.name: fitted(runs, forest.WORKLOAD, engine, spark, params, 1 / 64)[2]
        for engine in on_cpu(forest.WORKLOAD)
    }
    assert max(reached.values()) - min(reached.values()) < 0.01, reached


@pytest.mark.spark
def test_parity_random_forest_regression(
    runs: Callable[..., Context], spark: SparkRuntime, numbers: PreparedDataset
) -> None:
    reached = {
        engine.name: fitted(runs, forest.WORKLOAD, engine, spark, FOREST, 1, on=numbers)[2]
        for engine in on_cpu(forest.WORKLOAD)
    }
    assert max(reached.values()) / min(reached.values()) < 1.03, reached


@pytest.mark.parametrize("share", [0.1, 0.34, 0.4])
def test_parity_of_the_features_per_split(share: float) -> None:
    params = forest.ForestParams(features_share=share)
    sample = Sample("regression", 1000, 11)
    few = params.features_per_split(sample)
    assert forest.SklearnForest().arguments(params, sample)["max_features"] == few
    assert forest.MLlibForest().arguments(params, sample)["featureSubsetStrategy"] == str(few)
    assert int(forest.XGBoostForest().arguments(params, sample)["colsample_bynode"] * sample.features) == few


@pytest.mark.spark
def test_parity_of_one_regression_tree(
    runs: Callable[..., Context], spark: SparkRuntime, numbers: PreparedDataset
) -> None:
    params = boosting.BoostingParams(trees=1, learning_rate=1.0, l2=0.0, depth=5)
    reached = {
        engine.name: fitted(runs, boosting.WORKLOAD, engine, spark, params, 1, on=numbers)[2]
        for engine in on_cpu(boosting.WORKLOAD)
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
        for engine in on_cpu(boosting.WORKLOAD)
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


def constant_hessian(hessian: float) -> Callable[[Any, Any], tuple[Any, Any]]:
    """The log-loss for XGBoost, with the same Hessian for every row: its leaves are MLlib's then."""

    def gradients(margin: Any, train: Any) -> tuple[Any, Any]:
        residual = 1 / (1 + np.exp(-margin)) - train.get_label()
        return residual, np.full(len(margin), hessian)

    return gradients


@pytest.mark.spark
@pytest.mark.parametrize("balance", [0.5, 0.05])
@pytest.mark.parametrize("trees", [1, 8])
def test_parity_of_the_step_of_mllib_in_classification(
    runs: Callable[..., Context], spark: SparkRuntime, tmp_path: Path, balance: float, trees: int
) -> None:
    """MLlib against XGBoost made to do the same: a first tree from P = 1/2 that is not shrunk, then steps of
    rate/(p·(1 − p)) with p the base rate. MLlib's own step of 8·rate would go twice as far on balanced labels, and
    two fifths as far at 5 % positives.
    """
    import xgboost

    source = Classification(rows=12_000, features=9, categorical=8, levels=24, balance=balance, noise=0.0)
    data = source.prepare(str(tmp_path / "cache"), Here())
    # codes alone are left, which fall into the same bins everywhere
    on = changed(data, tmp_path / "changed", with_column("informative_000", 0.0))
    rate = 0.3
    params = boosting.BoostingParams(trees=trees, learning_rate=rate, l2=0.0, depth=4)
    run = runs(boosting.WORKLOAD, boosting.MLlibGBT, 1, params, spark=spark, on=on)
    mllib = boosting.MLlibGBT()
    reached = score_holdout(run, mllib.predict(run, mllib.fit(run, mllib.load(run))))["log_loss"]

    run = runs(boosting.WORKLOAD, boosting.XGBoost, 1, params, on=on)
    engine = boosting.XGBoost()
    train = engine.load(run)
    base_rate = float(train.get_label().mean())
    assert base_rate == pytest.approx(balance, rel=0.15)
    least_rows = params.min_child_rows("classification")
    words = {"max_depth": 4, "max_bin": 64, "reg_lambda": 0.0, "base_score": 0.0, "objective": "reg:squarederror"}

    def after(step: float) -> float:
        """The log-loss of trees whose leaves move the log-odds by step·mean(y − P), but for the first."""
        first = {**words, "learning_rate": 1.0, "min_child_weight": least_rows / 4}
        model = xgboost.train(first, train, num_boost_round=1, obj=constant_hessian(1 / 4))
        if trees > 1:
            further = {**words, "learning_rate": step, "min_child_weight": least_rows}
            model = xgboost.train(further, train, trees - 1, obj=constant_hessian(1.0), xgb_model=model)
        found = engine.predict(run, model)
        return score_holdout(run, Scores(found.row, 1 / (1 + np.exp(-found.score))))["log_loss"]

    same = after(rate / (base_rate * (1 - base_rate)))
    assert reached == pytest.approx(same, rel=1e-4)
    if trees > 1:
        unscaled = after(8 * rate)
        assert unscaled != pytest.approx(same, rel=1e-3), "else a wrong step could not be told from the right one"


@pytest.mark.parametrize(
    ("positives", "rate", "wanted"), [(0.5, 0.1, 0.05), (0.05, 0.1, 0.2632), (0.001, 0.1, 1.0), (0.0, 0.3, 1.0)]
)
def test_the_step_of_mllib_is_one_at_most(positives: float, rate: float, wanted: float) -> None:
    """MLlib refuses a larger one. A sample of one class has a step, too: it is refused later, with the reason."""
    labels = Moments(rows=1000, mean=positives, squares=1000 * positives * (1 - positives))
    assert boosting.mllib_step(rate, Sample("classification", 1000, 5, labels=labels)) == pytest.approx(
        wanted, rel=1e-3
    )
