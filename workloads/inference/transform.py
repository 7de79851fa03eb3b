"""Engines that let a library of Spark's apply its own models: `transform` of a fitted pipeline."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW
from sparkscale.contract.location import for_spark, join, to_read
from sparkscale.contract.model import PreparedModel
from workloads.base import SPARK_CONTEXT, Engine, SparkEngine
from workloads.data_parallel.gradient_boosting import MLlibGBT, XGBoostSpark
from workloads.data_parallel.mlp import MLlibPerceptron
from workloads.data_parallel.one_hot import MLlibOneHot
from workloads.data_parallel.pattern import FEATURES, one_hot_vectors
from workloads.data_parallel.random_forest import MLlibForest
from workloads.data_parallel.trees import MLlibTrees
from workloads.datasets.training_slices import write_file
from workloads.inference import mllib
from workloads.inference.formats import Format, Ubjson
from workloads.inference.job import Job
from workloads.inference.models import SCORE, Scored, content_of
from workloads.inference.output import Output
from workloads.inference.pattern import InferenceEngine
from workloads.inference.spark_input import rows_to_predict

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PIPELINE = "pipeline"
"""Where in an artefact a fitted pipeline lies."""


class Transform(InferenceEngine, SparkEngine):
    """What applies a model that an estimator on Spark has made, of the same parameters. Its reference is made from
    that model's own files, without Spark.
    """

    devices = frozenset({"cpu"})
    model_placement = "spark"

    def build(self, training: Context, root: str) -> dict[str, str]:
        from pyspark.ml import PipelineModel

        PipelineModel(self.stages(training, root)).write().save(for_spark(join(root, PIPELINE)))
        return {}

    def load(self, run: Context) -> tuple[Job, "DataFrame"]:
        from pyspark.ml import PipelineModel
        from pyspark.ml.functions import vector_to_array
        from pyspark.sql.functions import col

        job = self.job(run)
        with job.noted():
            for file in job.model.files:  # what is saved of a stage may hold a pickle, too
                content_of(job.model, file.path)
            model = PipelineModel.load(to_read(join(job.model.root, PIPELINE)))
        rows = rows_to_predict(run, job.batch_rows)
        classifying = run.data.task == "classification"
        score = vector_to_array(col("probability"))[1] if classifying else col("prediction")
        return job, model.transform(self.encoded(run, rows)).select(ROW, score.cast("double").alias(SCORE))

    def written(self, run: Context, loaded: tuple[Job, "DataFrame"], output: Output) -> Job:  # noqa: ARG002
        job, frame = loaded
        output.write_frame(frame)
        return job

    def encoded(self, run: Context, rows: "DataFrame") -> "DataFrame":  # noqa: ARG002
        """What the pipeline is applied to."""
        return rows

    @abstractmethod
    def stages(self, training: Context, root: str) -> list[Any]:
        """Of the fitted pipeline; what else the reference needs is written below `root`."""


class XGBoostSparkTransform(Transform):
    """xgboost.spark's model, transformed: a pandas UDF of its own that loads the booster once for each task.

    Differs: its model is xgboost.spark's own, of the same parameters.
    """

    name = "xgboost-spark-transform"
    keeps_processes = True
    needs = frozenset({SPARK_CONTEXT})

    @classmethod
    def maker(cls, form: type[Format]) -> tuple[type[Engine], str]:
        return XGBoostSpark, form.package

    def stages(self, training: Context, root: str) -> list[Any]:
        engine = XGBoostSpark()
        model = engine.made(training).fit(engine.load(training))
        write_file(root, Ubjson.file, Ubjson().dumped(model.get_booster()))
        return [model]


class MLlibTransform(Transform):
    """An MLlib pipeline's `transform`, row by row in the JVM.

    Differs: its model is MLlib's own, of the same parameters.
    """

    name = "mllib-transform"

    @classmethod
    def maker(cls, form: type[Format]) -> tuple[type[Engine], str]:
        return TRAINERS[form.name], "pyspark"

    def encoded(self, run: Context, rows: "DataFrame") -> "DataFrame":
        return one_hot_vectors(run, rows) if issubclass(self.model, MLlibOneHot) else rows

    def stages(self, training: Context, root: str) -> list[Any]:  # noqa: ARG002
        from pyspark.ml.feature import VectorAssembler

        engine: Any = self.model()
        model = engine.fit(training, engine.load(training))
        if issubclass(self.model, MLlibTrees):
            return [VectorAssembler(inputCols=training.data.features, outputCol=FEATURES), model]
        return [model.model]

    def reference(self, run: Context, model: PreparedModel) -> Scored:
        return mllib.scores(model, PIPELINE, run.data)


TRAINERS: dict[str, type[SparkEngine]] = {
    "pickle": MLlibForest,
    "ubjson": MLlibGBT,
    "state_dict": MLlibPerceptron,
}
"""Of MLlib's models, by the formats of those that they stand beside."""
