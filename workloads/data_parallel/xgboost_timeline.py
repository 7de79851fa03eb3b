"""Where the seconds of an xgboost.spark training go, as its workers see them."""

import json
import os
import time
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any

from sparkscale.contract.context import Context
from sparkscale.contract.declared import Figure

ATTRIBUTE = "sparkscale_timeline"
FIGURES = tuple(
    Figure(name=f"seconds_{name}", unit="s", direction="lower")
    for name in ("starting", "importing", "waiting", "transferring", "training", "returning")
)
MEETINGS = ("barrier", "allGather")
"""By these methods of BarrierTaskContext workers wait for each other; Spark looks once a second whether all came."""


def timeline() -> Any:
    """A callback that writes its moments into the model: when the process of its worker began, when it had unpickled
    the training, when it had its rows and began to train, and when it had trained; and how long it had then waited
    for the other workers. Seconds of time.time().
    """
    from xgboost.callback import TrainingCallback

    class Timeline(TrainingCallback):
        def __init__(self) -> None:
            self.moments: dict[str, float] = {}

        def __setstate__(self, state: dict[str, Any]) -> None:
            self.__dict__.update(state)  # of an object without any, pickle would not call this
            self.moments = {"process": process_began(), "unpickled": time.time(), "waited": 0.0}
            self._watch()

        def _watch(self) -> None:
            """Adds up the time of this task's own meetings; a reused process may hold an earlier task's watch."""
            from pyspark import BarrierTaskContext

            for name in MEETINGS:
                method = getattr(BarrierTaskContext, name)
                method = getattr(method, "__wrapped__", method)
                setattr(BarrierTaskContext, name, self._timed(method))

        def _timed(self, method: Any) -> Any:
            @wraps(method)
            def timed(*arguments: Any, **words: Any) -> Any:
                began = time.time()
                try:
                    return method(*arguments, **words)
                finally:
                    self.moments["waited"] += time.time() - began

            return timed

        def before_training(self, model: Any) -> Any:
            self.moments["rows"] = time.time()
            return model

        def after_training(self, model: Any) -> Any:
            self.moments["trained"] = time.time()
            model.set_attr(**{ATTRIBUTE: json.dumps(self.moments)})
            return model

    return Timeline()


def process_began() -> float:
    """When this process started, in seconds of time.time(); Linux (proc(5): `starttime` of /proc/self/stat)."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")


def tell(run: Context, booster: Any, began: float) -> None:
    """Adds the figures seconds_starting (Spark's planning, and the start of a worker that was not there before),
    _importing (of such a worker), _waiting (for the other workers, before the rows), _transferring (rows from the
    JVM, and their bins), _training and _returning (which begins with waiting for the others once more). None where
    the workers are on other hosts, whose clocks differ.
    """
    if run.case.cluster_kind == "external":
        return
    ended = time.time()
    moments = json.loads(booster.attr(ATTRIBUTE))
    fresh = moments["process"] > began
    started = moments["process"] if fresh else moments["unpickled"]
    met = moments["unpickled"] + moments["waited"]
    marks = (began, started, moments["unpickled"], met, moments["rows"], moments["trained"], ended)
    for figure, (earlier, later) in zip(FIGURES, pairwise(marks), strict=True):
        run.figure(figure.name, max(0.0, later - earlier))
