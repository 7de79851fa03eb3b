"""Stores and loads the models of each library, and predicts with them in one process without Spark."""

import io
import pickle
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from sparkscale.contract.case import Device
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import DeviceError
from workloads.base import CUDA_NAMES
from workloads.data_parallel.gradient_boosting import XGBoost
from workloads.data_parallel.mlp import Torch, probabilities
from workloads.data_parallel.network import dense, network
from workloads.data_parallel.pattern import InMemory
from workloads.data_parallel.random_forest import SklearnForest
from workloads.data_parallel.trees import sklearn_scores, xgboost_scores
from workloads.libraries.xgboost import check_ran_on_gpu
from workloads.quality.scoring import Array


class Predictor(ABC):
    """A loaded model, ready to predict. `device` is the device on which it computes."""

    def __init__(self, model: Any, data: PreparedDataset, device: Device) -> None:
        self.model = model
        self.data = data
        self.device = device

    @abstractmethod
    def scores(self, table: pa.Table) -> Array:
        """Returns P(label = 1), or the label's expected value, for each row of a table that has the features.

        Shape (rows,), float64.
        """


class Format(ABC):
    """The file format of one library's models. `trainer` is the data-parallel engine that trains these models."""

    name: ClassVar[str]
    file: ClassVar[str]
    package: ClassVar[str]
    """The package that reads and writes the file. The content of the file depends on the package's release."""
    trainer: ClassVar[type[InMemory]]
    takes_nulls: ClassVar[bool] = False
    """If true, models of this format accept rows in which a feature has no value."""
    tolerance: ClassVar[float]
    """The largest allowed difference between two computations of the same prediction. In a classification it is a
    difference of probabilities. In a regression it is a number of standard deviations of the reference
    predictions."""

    @abstractmethod
    def dumped(self, model: Any) -> bytes:
        """Returns the content of the model's file."""

    @abstractmethod
    def loaded(self, content: bytes, data: PreparedDataset, threads: int, device: Device) -> Predictor:
        """Returns the model from the content of its file.

        Raises the library's own error if the content is not a model.
        """


class PickledForest(Format):
    """scikit-learn's random forest, pickled."""

    name = "pickle"
    file = "forest.pickle"
    package = "scikit-learn"
    trainer = SklearnForest
    tolerance = 1e-9  # several threads add up the trees' predictions in any order

    def dumped(self, model: Any) -> bytes:
        return pickle.dumps(model, protocol=pickle.HIGHEST_PROTOCOL)

    def loaded(self, content: bytes, data: PreparedDataset, threads: int, device: Device) -> Predictor:
        model = pickle.loads(content)
        model.n_jobs = threads
        return ForestPredictor(model, data, device)


class ForestPredictor(Predictor):
    def scores(self, table: pa.Table) -> Array:
        return sklearn_scores(self.data, self.model, table)


class Ubjson(Format):
    """XGBoost's trees, stored in XGBoost's own binary JSON."""

    name = "ubjson"
    file = "model.ubj"
    package = "xgboost"
    trainer = XGBoost
    takes_nulls = True
    tolerance = 1e-6  # single precision

    def dumped(self, model: Any) -> bytes:
        return bytes(model.save_raw("ubj"))

    def loaded(self, content: bytes, data: PreparedDataset, threads: int, device: Device) -> Predictor:
        import xgboost

        model = xgboost.Booster(model_file=bytearray(content))
        model.set_param({"nthread": threads, "device": CUDA_NAMES[device]})
        return BoosterPredictor(model, data, device)


class BoosterPredictor(Predictor):
    def scores(self, table: pa.Table) -> Array:
        values = xgboost_scores(self.data, self.model, table, self.device)
        if self.device == "gpu":
            check_ran_on_gpu(self.model)
        return values.astype(np.float64)


class StateDict(Format):
    """PyTorch's network, stored as weights by name. Loading the file runs no code from it."""

    name = "state_dict"
    file = "network.pt"
    package = "torch"
    trainer = Torch
    tolerance = 1e-5  # single precision, and the order of sums depends on the batch

    def dumped(self, model: Any) -> bytes:
        import torch

        content = io.BytesIO()
        torch.save(network(model.model).state_dict(), content)
        return content.getvalue()

    def loaded(self, content: bytes, data: PreparedDataset, threads: int, device: Device) -> Predictor:
        import torch

        if device == "gpu" and not torch.cuda.is_available():
            raise DeviceError("PyTorch was to predict on a GPU, but finds no GPU that it can use.")
        torch.set_num_threads(threads)
        state = torch.load(io.BytesIO(content), weights_only=True)
        names = sorted({name.rpartition(".")[0] for name in state}, key=int)
        layers = [(state[f"{name}.weight"].numpy().T, state[f"{name}.bias"].numpy()) for name in names]
        return NetworkPredictor(network(layers).to(CUDA_NAMES[device]), data, device)


class NetworkPredictor(Predictor):
    def scores(self, table: pa.Table) -> Array:
        return probabilities(self.model, dense(self.data, table), CUDA_NAMES[self.device]).astype(np.float64)
