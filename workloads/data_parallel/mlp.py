"""A multilayer perceptron on one-hot features: PyTorch and Keras on one node, DDP and MLlib on Spark.

DDP is PyTorch's DistributedDataParallel. PyTorch, Keras and DDP train the same architecture from the same initial
weights. They use Adam with the same global batch, for the same number of epochs. `seconds_to_log_loss` is the time
from the beginning of `load` until the hold-out's log-loss first reached `target_log_loss`. These log-losses are
computed after all clocks have stopped.
"""

import os
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from sparkscale.contract.case import Capacity
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW, PreparedDataset
from sparkscale.contract.declared import Figure
from sparkscale.contract.errors import DeviceError, EngineUnsupported
from sparkscale.contract.phrases import count
from workloads.base import (
    CPU_AND_GPU,
    CUDA_NAMES,
    SPARK_CONTEXT,
    NodeEngine,
    Params,
    Quality,
    Sample,
    SparkEngine,
    Workload,
)
from workloads.data_parallel.network import (
    ROWS_AT_ONCE,
    Epoch,
    Layers,
    Schedule,
    dense,
    initial,
    network,
    one_hot_width,
    probability,
    train,
    train_rank,
)
from workloads.data_parallel.one_hot import MLlibOneHot
from workloads.data_parallel.pattern import DATA_PARALLEL, FEATURES, InMemory, MLlibEstimator, labels, read_holdout
from workloads.io.filesystem import RowGroup, read_parquet, row_groups
from workloads.libraries.tasks import SparkTasks, ranks_of
from workloads.libraries.torch_processes import run_distributed
from workloads.quality.qualities import AUC, BY_AUC, LOG_LOSS, SKILL
from workloads.quality.scoring import Array, Scores, check_classes, log_loss, score_holdout


class MlpParams(Params):
    """The parameters of the network: layers of `hidden` units with ReLU, and one output.

    `batch` is the number of rows in a global batch, which contains rows of all ranks.
    """

    hidden: tuple[int, ...] = (64, 32)
    epochs: int = 5
    batch: int = 1024
    learning_rate: float = 0.001
    epsilon: float = 1e-8
    iterations_per_epoch: int = 20
    """The number of L-BFGS steps that `mllib` makes for each epoch of the other engines. `mllib` itself has no
    epochs."""
    ranks: int = Field(default=0, ge=0)
    """The number of processes of `torch-distributor`; 0 means as many as Spark has slots."""
    target_log_loss: float = 0.5


@dataclass(frozen=True)
class Loaded:
    """The result of `load`, and the moment when `load` began, in seconds of time.time()."""

    began: float
    rows: Any


@dataclass(frozen=True)
class Trained:
    """A model, the time when its `load` began, and its epochs. With `mllib`, all training counts as one epoch."""

    model: Any
    began: float
    epochs: list[Epoch]


@dataclass(frozen=True)
class NetworkScores(Scores):
    """Predictions, and the training of the model that made them."""

    trained: Trained


def score(run: Context, scores: NetworkScores) -> dict[str, float]:
    """Returns the AUC and the log-loss on the hold-out, and adds two figures.

    `seconds_per_epoch` is the median over the epochs after the first, because the first one warms up.
    `seconds_to_log_loss` is added only if the target was reached.
    """
    qualities = score_holdout(run, scores)
    ends = [epoch.ended for epoch in scores.trained.epochs]
    if len(ends) > 1:
        run.figure("seconds_per_epoch", float(np.median(np.diff(ends))))
    target = run.case.params.get("target_log_loss")
    ended = None if target is None else _target_reached(run, scores.trained.epochs, target, qualities["log_loss"])
    if ended is not None:
        run.figure("seconds_to_log_loss", ended - scores.trained.began)
    return qualities


def _target_reached(run: Context, epochs: list[Epoch], target: float, last_loss: float) -> float | None:
    """Returns the time when the hold-out's log-loss first reached `target`; None if it did not reach it.

    `last_loss` is the log-loss of the final model. Only this loss is used if the weights of epochs are not known.
    """
    if epochs[-1].layers is None:
        return epochs[-1].ended if last_loss <= target else None
    table = read_parquet([run.data.holdout_path], [LABEL, *run.data.features])
    matrix, label = dense(run.data, table), labels(table)
    losses = ((epoch.ended, log_loss(label, probability(epoch.layers, matrix))) for epoch in epochs if epoch.layers)
    return next((ended for ended, loss in losses if loss <= target), None)


def schedule(run: Context) -> Schedule:
    """Returns the arguments of a training with PyTorch."""
    arguments = run.arguments
    return Schedule(
        arguments["epochs"],
        arguments["batch_size"],
        arguments["lr"],
        arguments["eps"],
        run.case.model_seed,
        CUDA_NAMES[run.case.device],
        run.case.known_threads,
    )


def first_layers(run: Context) -> Layers:
    """Returns the initial weights, which are the same for every framework."""
    return initial([one_hot_width(run.data), *run.arguments["hidden"], 1], run.case.model_seed)


def torch_arguments(params: MlpParams) -> dict[str, Any]:
    """Returns the arguments of Adam, the architecture, the global batch and the number of epochs."""
    return {
        "hidden": params.hidden,
        "lr": params.learning_rate,
        "eps": params.epsilon,
        "batch_size": params.batch,
        "epochs": params.epochs,
    }


HIDDEN = MlpParams().hidden
TORCH_DEFAULTS = {"hidden": HIDDEN, "lr": 1e-3, "eps": 1e-8, "batch_size": 32, "epochs": 1}
"""The defaults of PyTorch's Adam. PyTorch has no defaults for the batch and the epochs, so Keras's defaults are
used. The architecture is the workload's own."""


class Torch(InMemory):
    """PyTorch in one process, with all rows in memory.

    Differs: divides the rows evenly among the steps of an epoch, while Keras fills every batch except the last.
    """

    name = "torch"
    devices = CPU_AND_GPU
    defaults = TORCH_DEFAULTS

    def arguments(self, params: MlpParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return torch_arguments(params)

    def load(self, run: Context) -> Loaded:
        began = time.time()
        loaded: Loaded = super().load(run)
        return replace(loaded, began=began)

    def prepared(self, run: Context, table: pa.Table) -> Loaded:
        return Loaded(time.time(), (dense(run.data, table), labels(table).astype(np.float32)))

    def fit(self, run: Context, train_rows: Loaded) -> Trained:
        features, label = train_rows.rows
        epochs = train(features, label, first_layers(run), schedule(run), [len(label)])
        return Trained(epochs[-1].layers, train_rows.began, epochs)

    def predict(self, run: Context, model: Trained) -> NetworkScores:
        scores = super().predict(run, model)
        return NetworkScores(scores.row, scores.score, model)

    def scored(self, run: Context, model: Trained, table: pa.Table) -> Array:
        return predicted(model.model, dense(run.data, table), CUDA_NAMES[run.case.device])


def predicted(layers: Layers, rows: Array, device: str) -> Array:
    """Returns P(label = 1), computed by PyTorch; shape (rows,)."""
    return probabilities(network(layers).to(device), rows, device)


def probabilities(model: Any, rows: Array, device: str) -> Array:
    """Returns P(label = 1), computed by a torch.nn.Sequential that is on this device; shape (rows,)."""
    import torch

    with torch.inference_mode():
        logit = model(torch.from_numpy(rows).to(device))
        values: Array = torch.sigmoid(logit[:, 0]).cpu().numpy()
    return values


class Keras(NodeEngine):
    """Keras 3 with its PyTorch backend, with all rows in memory.

    Differs: draws its batches in another random order than `torch`.
    """

    name = "keras"
    devices = CPU_AND_GPU
    defaults = {"hidden": HIDDEN, "learning_rate": 1e-3, "epsilon": 1e-7, "batch_size": 32, "epochs": 1}

    def arguments(self, params: MlpParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {
            "hidden": params.hidden,
            "learning_rate": params.learning_rate,
            "epsilon": params.epsilon,
            "batch_size": params.batch,
            "epochs": params.epochs,
        }

    def load(self, run: Context) -> Loaded:
        return Torch().load(run)

    def fit(self, run: Context, train_rows: Loaded) -> Trained:
        keras = keras_on_torch(run)
        arguments = run.arguments
        layers = first_layers(run)
        features, label = train_rows.rows
        epochs: list[Epoch] = []
        keras.utils.set_random_seed(run.case.model_seed)
        with keras.device(CUDA_NAMES[run.case.device]):
            hidden = [keras.layers.Dense(width, activation="relu") for width in arguments["hidden"]]
            model = keras.Sequential([keras.Input((features.shape[1],)), *hidden, keras.layers.Dense(1)])
            model.set_weights([array for layer in layers for array in layer])
            model.compile(
                keras.optimizers.Adam(arguments["learning_rate"], epsilon=arguments["epsilon"]),
                keras.losses.BinaryCrossentropy(from_logits=True),
            )

            def record_epoch(*_: Any) -> None:
                arrays = [variable.value.detach().cpu().numpy().copy() for variable in model.weights]
                epochs.append(Epoch(time.time(), list(zip(arrays[::2], arrays[1::2], strict=True))))

            model.fit(
                features,
                label,
                batch_size=arguments["batch_size"],
                epochs=arguments["epochs"],
                verbose=0,
                callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=record_epoch)],
            )
        used_device = model.weights[0].value.device.type
        if used_device != CUDA_NAMES[run.case.device]:
            raise DeviceError(f"Keras trained on '{used_device}', not on {run.case.device}.")
        return Trained(model, train_rows.began, epochs)

    def predict(self, run: Context, model: Trained) -> NetworkScores:
        keras = keras_on_torch(run)
        table = read_holdout(run)
        with keras.device(CUDA_NAMES[run.case.device]):
            logit = model.model.predict(dense(run.data, table), batch_size=ROWS_AT_ONCE, verbose=0)[:, 0]
        return NetworkScores(table.column(ROW).to_numpy(), 1 / (1 + np.exp(-logit)), model)


def keras_on_torch(run: Context) -> Any:
    """Returns the module keras, with its PyTorch backend and the case's number of threads.

    Raises DeviceError if CUDA is needed and PyTorch cannot use it, or if another backend was loaded before.
    """
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch

    if keras.backend.backend() != "torch":
        raise DeviceError(f"Keras runs on {keras.backend.backend()}, not on torch.")
    if run.case.device == "gpu" and not torch.cuda.is_available():
        raise DeviceError("Keras was to train on a GPU, but PyTorch finds no GPU that it can use.")
    torch.set_num_threads(run.case.known_threads)
    return keras


class DistributedTorch(SparkEngine):
    """PyTorch's DistributedDataParallel in barrier tasks (TorchDistributor), with one rank per core or per GPU.

    Each rank reads its own equal share of the rows, so `load` only lists the row groups and `fit` reads them. `fit`
    also includes the start of the processes and their imports.

    Differs: each rank draws its part of a batch from its own rows only.
    """

    name = "torch-distributor"
    keeps_processes = True
    starts_processes = True
    devices = CPU_AND_GPU
    needs = frozenset({SPARK_CONTEXT})
    defaults = TORCH_DEFAULTS

    def arguments(self, params: MlpParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return torch_arguments(params)

    def load(self, run: Context) -> Loaded:
        began = time.time()
        return Loaded(began, row_groups(run.train_paths))

    def fit(self, run: Context, train_rows: Loaded) -> Trained:
        epochs: list[Epoch] = run_distributed(
            run.spark,
            train_rank,
            train_rows.rows,
            run.data,
            first_layers(run),
            schedule(run),
            processes=self._ranks(run),
            use_gpu=run.case.device == "gpu",
        )
        # the times come from another host's clock, so only their differences can be used
        if run.case.cluster_kind == "external":
            clock_difference = time.time() - epochs[-1].ended
            epochs = [Epoch(epoch.ended + clock_difference, epoch.layers) for epoch in epochs]
        return Trained(epochs[-1].layers, train_rows.began, epochs)

    def _ranks(self, run: Context) -> int:
        """Returns the number of ranks.

        Raises EngineUnsupported if there are more ranks than Spark can run at once, because a barrier stage would
        wait for ever. Also raises it if there are more ranks than rows in the global batch.
        """
        slots = ranks_of(run)
        ranks = int(run.case.params.get("ranks", 0) or slots)
        if ranks > slots:
            raise EngineUnsupported(f"{ranks} ranks are too many: Spark has {count(slots, 'slot')}.")
        if ranks > run.arguments["batch_size"]:
            raise EngineUnsupported(
                f"{ranks} ranks are too many: the global batch has {run.arguments['batch_size']} rows."
            )
        return ranks

    def predict(self, run: Context, model: Trained) -> NetworkScores:
        """Predicts in Spark tasks, on CPUs, because one pass over the hold-out is too little work for a GPU."""
        part = partial(predicted_group, layers=model.model, data=run.data)
        predictions = SparkTasks(run.spark, run.cores).map(part, row_groups([run.data.holdout_path]))
        row, probabilities = (np.concatenate(column) for column in zip(*predictions, strict=True))
        return NetworkScores(row, probabilities, model)


def predicted_group(group: RowGroup, layers: Layers, data: PreparedDataset) -> tuple[Array, Array]:
    """Returns the row ids and the predicted probabilities of one row group."""
    table = group.read([ROW, *data.features])
    return table.column(ROW).to_numpy(), predicted(layers, dense(data, table), "cpu")


class MLlibPerceptron(MLlibEstimator, MLlibOneHot):
    """pyspark.ml's MultilayerPerceptronClassifier.

    Differs: uses sigmoid units, a softmax of two outputs, and its own initial weights. It trains by L-BFGS on all
    rows, with `iterations_per_epoch` steps for each epoch of the other engines. So compare the quality that it
    reaches and the time that it needs. It reports no epochs, so its seconds to the target are those of the whole
    training. They are an upper limit.
    """

    name = "mllib"
    defaults = {"hidden": HIDDEN, "maxIter": 100, "tol": 1e-6, "solver": "l-bfgs", "blockSize": 128}

    def arguments(self, params: MlpParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {
            "hidden": params.hidden,
            "maxIter": params.iterations_per_epoch * params.epochs,
            "tol": 1e-6,
            "solver": "l-bfgs",
            "blockSize": 128,
        }

    def load(self, run: Context) -> Loaded:
        began = time.time()
        return Loaded(began, super().load(run))

    def made(self, run: Context) -> Any:
        from pyspark.ml.classification import MultilayerPerceptronClassifier

        arguments = run.arguments
        layers = [one_hot_width(run.data), *arguments.pop("hidden"), 2]
        return MultilayerPerceptronClassifier(
            featuresCol=FEATURES, labelCol=LABEL, layers=layers, seed=run.case.model_seed, **arguments
        )

    def frame(self, rows: Loaded) -> Any:
        return rows.rows

    def finished(self, model: Any, rows: Loaded) -> Trained:
        return Trained(model, rows.began, [Epoch(time.time(), None)])

    def predict(self, run: Context, model: Trained) -> NetworkScores:
        scores = super().predict(run, model.model)
        return NetworkScores(scores.row, scores.score, model)


WORKLOAD = Workload(
    name="data_parallel.mlp",
    summary="A multilayer perceptron on one-hot features, one model",
    pattern=DATA_PARALLEL,
    quality=Quality(
        score,
        {"classification": BY_AUC},
        (AUC, LOG_LOSS, SKILL),
        ("log_loss", "seconds_to_log_loss", "seconds_per_epoch"),
        check_classes,
    ),
    figures=(
        Figure(
            name="seconds_to_log_loss",
            unit="s",
            direction="lower",
            heading="s to\ntarget_log_loss",
            summary="seconds from the start of load to the target log-loss",
            metric=True,
        ),
        Figure(
            name="seconds_per_epoch",
            unit="s",
            direction="lower",
            heading="s per epoch\nafter the first",
            summary="median seconds of an epoch, the first not counted",
            metric=True,
        ),
    ),
    params=MlpParams(),
    engines=(Torch, Keras, DistributedTorch, MLlibPerceptron),
    capacity=Capacity(param="epochs", least=1, most=64),
    version=2,  # in version 1 `fit` of `tuned` made the split
)
