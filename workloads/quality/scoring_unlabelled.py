"""Scores results for which no labels are needed: clusters and projections.

The stored score of a row is its squared error. The stored label is the squared error if the mean of all training rows
is predicted.
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
    """The cluster of each hold-out row, and the clusters' centres.

    Shapes: (rows,), (rows,) and (clusters, columns).
    """

    row: Array
    cluster: Array
    centres: Array


@dataclass(frozen=True)
class Projections:
    """The coordinates of each hold-out row in the components. A row is approximately `mean + projected @ components`.

    Shapes: `row` (rows,), `projected` (rows, components), `components` (components, columns), `mean` (columns,).
    """

    row: Array
    projected: Array
    components: Array
    mean: Array


def score_clusters(run: Context, clusters: Clusters) -> dict[str, float]:
    """Returns inertia and variance explained.

    Inertia is the mean squared distance of a hold-out row to its centre, in units of standardised columns. Variance
    explained is 0 or less if one cluster with all rows would be as good. Raises InvalidResult in the same cases as
    `score_holdout`, and if a row is in no cluster.
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
    """Returns the share of the hold-out's squared deviations that the components explain.

    It is computed from rows that are rebuilt from their projections. So it is lower if the rows are centred wrongly,
    or if the axes are not orthogonal. It is 0 or less if the mean of all rows would be as good. Raises InvalidResult
    in the same cases as `score_holdout`.
    """

    def error(matrix: Array, order: Array) -> Array:
        rebuilt = projections.mean + projections.projected[order] @ projections.components
        result: Array = ((matrix - rebuilt) ** 2).sum(axis=1)
        return result

    total, squared = _store(run, projections.row, error)
    return {"variance_explained": 1 - float(squared.sum() / total.sum())}


def _store(run: Context, row: Array, error: Callable[[Array, Array], Array]) -> tuple[Array, Array]:
    """Returns each hold-out row's squared deviation from the training rows' mean, and its squared error.

    Stores both in the table {row, unit, label, score}: the deviation as `label`, the error as `score`. `error` takes
    the matrix of the hold-out rows and the positions of these rows in the result.
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
