"""Scoring of what has no label: clusters, and projections. A row's score is its squared error, its label
what the mean of all rows would make of it."""

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
from workloads.quality.scoring import Array, in_order


@dataclass(frozen=True)
class Clusters:
    """The cluster of each hold-out row, and the centres: shapes (rows,), (rows,) and (clusters, columns)."""

    row: Array
    cluster: Array
    centres: Array


@dataclass(frozen=True)
class Projections:
    """Each hold-out row in the coordinates of the components.

    Shapes (rows,), (rows, components), (components, columns) and (columns,): a row is about
    mean + projected @ components.
    """

    row: Array
    projected: Array
    components: Array
    mean: Array


def score_clusters(run: Context, found: Clusters) -> dict[str, float]:
    """Inertia: the mean squared distance of a hold-out row to its centre, in units of standardised columns.

    Variance explained is 0 or less where one cluster of all rows would do as well. Raises InvalidResult as
    `score_holdout` does, and for a row that is in no cluster.
    """

    def error(matrix: Array, order: Array) -> Array:
        cluster = found.cluster[order]
        if not np.all((cluster >= 0) & (cluster < len(found.centres))):
            raise InvalidResult("A hold-out row is in none of the clusters.")
        result: Array = ((matrix - found.centres[cluster]) ** 2).sum(axis=1)
        return result

    total, squared = _store(run, found.row, error)
    return {"inertia": float(squared.mean()), "variance_explained": 1 - float(squared.sum() / total.sum())}


def score_projections(run: Context, found: Projections) -> dict[str, float]:
    """The share of the hold-out's squared deviations that the components keep.

    Taken from the rows as rebuilt from their projections, so that wrong centring or axes that are not orthogonal cost
    what they should: it is 0 or less where the mean of all rows would do as well. Raises InvalidResult as
    `score_holdout` does.
    """

    def error(matrix: Array, order: Array) -> Array:
        rebuilt = found.mean + found.projected[order] @ found.components
        result: Array = ((matrix - rebuilt) ** 2).sum(axis=1)
        return result

    total, squared = _store(run, found.row, error)
    return {"variance_explained": 1 - float(squared.sum() / total.sum())}


def _store(run: Context, row: Array, error: Callable[[Array, Array], Array]) -> tuple[Array, Array]:
    """Each hold-out row's squared deviation from the training rows' mean, and its squared error.

    Stores both in the table {row, unit, label, score}.
    """
    names = [column.name for column in numeric_columns(run.data)]
    holdout = read_parquet([run.data.holdout_path], [ROW, UNIT, *names]).sort_by(ROW)
    order = in_order(row, holdout.column(ROW).to_numpy())
    matrix = numeric_matrix(run.data, holdout)
    total = (matrix**2).sum(axis=1)
    squared = error(matrix, order)
    if not np.all(np.isfinite(squared)):
        raise InvalidResult("A hold-out row's error is no finite number.")
    table = holdout.select([ROW, UNIT])
    table = table.append_column(LABEL, pa.array(total)).append_column("score", pa.array(squared))
    run.table(SCORES, table)
    return total, squared
