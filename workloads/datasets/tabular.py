"""The data sets `classification` and `regression`, with a known ceiling. They are hard to learn from few rows.

The model that generates the labels (`Truth`) is a sum of terms with unit variance. The terms are a linear part,
oblivious trees of depth 2 to 6, an effect for each level of each category, and slopes that differ between levels. The
trees are interactions of several features. Deep trees have many leaves, so a model needs many rows to learn them.
Redundant features are mixtures of informative ones. All other features are noise.
"""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from sparkscale.contract.case import Task
from sparkscale.contract.dataset import LABEL, TRUTH, Column
from sparkscale.contract.errors import ConfigError
from workloads.datasets.random_streams import TRUTH_BLOCK, Stream, exact_sum, sigmoid
from workloads.datasets.synthetic import Evidence, Synthetic, noise_features
from workloads.datasets.training_slices import BLOCK_ROWS, Array

DEPTHS = (2, 3, 4, 5, 6)
TREES_PER_DEPTH = 3
THRESHOLDS = np.array([-0.5, 0.0, 0.5], dtype=np.float32)
LINEAR_WEIGHT, CATEGORY_WEIGHT, SLOPE_WEIGHT = 0.6, 0.6, 0.4
DEPTH_WEIGHTS = {2: 0.7, 3: 0.7, 4: 0.6, 5: 0.6, 6: 0.6}
MIX = np.float32(0.6), np.float32(0.8)
"""The weights of the two informative features that a redundant feature mixes. The sum of their squares is 1."""

LABEL_COLUMN = 2**32
"""The number of the random stream for the labels. No feature has this number."""


@dataclass(frozen=True)
class Tree:
    """An oblivious tree, in which all nodes of a level compare the same feature with the same threshold.

    `leaves` has 2^depth values.
    """

    features: tuple[int, ...]
    thresholds: Array
    leaves: Array

    def value(self, x: list[Array]) -> Array:
        index = np.zeros(len(x[0]), dtype=np.uint8)
        for feature, threshold in zip(self.features, self.thresholds, strict=True):
            index = index * np.uint8(2) + (x[feature] > threshold).view(np.uint8)
        values: Array = self.leaves[index]
        return values


@dataclass(frozen=True)
class Truth:
    """The coefficients of the model that generates the labels. They are the same for every block of rows.

    `levels` and `slopes` hold one array for each category.
    """

    linear: Array
    trees: dict[int, list[Tree]]
    levels: list[Array]
    slopes: list[Array]

    @classmethod
    def of(cls, seed: int, informative: int, categorical: int, levels: int) -> "Truth":
        stream = Stream(seed, TRUTH_BLOCK)
        columns = iter(range(10**6))

        def bell(count: int) -> Array:
            return stream.bell(next(columns), count).astype(np.float64)

        def tree(depth: int) -> Tree:
            return Tree(
                tuple(stream.integers(next(columns), depth, informative).tolist()),
                THRESHOLDS[stream.integers(next(columns), depth, len(THRESHOLDS))],
                bell(2**depth),
            )

        return cls(
            linear=bell(informative),
            trees={depth: [tree(depth) for _ in range(TREES_PER_DEPTH)] for depth in DEPTHS},
            levels=[bell(levels) for _ in range(categorical)],
            slopes=[bell(levels) for _ in range(categorical)],
        )

    def value(self, x: list[Array], codes: list[Array]) -> Array:
        """Returns the sum of all terms for each row, float64, shape (rows,).

        `x` holds the informative features, and `codes` holds the codes of the categories.
        """
        z = np.zeros(len(x[0]))
        for weight, values in zip(self.linear, x, strict=True):
            z += (LINEAR_WEIGHT / np.sqrt(len(x)) * weight) * values
        for depth, trees in self.trees.items():
            for tree in trees:
                z += (DEPTH_WEIGHTS[depth] / np.sqrt(len(trees))) * tree.value(x)
        share = np.sqrt(max(1, len(codes)))
        for number, code in enumerate(codes):
            z += (CATEGORY_WEIGHT / share) * self.levels[number][code]
            z += (SLOPE_WEIGHT / share) * self.slopes[number][code] * x[number % len(x)]
        return z


class Tabular(Synthetic):
    """Base of `Classification` and `Regression`, with the features and the model that generates the labels."""

    informative: int | None = Field(default=None, ge=1, description="default: a third of the numeric features")
    redundant: int | None = Field(default=None, ge=0, description="default: a sixth of the numeric features")
    categorical: int | None = Field(default=None, ge=0, description="default: a tenth of the features")
    levels: int = Field(default=32, ge=2, le=4096, description="values of each category, low codes more often")
    signal: float = Field(default=1.0, gt=0, description="scale of the truth")

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Returns the numbers of informative, redundant, noise and categorical features.

        Raises ConfigError if `informative`, `redundant` and `categorical` together are more than `features`.
        """
        categorical = self.features // 10 if self.categorical is None else self.categorical
        numbers = self.features - categorical
        informative = max(1, round(numbers / 3)) if self.informative is None else self.informative
        redundant = round(numbers / 6) if self.redundant is None else self.redundant
        noise = noise_features(self.features, informative=informative, redundant=redundant, categorical=categorical)
        return informative, redundant, noise, categorical

    def columns(self) -> tuple[Column, ...]:
        informative, redundant, noise, categorical = self.counts
        kinds = {"informative": informative, "redundant": redundant, "noise": noise}
        vocabulary = tuple(f"level {code}" for code in range(self.levels))
        return (
            *(Column(name=f"{kind}_{n:03d}", kind="numeric") for kind, count in kinds.items() for n in range(count)),
            *(
                Column(name=f"category_{n:03d}", kind="categorical", vocabulary=vocabulary)
                for n in range(categorical)
            ),
        )

    @cached_property
    def truth(self) -> Truth:
        informative, _, _, categorical = self.counts
        return Truth.of(self.seed, informative, categorical, self.levels)

    def features_of(self, stream: Stream, rows: int) -> tuple[list[Array], list[Array]]:
        """Returns the numeric features, in the order of the columns, and the codes of the categories."""
        informative, redundant, noise, categorical = self.counts
        x = [stream.bell(column, rows) for column in range(informative)]
        x += [
            MIX[0] * x[n % informative] + MIX[1] * x[(n + 1) % informative] if informative > 1 else x[0].copy()
            for n in range(redundant)
        ]
        x += [stream.bell(informative + n, rows) for n in range(noise)]
        first = informative + noise
        uniforms = (stream.uniform(first + n, rows) for n in range(categorical))
        codes = [(self.levels * (u * u)).astype(np.int32) for u in uniforms]
        return x, codes

    def draw(self, block: int, row: Array) -> dict[str, Array]:
        stream = Stream(self.seed, block)
        x, codes = self.features_of(stream, len(row))
        z = self.signal * self.truth.value(x[: self.counts[0]], codes)
        label, truth = self.labelled(stream, z)
        names = (column.name for column in self.columns())
        return {**dict(zip(names, [*x, *codes], strict=True)), LABEL: label, TRUTH: truth}

    @abstractmethod
    def labelled(self, stream: Stream, z: Array) -> tuple[Array, Array]:
        """Returns labels drawn from the true values `z`, and the predictions of the best possible model."""


BINS = 2**14
"""The number of bins for true probabilities. The counts per bin of all parts can be added, and the AUC is computed
from the total. Pairs of rows in the same bin count half, so the AUC has an error below 1e-4."""


class Classification(Tabular):
    """A data set with two classes.

    `balance` is the share of positive labels. `noise` is the share of labels that are flipped to the other class.
    """

    SUMMARY: ClassVar[str] = "synthetic: informative, redundant, noise and categorical features; AUC ceiling known"

    kind: Literal["classification"] = "classification"
    balance: float = Field(default=0.3, gt=0, lt=1)
    noise: float = Field(default=0.02, ge=0, lt=0.5)

    @property
    def kind_name(self) -> str:
        return "classification"

    @property
    def task(self) -> Task:
        return "classification"

    def check(self, storage: str) -> None:
        if not self.noise < self.balance < 1 - self.noise:
            raise ConfigError(
                f"{self.title}: with noise {self.noise} the balance must lie between {self.noise} and "
                f"{1 - self.noise:g}, not at {self.balance}."
            )
        super().check(storage)

    def probability(self, z: Array) -> Array:
        """Returns the probability of a positive label."""
        return self.noise + (1 - 2 * self.noise) * sigmoid(z)

    @cached_property
    def intercept(self) -> float:
        """Returns a number that is added to all true values, so that the share of positive labels is `balance`.

        It is computed on a separate block of rows.
        """
        x, codes = self.features_of(Stream(self.seed, TRUTH_BLOCK - 1), BLOCK_ROWS)
        z = self.signal * self.truth.value(x[: self.counts[0]], codes)
        low, high = -1e4, 1e4
        goal = int(self.balance * 2.0**32 * BLOCK_ROWS)
        for _ in range(60):
            middle = (low + high) / 2
            below = exact_sum(self.probability(z + middle)) < goal
            low, high = (middle, high) if below else (low, middle)
        return low

    def labelled(self, stream: Stream, z: Array) -> tuple[Array, Array]:
        probability = self.probability(z + self.intercept)
        return (stream.uniform(LABEL_COLUMN, len(z)) < probability).astype(np.int8), probability

    def evidence(self, held_out: dict[str, Array]) -> Evidence:
        p, positive = held_out[TRUTH], held_out[LABEL] == 1
        bins = (p * BINS).astype(np.int64)
        losses = -np.where(positive, np.log(p), np.log1p(-p))
        return {
            "positive": np.bincount(bins[positive], minlength=BINS).astype(float),
            "negative": np.bincount(bins[~positive], minlength=BINS).astype(float),
            "loss": np.array([losses.sum()]),
        }

    def ceiling(self, evidence: Evidence) -> dict[str, float]:
        positive, negative = evidence["positive"], evidence["negative"]
        below = np.cumsum(negative) - negative / 2
        return {
            "auc": float(positive @ below / (positive.sum() * negative.sum())),
            "log_loss": float(evidence["loss"][0] / (positive.sum() + negative.sum())),
        }


class Regression(Tabular):
    """A data set with a numeric label.

    `noise` is the standard deviation of the part of the label that no feature explains. The standard deviation of
    the part that features explain is about 1.5.
    """

    SUMMARY: ClassVar[str] = "synthetic: as `classification`, with a real label; irreducible RMSE known"

    kind: Literal["regression"] = "regression"
    noise: float = Field(default=0.5, ge=0)

    @property
    def kind_name(self) -> str:
        return "regression"

    @property
    def task(self) -> Task:
        return "regression"

    def labelled(self, stream: Stream, z: Array) -> tuple[Array, Array]:
        return z + self.noise * stream.bell(LABEL_COLUMN, len(z)).astype(np.float64), z

    def evidence(self, held_out: dict[str, Array]) -> Evidence:
        return squared_error(held_out)

    def ceiling(self, evidence: Evidence) -> dict[str, float]:
        return irreducible_rmse(evidence)


def squared_error(held_out: dict[str, Array]) -> Evidence:
    """Returns the sum of the squared differences between label and expected label, and the number of rows."""
    error = held_out[LABEL] - held_out[TRUTH]
    return {"squared": np.array([error @ error]), "rows": np.array([float(len(error))])}


def irreducible_rmse(evidence: Evidence) -> dict[str, float]:
    """Returns the RMSE of a model that predicts the expected label, by the quality's name."""
    return {"rmse": float(np.sqrt(evidence["squared"][0] / evidence["rows"][0]))}
