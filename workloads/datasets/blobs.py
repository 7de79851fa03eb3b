"""The data set `blobs`: bell-shaped clusters around known centres, for k-means."""

from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from sparkscale.contract.case import Task
from sparkscale.contract.dataset import LABEL, Column
from workloads.datasets.random_streams import TRUTH_BLOCK, Stream
from workloads.datasets.synthetic import Evidence, Synthetic
from workloads.datasets.training_slices import Array, Shape

ROWS_AT_ONCE = 2**14
LABEL_COLUMN = 2**32


class Blobs(Synthetic):
    """Synthetic k-means clusters. The label of a row is the cluster from which it was drawn.

    No engine may use this label.
    """

    SUMMARY: ClassVar[str] = "synthetic: clusters for k-means; inertia of the true centres known"

    kind: Literal["blobs"] = "blobs"
    features: int = Field(default=16, ge=1, le=1000)
    clusters: int = Field(default=20, ge=2, le=10_000)
    spread: float = Field(default=1.0, gt=0, description="standard deviation of a cluster, per feature")
    box: float = Field(default=10.0, gt=0, description="centres lie between -box and box")

    @property
    def kind_name(self) -> str:
        return "blobs"

    @property
    def task(self) -> Task:
        return "clustering"

    @property
    def shape(self) -> Shape:
        return Shape(self.task, self.columns(), compression="none")

    def columns(self) -> tuple[Column, ...]:
        """Returns the columns.

        The standard deviation of a column includes the variance of the centres and the variance within a cluster.
        """
        std = float(np.sqrt(self.box**2 / 3 + self.spread**2))
        return tuple(Column(name=f"x_{n:03d}", kind="numeric", std=std) for n in range(self.features))

    @cached_property
    def centres(self) -> Array:
        """Returns the true centres, shape (features, clusters), float32."""
        stream = Stream(self.seed, TRUTH_BLOCK)
        uniform = np.stack([stream.uniform(n, self.clusters) for n in range(self.features)])
        return ((2 * uniform - 1) * self.box).astype(np.float32)

    def draw(self, block: int, row: Array) -> dict[str, Array]:
        stream = Stream(self.seed, block)
        cluster = stream.integers(LABEL_COLUMN, len(row), self.clusters).astype(np.int32)
        spread = np.float32(self.spread)
        x = {
            column.name: self.centres[n][cluster] + spread * stream.bell(n, len(row))
            for n, column in enumerate(self.columns())
        }
        return {**x, LABEL: cluster}

    @property
    def evidence_columns(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns())

    def evidence(self, held_out: dict[str, Array]) -> Evidence:
        """Returns the sum of the rows' squared distances to their nearest true centres, and the number of rows."""
        x = np.stack([held_out[column.name] for column in self.columns()], axis=1).astype(np.float64)
        centres = self.centres.T.astype(np.float64)
        total = 0.0
        for begin in range(0, len(x), ROWS_AT_ONCE):
            part = x[begin : begin + ROWS_AT_ONCE]
            squared = (part**2).sum(axis=1)[:, None] - 2 * part @ centres.T + (centres**2).sum(axis=1)
            total += float(squared.min(axis=1).sum())
        return {"inertia": np.array([total]), "rows": np.array([float(len(x))])}

    def ceiling(self, evidence: Evidence) -> dict[str, float]:
        inertia, rows = float(evidence["inertia"][0]), float(evidence["rows"][0])
        return {"inertia": inertia, "inertia_per_row": inertia / rows}
