"""Engines in which a Spark library applies its own model, with the `transform` of a fitted pipeline."""

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
"""The folder of a fitted pipeline, below the folder of the stored model."""


class Transform(InferenceEngine, SparkEngine):
    """Base of engines that apply a model that an estimator on Spark trained, with the other engines' parameters.

    The reference predictions are made without Spark, from the files of this model.
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
        with job.load_recorded():
            for file in job.model.files:  # a saved stage may hold a pickle, so each file's hash is checked first
                content_of(job.model, file.path)
            model = PipelineModel.load(to_read(join(job.model.root, PIPELINE)))
        rows = rows_to_predict(run, job.batch_rows)
        is_classification = run.data.task == "classification"
        score = vector_to_array(col("probability"))[1] if is_classification else col("prediction")
        return job, model.transform(self.encoded(run, rows)).select(ROW, score.cast("double").alias(SCORE))

    def written(self, run: Context, loaded: tuple[Job, "DataFrame"], output: Output) -> Job:  # noqa: ARG002
        job, frame = loaded
        output.write_frame(frame)
        return job

    def encoded(self, run: Context, rows: "DataFrame") -> "DataFrame":  # noqa: ARG002
        """Returns the rows with the columns that the pipeline takes."""
        return rows

    @abstractmethod
    def stages(self, training: Context, root: str) -> list[Any]:
        """Trains the model, and returns the stages of the fitted pipeline.

        Writes other files below `root` if the reference predictions need them.
        """


class XGBoostSparkTransform(Transform):
    """The `transform` of xgboost.spark's model, in which a pandas UDF loads the booster once for each task.

    Differs: xgboost.spark trained the model of this engine, with the same parameters as the other engines' model.
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
    """The `transform` of an MLlib pipeline, which predicts row by row in the JVM.

    Differs: MLlib trained the model of this engine, with the same parameters as the other engines' model.
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
"""For each format of a workload's models, the engine that trains MLlib's model of this workload."""
