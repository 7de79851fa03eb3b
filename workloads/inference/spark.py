"""Engines on Spark that call the same model through the different interfaces of PySpark for Python functions."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW
from workloads.base import SparkEngine
from workloads.inference.formats import Predictor
from workloads.inference.job import Job
from workloads.inference.models import SCORE
from workloads.inference.output import Output
from workloads.inference.pattern import InferenceEngine
from workloads.inference.shares import even_shares, write_share
from workloads.inference.spark_input import rows_to_predict
from workloads.io.filesystem import row_groups
from workloads.libraries.tasks import SparkTasks, raised_in_task
from workloads.quality.scoring import Array

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

Loaded = tuple[Job, "DataFrame"]


class OnSpark(InferenceEngine, SparkEngine):
    """Base of engines in which Spark reads rows, passes batches to a Python function, and writes the predictions.

    No row is read before `predict`.
    """

    trains_in_tasks = True
    keeps_processes = True

    def load(self, run: Context) -> Loaded:
        job = self.job(run)
        return job, self.scored(job, rows_to_predict(run, job.batch_rows))

    @abstractmethod
    def scored(self, job: Job, rows: "DataFrame") -> "DataFrame":
        """Returns a DataFrame with the columns ROW and SCORE. It may have further columns."""

    def written(self, run: Context, loaded: Loaded, output: Output) -> Job:  # noqa: ARG002
        job, frame = loaded
        with raised_in_task():
            output.write_frame(frame.select(ROW, SCORE))
        return job


class ByColumn(OnSpark):
    """Base of engines that call a function of columns. The function gets the features as one struct."""

    udf: ClassVar[str] = "pandas_udf"
    """The name of the wrapper in pyspark.sql.functions that turns a Python function into a function of columns."""

    def scored(self, job: Job, rows: "DataFrame") -> "DataFrame":
        from pyspark.sql import functions

        column_function = getattr(functions, self.udf)(self.function(job), "double")
        return rows.withColumn(SCORE, column_function(functions.struct(*job.data.features)))

    @abstractmethod
    def function(self, job: Job) -> Callable[[Any], Any]:
        """Returns a function that takes either one batch or an iterator of batches.

        Spark sees from the function's type annotations which of the two it takes.
        """


class PandasUdf(ByColumn):
    """A scalar pandas UDF with a common mistake: it loads the model again for each batch."""

    name = "pandas-udf"

    def function(self, job: Job) -> Callable[[Any], Any]:
        import pandas as pd

        def score(frame: pd.DataFrame) -> pd.Series:
            return pd.Series(scores_of_frame(job, job.predictor(), frame))

        return score


class PandasUdfCached(ByColumn):
    """A scalar pandas UDF that keeps the model in the Python worker for all tasks of the query."""

    name = "pandas-udf-cached"

    def function(self, job: Job) -> Callable[[Any], Any]:
        import pandas as pd

        def score(frame: pd.DataFrame) -> pd.Series:
            return pd.Series(scores_of_frame(job, cached(job), frame))

        return score


class PandasUdfIterator(ByColumn):
    """An iterator pandas UDF, which loads the model once for each task."""

    name = "pandas-udf-iterator"

    def function(self, job: Job) -> Callable[[Any], Any]:
        import pandas as pd

        def score(frames: Iterator[pd.DataFrame]) -> Iterator[pd.Series]:
            predictor = job.predictor()
            for frame in frames:
                yield pd.Series(scores_of_frame(job, predictor, frame))

        return score


class ArrowUdf(ByColumn):
    """An iterator UDF on Arrow arrays without pandas (Spark 4.1), which loads the model once for each task."""

    name = "arrow-udf"
    udf = "arrow_udf"

    def function(self, job: Job) -> Callable[[Any], Any]:
        def score(arrays: Iterator[pa.Array]) -> Iterator[pa.Array]:
            predictor = job.predictor()
            for array in arrays:
                batch = pa.RecordBatch.from_struct_array(array)
                yield pa.array(job.scores(predictor, pa.Table.from_batches([batch])))

        return score


class PredictBatchUdf(OnSpark):
    """pyspark.ml's predict_batch_udf, which passes features as a matrix and keeps the model in the Python worker.

    Differs: passes features as an array in single precision. The models compute in single precision, too.
    """

    name = "predict-batch-udf"

    def scored(self, job: Job, rows: "DataFrame") -> "DataFrame":
        from pyspark.ml.functions import predict_batch_udf
        from pyspark.sql.functions import array, col
        from pyspark.sql.types import DoubleType

        names = job.data.features

        def make_predict() -> Callable[[Any], Any]:
            predictor = job.predictor()

            def predict(matrix: Any) -> Any:
                table = pa.table({name: pa.array(matrix[:, position]) for position, name in enumerate(names)})
                return job.scores(predictor, table)

            return predict

        score = predict_batch_udf(
            make_predict, return_type=DoubleType(), batch_size=job.batch_rows, input_tensor_shapes=[[len(names)]]
        )
        return rows.withColumn(SCORE, score(array(*(col(name).cast("float") for name in names))))


class MapInPandas(OnSpark):
    """mapInPandas with whole batches as pandas DataFrames, row ids included.

    It loads the model once for each task.
    """

    name = "map-in-pandas"

    def scored(self, job: Job, rows: "DataFrame") -> "DataFrame":
        def score(frames: Iterator["pd.DataFrame"]) -> Iterator["pd.DataFrame"]:
            import pandas as pd

            predictor = job.predictor()
            for frame in frames:
                yield pd.DataFrame({ROW: frame[ROW], SCORE: scores_of_frame(job, predictor, frame)})

        return rows.mapInPandas(score, SCHEMA)


class MapInArrow(OnSpark):
    """mapInArrow with whole Arrow batches, row ids included. It loads the model once for each task."""

    name = "map-in-arrow"

    def scored(self, job: Job, rows: "DataFrame") -> "DataFrame":
        def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            predictor = job.predictor()
            for batch in batches:
                yield from job.predicted(predictor, pa.Table.from_batches([batch])).to_batches()

        return rows.mapInArrow(score, SCHEMA)


class ArrowIn(MapInArrow):
    """mapInArrow with tasks that write the predictions themselves, with PyArrow.

    Rows pass through the JVM only when they are read. So the difference from `parquet-map` is the part of the
    Spark tax for reading, and the difference from `map-in-arrow` is the part for writing.
    """

    name = "arrow-in"

    def scored(self, job: Job, rows: "DataFrame") -> "DataFrame":  # noqa: ARG002 - the writing tasks predict
        return rows

    def written(self, run: Context, loaded: Loaded, output: Output) -> Job:  # noqa: ARG002
        job, frame = loaded

        def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            predictor = job.predictor()
            tables = (job.predicted(predictor, pa.Table.from_batches([batch])) for batch in batches)
            yield pa.RecordBatch.from_pydict({"part": [output.write(tables)]})

        output.begin()
        with raised_in_task():
            parts = frame.mapInArrow(write, "part string").toArrow()
        output.commit(parts.column("part").to_pylist())
        return job


class ParquetMap(InferenceEngine, SparkEngine):
    """Spark tasks that read row groups with PyArrow, predict, and write Parquet. No row passes through the JVM.

    There are as many tasks as can run at once, and each loads the model once.
    """

    name = "parquet-map"
    trains_in_tasks = True
    keeps_processes = True

    def load(self, run: Context) -> Job:
        return self.job(run)

    def written(self, run: Context, loaded: Job, output: Output) -> Job:
        shares = even_shares(row_groups(run.train_paths), run.slots)

        output.begin()
        with raised_in_task():
            names = SparkTasks(run.spark).map(lambda share: write_share(loaded, output, share), shares)
        output.commit(names)
        return loaded


SCHEMA = f"{ROW} long, {SCORE} double"
"""The schema PREDICTION in Spark's notation."""


def scores_of_frame(job: Job, predictor: Predictor, frame: "pd.DataFrame") -> Array:
    """Returns the predictions for a pandas DataFrame; shape (rows,). The DataFrame's arrays are not copied."""
    table = pa.table({name: pa.array(frame[name].to_numpy()) for name in job.data.features})
    return job.scores(predictor, table)


_cached: dict[str, Predictor] = {}


def cached(job: Job) -> Predictor:
    """Returns the job's loaded model.

    The first call for a job in a process loads the model, and drops the model of an earlier job.
    """
    if job.id not in _cached:
        _cached.clear()
        _cached[job.id] = job.predictor()
    return _cached[job.id]
