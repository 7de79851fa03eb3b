"""Divides the seconds of an xgboost.spark training into steps, as its workers record them."""

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
"""The methods of BarrierTaskContext in which workers wait for each other. Spark checks once a second who arrived."""


def timeline() -> Any:
    """Returns a callback that writes moments into the model, in seconds of time.time().

    They are: when the worker's process began, when it had unpickled the training, when it had its rows and began to
    train, and when it had trained. It also writes how many seconds it had then waited for the other workers.
    """
    from xgboost.callback import TrainingCallback

    class Timeline(TrainingCallback):
        def __init__(self) -> None:
            self.moments: dict[str, float] = {}

        def __setstate__(self, state: dict[str, Any]) -> None:
            # pickle calls this only if the object has attributes, so __init__ sets `moments`
            self.__dict__.update(state)
            self.moments = {"process": process_began(), "unpickled": time.time(), "waited": 0.0}
            self._watch()

        def _watch(self) -> None:
            """Adds up this task's waiting time. Replaces the wrapper of an earlier task in a reused process."""
            from pyspark import BarrierTaskContext

            for name in MEETINGS:
                method = getattr(BarrierTaskContext, name)
                method = getattr(method, "__wrapped__", method)
                setattr(BarrierTaskContext, name, self._timed(method))

        def _timed(self, method: Any) -> Any:
            @wraps(method)
            def timed(*arguments: Any, **keywords: Any) -> Any:
                began = time.time()
                try:
                    return method(*arguments, **keywords)
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
    """Returns when this process started, in time.time() seconds; Linux (proc(5): `starttime` of /proc/self/stat)."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")


def add_figures(run: Context, booster: Any, began: float) -> None:
    """Adds the figures `seconds_…`. Adds none if the workers are on other hosts, because their clocks differ.

    `starting` is Spark's planning and the start of a new worker, `importing` the imports of a new worker, `waiting`
    the time before the rows in which it waits for other workers, `transferring` the rows from the JVM and their bins,
    `training` the training, and `returning` the rest, which begins with waiting for the other workers again.
    """
    if run.case.cluster_kind == "external":
        return
    ended = time.time()
    moments = json.loads(booster.attr(ATTRIBUTE))
    is_new_worker = moments["process"] > began
    started = moments["process"] if is_new_worker else moments["unpickled"]
    waited = moments["unpickled"] + moments["waited"]
    marks = (began, started, moments["unpickled"], waited, moments["rows"], moments["trained"], ended)
    for figure, (earlier, later) in zip(FIGURES, pairwise(marks), strict=True):
        run.figure(figure.name, max(0.0, later - earlier))
