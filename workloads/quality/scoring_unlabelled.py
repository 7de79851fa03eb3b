"""Scores results for which no labels are needed: clusters and projections.

The stored score of a row is its squared error. The stored label is the squared error of a constant prediction: the
mean of all training rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW, UNIT
from sparkscale.contract.errors import InvalidResult
from sparkscale.contract.record import SCORES
from workloads.data_parallel.numeric import numeric_columns, numeric_matrix
from workloads.io.filesystem import read_parquet
from workloads.quality.scoring import Array, positions_of


@dataclass(frozen=True)
class Clusters:
    """The row id and the cluster of each hold-out row, and the clusters' centres.

    Shapes: `row` (rows,), `cluster` (rows,), `centres` (clusters, columns).
    """

    row: Array
    cluster: Array
    centres: Array


@dataclass(frozen=True)
class Projections:
    """The coordinates of each hold-out row on the principal components.

    A row is approximately `mean + projected @ components`.

    Shapes: `row` (rows,), `projected` (rows, components), `components` (components, columns), `mean` (columns,).
    """

    row: Array
    projected: Array
    components: Array
    mean: Array


def score_clusters(run: Context, clusters: Clusters) -> dict[str, float]:
    """Returns the qualities `inertia` and `variance_explained`.

    Inertia is the mean squared distance of a hold-out row to its centre. Columns are standardised. Variance
    explained is 0 or less if a single cluster with all rows would be as good. Raises InvalidResult if a hold-out
    row is missing, occurs twice or is in no cluster, or if an error is not a finite number.
    """

    def error(matrix: Array, order: Array) -> Array:
        cluster = clusters.cluster[order]
        if not np.all((cluster >= 0) & (cluster < len(clusters.centres))):
            raise InvalidResult("The engine put a hold-out row in none of its clusters.")
        result: Array = ((matrix - clusters.centres[cluster]) ** 2).sum(axis=1)
        return result

    total, squared = _store(run, clusters.row, error)
    return {"inertia": float(squared.mean()), "variance_explained": 1 - float(squared.sum() / total.sum())}


def score_projections(run: Context, projections: Projections) -> dict[str, float]:
    """Returns the quality `variance_explained`: the share of the squared deviations that the components explain.

    It is computed from hold-out rows that are rebuilt from their projections. So it is lower if the rows are
    centred wrongly, or if the axes are not orthogonal. It is 0 or less if the mean of all rows would be as good.
    Raises InvalidResult if a hold-out row is missing or occurs twice, or if an error is not a finite number.
    """

    def error(matrix: Array, order: Array) -> Array:
        rebuilt = projections.mean + projections.projected[order] @ projections.components
        result: Array = ((matrix - rebuilt) ** 2).sum(axis=1)
        return result

    total, squared = _store(run, projections.row, error)
    return {"variance_explained": 1 - float(squared.sum() / total.sum())}


def _store(run: Context, row: Array, error: Callable[[Array, Array], Array]) -> tuple[Array, Array]:
    """Returns two arrays of shape (rows,): the squared deviations of the hold-out rows, and their squared errors.

    Deviations are from the mean of the training rows. The table {row, unit, label, score} is stored, with the
    squared deviation as `label` and the squared error as `score`.

    `row` holds the row ids of the engine's result. `error` computes the squared errors from the matrix of the
    hold-out rows, and from the positions of these rows in the engine's result.
    """
    names = [column.name for column in numeric_columns(run.data)]
    holdout = read_parquet([run.data.holdout_path], [ROW, UNIT, *names]).sort_by(ROW)
    order = positions_of(holdout.column(ROW).to_numpy(), row)
    matrix = numeric_matrix(run.data, holdout)
    total = (matrix**2).sum(axis=1)
    squared = error(matrix, order)
    if not np.all(np.isfinite(squared)):
        raise InvalidResult("The engine's result gives a hold-out row an error that is no finite number.")
    table = holdout.select([ROW, UNIT])
    table = table.append_column(LABEL, pa.array(total)).append_column("score", pa.array(squared))
    run.table(SCORES, table)
    return total, squared
