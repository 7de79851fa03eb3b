"""The engines of the inference pattern. All apply the same model, but bring the rows to it in different ways."""

from workloads.base import Engine
from workloads.inference.formats import Format
from workloads.inference.node import Joblib, SingleProcess
from workloads.inference.pattern import InferenceEngine, InferenceParams
from workloads.inference.spark import (
    ArrowIn,
    ArrowUdf,
    MapInArrow,
    MapInPandas,
    PandasUdf,
    PandasUdfCached,
    PandasUdfIterator,
    ParquetMap,
    PredictBatchUdf,
)
from workloads.inference.transform import MLlibTransform

ENGINES: tuple[type[InferenceEngine], ...] = (
    SingleProcess,
    Joblib,
    PandasUdf,
    PandasUdfCached,
    PandasUdfIterator,
    MapInPandas,
    MapInArrow,
    ArrowUdf,
    PredictBatchUdf,
    MLlibTransform,
    ArrowIn,
    ParquetMap,
)


def engines_for(form: type[Format], kind: type[InferenceParams]) -> tuple[type[Engine], ...]:
    """Returns all engines, bound to the models' format and to the class of the workload's parameters."""
    return tuple(engine.made_for(form, kind) for engine in ENGINES)
