"""The engines of the per-group pattern, side by side: the same trainer, reached in different ways."""

from workloads.base import Engine
from workloads.per_group.laid_out import JoblibLaidOut, ParquetGroups
from workloads.per_group.node import Joblib, PandasLoop
from workloads.per_group.pattern import GroupEngine
from workloads.per_group.spark import (
    ApplyInArrow,
    ApplyInPandas,
    ApplyInPandasBucketed,
    GroupedMap,
)
from workloads.per_group.training import Trainer

WAYS: tuple[type[GroupEngine], ...] = (
    PandasLoop,
    Joblib,
    JoblibLaidOut,
    ApplyInPandas,
    GroupedMap,
    ApplyInPandasBucketed,
    ApplyInArrow,
    ParquetGroups,
)


def engines_for(trainer: type[Trainer]) -> tuple[type[Engine], ...]:
    """Every engine, with this trainer."""
    return tuple(way.made_for(trainer) for way in WAYS)
