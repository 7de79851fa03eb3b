"""Computes reference predictions of MLlib's models without Spark. NumPy applies the models from their files.

Sources: NodeData and EnsembleNodeData of org.apache.spark.ml.tree.treeModels, AffineLayer of
org.apache.spark.ml.ann.Layer (Spark 4.3).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.location import join
from sparkscale.contract.model import PreparedModel
from workloads.data_parallel.pattern import one_hot_matrix, ordinal_matrix
from workloads.inference.models import Scored
from workloads.io.filesystem import files_below, resolve
from workloads.quality.scoring import Array

Values = Callable[[Any], Array]
"""A function that takes a tree's nodes as an array of structs. It returns a value for each node, shape (nodes, k).
k is 1 for a predicted number, and otherwise the number of classes."""


@dataclass(frozen=True)
class Tree:
    """A decision tree. Each array has one entry for each node, in the order of the nodes' ids, the root first.

    Shapes: (nodes,), and (nodes, k) for `value`. `left` and `right` hold the ids of the children; -1 in a leaf.
    """

    feature: Array
    threshold: Array
    left: Array
    right: Array
    value: Array

    def closed(self) -> "Tree":
        """Returns a tree in which both children of a leaf are the leaf itself. `leaves` needs such a tree."""
        own = np.arange(len(self.feature))
        left, right = (np.where(child >= 0, child, own) for child in (self.left, self.right))
        return replace(self, left=left, right=right)

    def leaves(self, matrix: Array) -> Array:
        """Returns the value of the leaf that each row of the matrix reaches; shape (rows, k)."""
        row, node = np.arange(len(matrix)), np.zeros(len(matrix), np.int64)
        while True:
            goes_left = matrix[row, self.feature[node]] <= self.threshold[node]
            following = np.where(goes_left, self.left[node], self.right[node])
            if np.array_equal(following, node):
                values: Array = self.value[node]
                return values
            node = following


def scores(model: PreparedModel, pipeline: str, data: PreparedDataset) -> Scored:
    """Returns a function that computes the same predictions as the last stage of a saved pipeline.

    `pipeline` is the pipeline's folder below the model's folder. Raises KeyError if the class of the stage is
    unknown.
    """
    stage = sorted(_folders(join(model.root, f"{pipeline}/stages")))[-1]
    metadata = json.loads(_text(f"{stage}/metadata"))
    kind = metadata["class"].rpartition(".")[-1]
    return {
        "GBTClassificationModel": _boosted_probability,
        "GBTRegressionModel": _boosted_value,
        "RandomForestClassificationModel": _forest_probability,
        "RandomForestRegressionModel": _forest_value,
        "MultilayerPerceptronClassificationModel": _perceptron,
    }[kind](stage, metadata, data)


def _boosted_value(stage: str, metadata: dict[str, Any], data: PreparedDataset) -> Scored:  # noqa: ARG001
    trees = _trees(stage, _prediction)

    def predict(table: pa.Table) -> Array:
        matrix = ordinal_matrix(data, table)
        total: Array = np.sum([weight * tree.leaves(matrix)[:, 0] for weight, tree in trees], axis=0)
        return total

    return predict


def _boosted_probability(stage: str, metadata: dict[str, Any], data: PreparedDataset) -> Scored:
    margin = _boosted_value(stage, metadata, data)
    return lambda table: 1 / (1 + np.exp(-2 * margin(table)))


def _forest_probability(stage: str, metadata: dict[str, Any], data: PreparedDataset) -> Scored:  # noqa: ARG001
    trees = _trees(stage, _counts)

    def predict(table: pa.Table) -> Array:
        matrix = ordinal_matrix(data, table)
        votes = np.zeros((len(matrix), 2))
        for _, tree in trees:
            counts = tree.leaves(matrix)
            votes += counts / counts.sum(axis=1, keepdims=True)
        shares: Array = votes[:, 1] / votes.sum(axis=1)
        return shares

    return predict


def _forest_value(stage: str, metadata: dict[str, Any], data: PreparedDataset) -> Scored:  # noqa: ARG001
    trees = _trees(stage, _prediction)

    def predict(table: pa.Table) -> Array:
        matrix = ordinal_matrix(data, table)
        mean: Array = np.mean([tree.leaves(matrix)[:, 0] for _, tree in trees], axis=0)
        return mean

    return predict


def _perceptron(stage: str, metadata: dict[str, Any], data: PreparedDataset) -> Scored:
    """Returns a function that predicts with a perceptron with sigmoid units and a softmax over two outputs."""
    (row,) = _table(f"{stage}/data").to_pylist()
    flat, widths = np.array(row["weights"]["values"]), metadata["paramMap"]["layers"]
    layers, begin = [], 0
    for inputs, outputs in pairwise(widths):
        end = begin + inputs * outputs
        layers.append((flat[begin:end].reshape(inputs, outputs), flat[end : end + outputs]))
        begin = end + outputs

    def predict(table: pa.Table) -> Array:
        values = one_hot_matrix(data, table).toarray()
        for kernel, bias in layers[:-1]:
            values = 1 / (1 + np.exp(-(values @ kernel + bias)))
        kernel, bias = layers[-1]
        outputs = values @ kernel + bias
        probability: Array = 1 / (1 + np.exp(outputs[:, 0] - outputs[:, 1]))
        return probability

    return predict


def _trees(stage: str, value: Values) -> list[tuple[float, Tree]]:
    """Returns pairs (weight, tree) of an ensemble. `value` computes the values of the nodes."""
    table = _table(f"{stage}/data")
    nodes = table.column("nodeData").combine_chunks()
    tree_id, node_id = table.column("treeID").to_numpy(), nodes.field("id").to_numpy()
    order = np.lexsort((node_id, tree_id))
    nodes, tree_id = nodes.take(pa.array(order)), tree_id[order]
    split, left = nodes.field("split"), nodes.field("leftChild").to_numpy()
    thresholds = split.field("leftCategoriesOrThreshold")
    inner = left >= 0
    threshold = np.zeros(len(nodes))
    threshold[inner] = thresholds.values.to_numpy()[thresholds.offsets.to_numpy()[:-1][inner]]
    arrays = (
        np.maximum(split.field("featureIndex").to_numpy(), 0),
        threshold,
        left,
        nodes.field("rightChild").to_numpy(),
        value(nodes),
    )
    ends = np.flatnonzero(np.diff(tree_id, append=-1)) + 1
    trees = [Tree(*part) for part in zip(*(np.split(array, ends[:-1]) for array in arrays), strict=True)]
    metadata = _table(f"{stage}/treesMetadata")  # columns: a tree's id, its metadata, its weight
    weights = dict(zip(metadata.column(0).to_pylist(), metadata.column(2).to_pylist(), strict=True))
    return [(weights[unique], tree.closed()) for unique, tree in zip(np.unique(tree_id).tolist(), trees, strict=True)]


def _prediction(nodes: Any) -> Array:
    """Returns the predicted number of each node; shape (nodes, 1)."""
    values: Array = nodes.field("prediction").to_numpy()[:, np.newaxis]
    return values


def _counts(nodes: Any) -> Array:
    """Returns the weighted number of rows of each class in each node; shape (nodes, classes)."""
    counts: Array = nodes.field("impurityStats").flatten().to_numpy().reshape(len(nodes), -1)
    return counts


def _table(folder: str) -> pa.Table:
    system, _ = resolve(folder)
    return pa.concat_tables(pq.read_table(info.path, filesystem=system) for info in files_below(folder, ".parquet"))


def _text(folder: str) -> str:
    system, _ = resolve(folder)
    (info, *_) = [info for info in files_below(folder) if info.size]
    with system.open_input_stream(info.path) as stream:
        return str(stream.read().decode())


def _folders(location: str) -> list[str]:
    return sorted({join(location, info.path.split("/stages/")[1].split("/")[0]) for info in files_below(location)})
