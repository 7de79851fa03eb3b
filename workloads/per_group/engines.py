"""The engines of the per-group pattern. All call the same trainer, but bring the groups to it in different ways."""

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

ENGINES: tuple[type[GroupEngine], ...] = (
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
    """Returns all engines, bound to this trainer."""
    return tuple(engine.made_for(trainer) for engine in ENGINES)
