"""A package of somebody else that adds a workload, a data set and a cluster profile by entry points."""

from pathlib import Path

ENTRY_POINTS = """
[sparkscale.workloads]
median = somebody.median:WORKLOAD

[sparkscale.datasets]
ramp = somebody.ramp:Ramp

[sparkscale.clusters]
somebody = somebody.profiles
"""

RAMP = '''
"""`ramp`: a label that rises with one feature."""

from typing import Literal, ClassVar

import numpy as np

from sparkscale.contract.dataset import LABEL, TRUTH, Column
from workloads.datasets.synthetic import Synthetic


class Ramp(Synthetic):
    SUMMARY: ClassVar[str] = "synthetic: a label that rises with one feature"
    kind: Literal["ramp"] = "ramp"
    features: int = 2

    @property
    def kind_name(self):
        return "ramp"

    @property
    def task(self):
        return "regression"

    def columns(self):
        return tuple(Column(name=f"x_{n}", kind="numeric", std=1.0) for n in range(self.features))

    def draw(self, block, row):
        generator = np.random.default_rng([self.seed, block])
        x = generator.normal(size=(self.features, len(row))).astype(np.float32)
        truth = x[0].astype(np.float64)
        label = truth + generator.normal(size=len(row))
        return {**{f"x_{n}": x[n] for n in range(self.features)}, LABEL: label, TRUTH: truth}

    def evidence(self, held_out):
        errors = np.abs(held_out[LABEL] - held_out[TRUTH])
        return {"sum": np.array([errors.sum()]), "rows": np.array([float(len(errors))])}

    def ceiling(self, evidence):
        return {"absolute_error": float(evidence["sum"][0] / evidence["rows"][0])}
'''

MEDIAN = '''
"""The median of the labels: the model that a mean absolute error asks for without any feature."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sparkscale.contract.dataset import LABEL, ROW, UNIT
from sparkscale.contract.declared import Figure, Judged, QualityFigure
from sparkscale.contract.record import SCORES
from workloads.base import NodeEngine, Params, Quality, SparkEngine, Workload
from workloads.data_parallel.pattern import DATA_PARALLEL
from workloads.io.filesystem import read_parquet


class MedianParams(Params):
    share: float = 0.5


class Numpy(NodeEngine):
    """numpy's quantile of all labels.

    Differs: looks at no feature.
    """

    name = "numpy"
    tasks = frozenset({"regression"})
    defaults = {"q": 0.5}

    def arguments(self, params, sample):
        return {"q": params.share}

    def load(self, run):
        return read_parquet(run.train_paths, [LABEL]).column(LABEL).to_numpy()

    def fit(self, run, labels):
        run.figure("labels", len(labels))
        return float(np.quantile(labels, run.arguments["q"]))

    def predict(self, run, value):
        return value


def medians(batches):
    for batch in batches:
        yield pd.DataFrame({"value": [float(batch[LABEL].median())]})


class OnSpark(SparkEngine):
    """The median of the medians of batches, each computed by Spark.

    Differs: a median of medians.
    """

    name = "spark-median"
    tasks = frozenset({"regression"})
    defaults = {"q": 0.5}

    def arguments(self, params, sample):
        return {"q": params.share}

    def load(self, run):
        return run.spark.read.parquet(*run.train_paths).select(LABEL)

    def fit(self, run, frame):
        found = [row.value for row in frame.mapInPandas(medians, "value double").collect()]
        run.figure("labels", len(found))
        return float(np.quantile(found, run.arguments["q"]))

    def predict(self, run, value):
        return value


def score(run, value):
    holdout = read_parquet([run.data.holdout_path], [ROW, UNIT, LABEL])
    errors = np.abs(holdout.column(LABEL).to_numpy() - value)
    run.table(SCORES, holdout.append_column("score", [errors]))
    return {"absolute_error": float(errors.mean())}


WORKLOAD = Workload(
    name="data_parallel.median",
    summary="The median of the labels",
    pattern=DATA_PARALLEL,
    quality=Quality(
        score,
        {
            "regression": Judged(
                quality="absolute_error",
                direction="lower",
                tolerance=0.01,
                relative=True,
                within="a mean absolute error within 1 %",
                estimator="mean_score",
                form=".4g",
                given_up_form="+.2%",
            )
        },
        (
            QualityFigure(
                name="absolute_error",
                heading="mean absolute error",
                direction="lower",
                metric="absolute_error",
                metric_unit="label units",
                summary="mean absolute error on the hold-out",
            ),
        ),
        ("labels",),
    ),
    params=MedianParams(),
    engines=(Numpy, OnSpark),
    figures=(Figure(name="labels", heading="labels", unit="rows"),),
)
'''

PROFILE = """
kind = "local"
cores = 1
memory = "50%"
[price]
per_hour = 0.05
currency = "NOK"
source = "ours"
date = 2026-11-28
"""

SUITE = """
clusters = ["local"]
rounds = 2

[[measure]]
workload = "data_parallel.median"
engines = ["numpy"]
datasets = ["ramp"]
fractions = ["1/64", "1"]

[dataset.ramp]
kind = "ramp"
rows = 20000
"""


def installed(folder: Path) -> Path:
    """Writes the package and what pip would write of it, below the folder; returns the path of a suite for it."""
    package = folder / "somebody"
    (package / "profiles").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "median.py").write_text(MEDIAN)
    (package / "ramp.py").write_text(RAMP)
    (package / "profiles" / "__init__.py").write_text("")
    (package / "profiles" / "one-core.toml").write_text(PROFILE)
    information = folder / "somebody-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(ENTRY_POINTS)
    suite = folder / "median.toml"
    suite.write_text(SUITE)
    return suite
