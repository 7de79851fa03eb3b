"""The engines of the inference pattern, side by side: the same model, reached in different ways."""

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

WAYS: tuple[type[InferenceEngine], ...] = (
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
    """Every engine that asks models of this format."""
    return tuple(way.made_for(form, kind) for way in WAYS)
