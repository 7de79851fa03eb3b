"""Divides the time of an xgboost.spark training into steps. XGBoost's workers record when each step ends."""

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
"""The methods of BarrierTaskContext in which XGBoost's workers wait for each other. Spark checks once a second which
workers have arrived."""


def timeline() -> Any:
    """Returns a callback that stores the times of the training's steps in the model, in seconds of time.time().

    The callback stores four times of an XGBoost worker: the start of its process, the end of unpickling, the start
    of training (when the worker has its rows), and the end of training. It also stores for how many seconds the
    worker waited for the other workers.
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
            """Measures how long this Spark task waits for others: wraps the methods in which it waits (MEETINGS).

            In a reused process, it replaces the wrappers of an earlier task.
            """
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
    """Returns the start time of this process in seconds of time.time().

    Works on Linux only (proc(5): `starttime` of /proc/self/stat).
    """
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")


def add_figures(run: Context, booster: Any, began: float) -> None:
    """Adds the figures `seconds_…`. `began` is the time when `fit` began, in seconds of time.time().

    `starting` is Spark's planning and the start of a new XGBoost worker. `importing` is the imports of a new
    worker; 0 if the process is reused. `waiting` is the time for which the worker waits for other workers before
    it gets rows. `transferring` is the transfer of the rows from the JVM and their binning. `training` is the
    training itself. `returning` is the remaining time, which begins with another wait for the other workers.

    No figures are added if XGBoost's workers are on other hosts, because the hosts' clocks differ.
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
