"""A fully connected network as NumPy arrays, and its training with PyTorch, in one process or in several ranks.

Every framework starts from the same arrays and returns its weights as arrays. So models can be compared and scored
without the framework that trained them. This module needs no Spark session and no context, so that it also runs in
barrier tasks.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from sparkscale.contract.dataset import LABEL, PreparedDataset
from sparkscale.contract.errors import DeviceError
from workloads.data_parallel.pattern import labels, one_hot_matrix
from workloads.io.filesystem import RowGroup
from workloads.libraries.torch_processes import own_device
from workloads.quality.scoring import Array

ROWS_AT_ONCE = 2**15

Layers = list[tuple[Array, Array]]
"""The kernel of each layer, with the shape (inputs, outputs), and its bias, with the shape (outputs,); float32."""


def initial(widths: list[int], seed: int) -> Layers:
    """Returns layers with random kernels and zero biases.

    Kernels are uniform within ±√(6 / (inputs + outputs)) (Glorot & Bengio, AISTATS 2010).
    """
    generator = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in pairwise(widths):
        limit = np.sqrt(6 / (inputs + outputs))
        kernel = generator.uniform(-limit, limit, (inputs, outputs)).astype(np.float32)
        layers.append((kernel, np.zeros(outputs, np.float32)))
    return layers


def probability(layers: Layers, rows: Array) -> Array:
    """Returns P(label = 1), shape (rows,), for rows of shape (rows, inputs).

    The network has ReLU between its layers, and a sigmoid at the end.
    """
    values = rows
    for kernel, bias in layers[:-1]:
        values = np.maximum(values @ kernel + bias, 0)
    kernel, bias = layers[-1]
    result: Array = 1 / (1 + np.exp(-(values @ kernel + bias)[:, 0].astype(np.float64)))
    return result


@dataclass(frozen=True)
class Epoch:
    """The end of an epoch, in seconds of time.time(), and the weights at that moment.

    `layers` is None if only the end of the whole training is known.
    """

    ended: float
    layers: Layers | None


@dataclass(frozen=True)
class Schedule:
    """The arguments of a training by Adam. `lr` is the learning rate, `eps` is Adam's epsilon.

    `batch_size` is the number of rows in a global batch, which contains rows of all ranks.
    """

    epochs: int
    batch_size: int
    lr: float
    eps: float
    seed: int
    device: str
    threads: int


def dense(data: PreparedDataset, table: Any) -> Array:
    """Returns the one-hot features as a dense matrix of float32.

    The matrix is made in parts, because the sparse form of all rows would be larger.
    """
    parts = [
        one_hot_matrix(data, table.slice(start, ROWS_AT_ONCE)).astype(np.float32).toarray()
        for start in range(0, table.num_rows, ROWS_AT_ONCE)
    ]
    return np.concatenate(parts)


def own_rows(groups: list[RowGroup], data: PreparedDataset, rank: int, world: int) -> tuple[Array, Array]:
    """Returns the features and the labels of one rank's rows.

    Each of the `world` ranks gets the same number of rows, give or take one. Only row groups with rows of this rank
    are read.
    """
    total = sum(group.rows for group in groups)
    low, high = total * rank // world, total * (rank + 1) // world
    features, label = [np.empty((0, one_hot_width(data)), np.float32)], [np.empty(0, np.float32)]
    begin = 0
    for group in groups:
        first, last = max(low - begin, 0), min(high - begin, group.rows)
        if first < last:
            table = group.read([LABEL, *data.features]).slice(first, last - first)
            features.append(dense(data, table))
            label.append(labels(table).astype(np.float32))
        begin += group.rows
    return np.concatenate(features), np.concatenate(label)


def one_hot_width(data: PreparedDataset) -> int:
    """Returns the number of columns of `one_hot_matrix`."""
    return sum(len(column.vocabulary) if column.kind == "categorical" else 1 for column in data.columns)


def shares(rows: list[int], steps: int) -> Array:
    """Returns the number of rows that each rank uses in each step; shape (ranks, steps).

    `rows` holds the number of rows of each rank. Steps are as equal as possible, for each rank and for all ranks
    together. If a rank's rows cannot be divided evenly, some steps get one more row of this rank. The ranks take
    turns in this: the extra rows of a rank begin at the step after the last extra row of the previous rank.
    """
    taken_rows = np.empty((len(rows), steps), np.int64)
    first_step = 0
    for rank, count in enumerate(rows):
        taken_rows[rank] = count // steps
        taken_rows[rank, (first_step + np.arange(count % steps)) % steps] += 1
        first_step += count % steps
    return taken_rows


def batches(rows: list[int], rank: int, schedule: Schedule, epoch: int) -> Iterator[tuple[Array, int]]:
    """Yields a rank's row numbers for each step of an epoch, and the number of rows of all ranks in this step.

    `rows` holds the number of rows of each rank. Row numbers are in random order. Every rank makes equally many
    steps, and each row is used once.
    """
    sizes = shares(rows, -(-sum(rows) // schedule.batch_size))
    order = np.random.default_rng([schedule.seed, epoch, rank]).permutation(rows[rank])
    own = np.split(order, np.cumsum(sizes[rank])[:-1])
    yield from zip(own, sizes.sum(axis=0).tolist(), strict=True)


def network(layers: Layers) -> Any:
    """Returns a torch.nn.Sequential with these weights, and with ReLU between the layers."""
    import torch

    modules = torch.nn.Sequential()
    for kernel, bias in layers:
        linear = torch.nn.Linear(*kernel.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(kernel.T))
            linear.bias.copy_(torch.from_numpy(bias))
        modules.extend([linear, torch.nn.ReLU()])
    return modules[:-1]


def weights(model: Any) -> Layers:
    """Returns the weights of a torch.nn.Sequential, copied to the CPU."""
    linear = [layer for layer in model if hasattr(layer, "weight")]
    return [
        (layer.weight.detach().cpu().numpy().T.copy(), layer.bias.detach().cpu().numpy().copy()) for layer in linear
    ]


def train(
    features: Array, label: Array, layers: Layers, schedule: Schedule, rows: list[int], rank: int = 0
) -> list[Epoch]:
    """Trains on this rank's rows. Returns the end and the weights of each epoch.

    `rows` holds the number of rows of each rank. The loss is the mean over the global batch: the sum of the ranks'
    losses, divided by the global number of rows. Raises DeviceError if CUDA is needed and PyTorch cannot use it.
    """
    import torch

    torch.set_num_threads(schedule.threads)
    if schedule.device != "cpu" and not torch.cuda.is_available():
        raise DeviceError("PyTorch was to train on a GPU, but finds no GPU that it can use.")
    x, y = (torch.from_numpy(array).to(schedule.device) for array in (features, label))
    own_network = network(layers).to(schedule.device)
    model = torch.nn.parallel.DistributedDataParallel(own_network) if len(rows) > 1 else own_network
    optimiser = torch.optim.Adam(model.parameters(), lr=schedule.lr, eps=schedule.eps)
    epochs = []
    for epoch in range(schedule.epochs):
        for own_rows_of_step, global_rows in batches(rows, rank, schedule, epoch):
            index = torch.from_numpy(own_rows_of_step).to(schedule.device)
            logit = model(x[index])[:, 0]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, y[index], reduction="sum")
            optimiser.zero_grad()
            (loss * (len(rows) / global_rows)).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        weights_now = weights(own_network)
        epochs.append(Epoch(time.time(), weights_now))
    return epochs


def train_rank(groups: list[RowGroup], data: PreparedDataset, layers: Layers, schedule: Schedule) -> list[Epoch]:
    """Reads the rows of this process's rank and trains on them. Returns the same as `train`.

    Several processes call this at once. They exchange gradients by `torch.distributed`.
    """
    import torch

    torch.set_num_threads(schedule.threads)
    schedule = replace(schedule, device=own_device(schedule.device))
    if schedule.device != "cpu":
        torch.cuda.set_device(schedule.device)  # NCCL gathers pickled objects on this device
    torch.distributed.init_process_group("gloo" if schedule.device == "cpu" else "nccl")
    try:
        rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        features, label = own_rows(groups, data, rank, world)
        rows: list[Any] = [None] * world
        torch.distributed.all_gather_object(rows, len(label))
        return train(features, label, layers, schedule, rows, rank)
    finally:
        torch.distributed.destroy_process_group()
