"""Where the seconds of an xgboost.spark training go, as its workers see them."""

import json
import time
from itertools import pairwise
from typing import Any

from sparkscale.contract.context import Context

ATTRIBUTE = "sparkscale_timeline"


def timeline() -> Any:
    """A callback that writes its moments into the model: when the process of its worker began, when it had unpickled
    the training, when it had its rows and began to train, and when it had trained. Seconds of time.time().
    """
    from xgboost.callback import TrainingCallback

    class Timeline(TrainingCallback):
        def __init__(self) -> None:
            self.moments: dict[str, float] = {}

        def __setstate__(self, state: dict[str, Any]) -> None:
            import psutil

            self.__dict__.update(state)  # of an object without any, pickle would not call this
            self.moments = {"process": psutil.Process().create_time(), "unpickled": time.time()}

        def before_training(self, model: Any) -> Any:
            self.moments["rows"] = time.time()
            return model

        def after_training(self, model: Any) -> Any:
            self.moments["trained"] = time.time()
            model.set_attr(**{ATTRIBUTE: json.dumps(self.moments)})
            return model

    return Timeline()


def tell(run: Context, booster: Any, began: float) -> None:
    """Adds the figures seconds_starting (Spark's planning, and the start of a worker that was not there before),
    _importing (of such a worker), _transferring (rows from the JVM, and their bins), _training and _returning.
    """
    ended = time.time()
    moments = json.loads(booster.attr(ATTRIBUTE))
    fresh = moments["process"] > began
    started = moments["process"] if fresh else moments["unpickled"]
    marks = (began, started, moments["unpickled"], moments["rows"], moments["trained"], ended)
    names = ("starting", "importing", "transferring", "training", "returning")
    for name, (earlier, later) in zip(names, pairwise(marks), strict=True):
        run.figure(f"seconds_{name}", max(0.0, later - earlier))
