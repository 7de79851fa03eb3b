"""The engines of the tuning pattern. All train the same models, but search in different ways."""

from workloads.base import Engine
from workloads.tuning.node import GridSearch, Hyperopt, OptunaJoblib, RandomJoblib
from workloads.tuning.pattern import TuningParams
from workloads.tuning.spark import HyperoptMLlib, HyperoptSparkTrials, MLlibCrossValidator, OptunaSpark


def engines_for(
    kind: type[TuningParams], single_node: type[Engine], mllib: type[Engine], *imports: str
) -> tuple[type[Engine], ...]:
    """Returns all engines, bound to these parameters and models.

    `imports` names the modules that a process imports before it trains the single-node model.
    """
    return (
        GridSearch.made_for(kind, single_node, imports),
        RandomJoblib.made_for(kind, single_node, imports),
        Hyperopt.made_for(kind, single_node, imports),
        HyperoptSparkTrials.made_for(kind, single_node, imports),
        HyperoptMLlib.made_for(kind, mllib),
        MLlibCrossValidator.made_for(kind, mllib),
        OptunaJoblib.made_for(kind, single_node, imports),
        OptunaSpark.made_for(kind, single_node, imports),
    )
