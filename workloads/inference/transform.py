"""Engines that let a library of Spark's apply its own models: `transform` of a fitted pipeline."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW
from sparkscale.contract.location import for_spark, join
from sparkscale.contract.model import PreparedModel
from workloads.base import SPARK_CONTEXT, Sample, SparkEngine
from workloads.data_parallel.gradient_boosting import MLlibGBT, XGBoostSpark
from workloads.data_parallel.mlp import MLlibPerceptron
from workloads.data_parallel.one_hot import MLlibOneHot
from workloads.data_parallel.pattern import FEATURES, one_hot_vectors
from workloads.data_parallel.random_forest import MLlibForest
from workloads.data_parallel.trees import MLlibTrees
from workloads.datasets.slicing import write_file
from workloads.frames import spark_rows
from workloads.inference import mllib
from workloads.inference.formats import Format, Ubjson
from workloads.inference.job import Job, load
from workloads.inference.models import (
    SCORE,
    Scored,
    as_prepared,
    content_of,
    prepare_model,
    prepare_reference,
    training_of,
)
from workloads.inference.output import Output
from workloads.inference.pattern import InferenceEngine, InferenceParams

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
    trainer: ClassVar[type[SparkEngine]]
    package: ClassVar[str]

    def arguments(self, params: InferenceParams, sample: Sample) -> dict[str, Any]:
        return self.trainer().arguments(params.model, sample)

    def prepared_model(self, run: Context) -> PreparedModel:
        params = self.params(run)
        training = training_of(run, self.trainer, params.model, params.train_fraction)

        def build(root: str) -> tuple[dict[str, Any], dict[str, str]]:
            from pyspark.ml import PipelineModel

            stages = self.stages(training, root)
            PipelineModel(stages).write().save(for_spark(join(root, PIPELINE)))
            return {}, {}

        root, manifest = prepare_model(training, self.trainer, self.package, build)
        model = as_prepared(root, manifest, ("", ""))
        return as_prepared(root, manifest, prepare_reference(run, manifest, lambda: self.reference(run, model)))

    def load(self, run: Context) -> tuple[Job, "DataFrame"]:
        from pyspark.ml import PipelineModel
        from pyspark.ml.functions import vector_to_array
        from pyspark.sql.functions import col

        job = self.job(run)
        with job.noted():
            for file in job.model.files:  # what is saved of a stage may hold a pickle, too
                content_of(job.model, file.path)
            model = PipelineModel.load(for_spark(join(job.model.root, PIPELINE)))
        rows = spark_rows(run, run.train_paths).select(ROW, *run.data.features)
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

    @abstractmethod
    def reference(self, run: Context, model: PreparedModel) -> Scored:
        """The same predictions, without Spark."""


class XGBoostSparkTransform(Transform):
    """xgboost.spark's model, transformed: a pandas UDF of its own that loads the booster once for each task."""

    name = "xgboost-spark-transform"
    needs = frozenset({SPARK_CONTEXT})
    trainer = XGBoostSpark
    package = "xgboost"

    def stages(self, training: Context, root: str) -> list[Any]:
        engine = XGBoostSpark()
        model = engine.made(training).fit(engine.load(training))
        write_file(root, Ubjson.file, bytes(model.get_booster().save_raw("ubj")))
        return [model]

    def reference(self, run: Context, model: PreparedModel) -> Scored:
        return load(Ubjson(), model, run.data, run.cores, "cpu").scores


class MLlibTransform(Transform):
    """An MLlib pipeline's `transform`, row by row in the JVM.

    Differs: its model is MLlib's own, of the same parameters.
    """

    name = "mllib-transform"
    package = "pyspark"

    @classmethod
    def made_for(cls, form: type[Format], kind: type[InferenceParams]) -> "type[InferenceEngine]":
        trainer = TRAINERS[form.name]
        return cls.specialised(trainer, format=form, kind=kind, trainer=trainer)

    def encoded(self, run: Context, rows: "DataFrame") -> "DataFrame":
        return one_hot_vectors(run, rows) if issubclass(self.trainer, MLlibOneHot) else rows

    def stages(self, training: Context, root: str) -> list[Any]:  # noqa: ARG002
        from pyspark.ml.feature import VectorAssembler

        engine: Any = self.trainer()
        model = engine.fit(training, engine.load(training))
        if issubclass(self.trainer, MLlibTrees):
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
