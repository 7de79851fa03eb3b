"""The perceptron: one model in every framework, in one process or in several ranks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cluster.session import SparkRuntime
from sparkscale.contract.context import Context
from sparkscale.contract.errors import DeviceError
from workloads.data_parallel import mlp, network
from workloads.data_parallel.pattern import labels, read_train
from workloads.io.filesystem import row_groups

SMALL = mlp.MlpParams(hidden=(16, 8), epochs=3, batch=256, iterations_per_epoch=7, target_log_loss=0.6)
FRACTION = 1 / 16
NOISE = 0.01
"""Of the log-loss, from one order of the batches to another."""

Runs = Callable[..., Context]


def trained(runs: Runs, engine: type[Any], spark: SparkRuntime | None = None, **changes: Any) -> tuple[Context, Any]:
    run = runs(mlp.WORKLOAD, engine, FRACTION, SMALL, spark=spark)
    for name, value in changes.items():
        setattr(run, name, value)
    made = engine()
    return run, made.fit(run, made.load(run))


def qualities(run: Context, engine: type[Any], model: Any) -> dict[str, float]:
    found = mlp.score(run, engine().predict(run, model))
    assert 0 < run.figures["seconds_to_log_loss"] < 600
    return found


def test_numpys_network_is_pytorchs(runs: Runs) -> None:
    run, model = trained(runs, mlp.Torch)
    rows = network.dense(run.data, read_train(run))[:1000]
    np.testing.assert_allclose(
        mlp.predicted(model.model, rows, "cpu"), network.probability(model.model, rows), atol=1e-5
    )


def test_ranks_share_rows_and_batches_evenly(runs: Runs) -> None:
    """Every row once, on whatever rank; every rank as many steps, though one has fewer rows, or none."""
    run = runs(mlp.WORKLOAD, mlp.Torch, FRACTION, SMALL)
    groups = row_groups(run.train_paths)
    table = read_train(run)
    for world in (1, 2, 3):
        parts = [network.own_rows(groups, run.data, rank, world) for rank in range(world)]
        np.testing.assert_array_equal(np.concatenate([label for _, label in parts]), labels(table))
        np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), network.dense(run.data, table))
        sizes = [len(label) for _, label in parts]
        assert max(sizes) - min(sizes) <= 1
    schedule = mlp.schedule(run)
    for rows in ([1000], [600, 599], [5, 0], [1, 1, 1], [100] * 33, [300, 301, 302, 303]):
        steps = [list(network.batches(rows, rank, schedule, 0)) for rank in range(len(rows))]
        assert {len(own) for own in steps} == {-(-sum(rows) // schedule.batch_size)}
        for own, count in zip(steps, rows, strict=True):
            assert sorted(np.concatenate([chosen for chosen, _ in own]).tolist()) == list(range(count))
        for step in zip(*steps, strict=True):
            assert 0 < sum(len(chosen) for chosen, _ in step) == step[0][1] <= schedule.batch_size


def test_parity_keras_and_torch(runs: Runs) -> None:
    run, model = trained(runs, mlp.Torch)
    other_run, other = trained(runs, mlp.Keras)
    assert len(other.epochs) == len(model.epochs) == SMALL.epochs
    ours, theirs = qualities(run, mlp.Torch, model), qualities(other_run, mlp.Keras, other)
    assert ours["log_loss"] == pytest.approx(theirs["log_loss"], abs=NOISE)
    assert ours["auc"] == pytest.approx(theirs["auc"], abs=0.02)


def test_parity_of_steps_of_keras_and_torch(runs: Runs) -> None:
    """With one batch of all rows there is no order: the models after it are the same, but for rounding that Adam
    makes a whole step of where a gradient is next to nothing.
    """
    params = SMALL.model_copy(update={"batch": 10**6, "epochs": 3})
    found = []
    for engine in (mlp.Torch, mlp.Keras):
        run = runs(mlp.WORKLOAD, engine, FRACTION, params)
        made: Any = engine()
        found.append(made.fit(run, made.load(run)).epochs)
    rows = network.dense(run.data, read_train(run))
    for ours, theirs in zip(*found, strict=True):
        apart = np.abs(network.probability(ours.layers, rows) - network.probability(theirs.layers, rows))
        assert np.quantile(apart, 0.999) < 1e-4
        assert apart.max() < 1e-3
    assert np.abs(found[0][0].layers[0][0] - found[0][2].layers[0][0]).max() > 1e-3


@pytest.mark.slow
@pytest.mark.spark
def test_parity_of_distributed_training(runs: Runs, spark: SparkRuntime) -> None:
    """One rank is the single process to float tolerance; two reach the same log-loss within noise."""
    run, single = trained(runs, mlp.Torch)
    _, one = trained(runs, mlp.DistributedTorch, spark, slots=1)
    for (kernel, bias), (other, other_bias) in zip(single.model, one.model, strict=True):
        np.testing.assert_allclose(kernel, other, atol=1e-4)
        np.testing.assert_allclose(bias, other_bias, atol=1e-4)
    two_run, two = trained(runs, mlp.DistributedTorch, spark)
    alone = qualities(run, mlp.Torch, single)
    together = qualities(two_run, mlp.DistributedTorch, two)
    assert together["log_loss"] == pytest.approx(alone["log_loss"], abs=NOISE)
    assert not np.array_equal(two.model[0][0], single.model[0][0])


@pytest.mark.slow
@pytest.mark.spark
def test_parity_of_two_ranks_with_one_batch_of_all_rows(runs: Runs, spark: SparkRuntime) -> None:
    """Averaged over ranks, gradients are those of the global batch, though their shares differ by a row."""
    params = SMALL.model_copy(update={"batch": 10**6, "epochs": 2})
    found = []
    for engine in (mlp.Torch, mlp.DistributedTorch):
        run = runs(mlp.WORKLOAD, engine, FRACTION, params, spark=spark)
        made: Any = engine()
        found.append(made.fit(run, made.load(run)).model)
    for (kernel, _), (other, _) in zip(*found, strict=True):
        np.testing.assert_allclose(kernel, other, atol=1e-4)


@pytest.mark.spark
def test_parity_of_mllibs_perceptron(runs: Runs, spark: SparkRuntime) -> None:
    """Another optimiser, declared: it learns, and not worlds away."""
    run, model = trained(runs, mlp.MLlibPerceptron, spark)
    torch_run, torch = trained(runs, mlp.Torch)
    found, other = qualities(run, mlp.MLlibPerceptron, model), qualities(torch_run, mlp.Torch, torch)
    assert found["auc"] > 0.6
    assert found["log_loss"] == pytest.approx(other["log_loss"], abs=0.05)


@pytest.mark.parametrize("engine", [mlp.Torch, mlp.Keras])
def test_a_gpu_that_is_not_there_is_no_cpu(runs: Runs, engine: type[Any]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    run = runs(mlp.WORKLOAD, engine, FRACTION, SMALL, device="gpu")
    made = engine()
    train = made.load(run)
    with pytest.raises(DeviceError, match="GPU"):
        made.fit(run, train)
