"""A model that goes wrong on purpose, in the processes that engines start: it is imported there by name."""

import os
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from sparkscale.contract.context import Context
from workloads.base import Workload
from workloads.data_parallel.gradient_boosting import BoostingParams, MLlibGBT, XGBoost
from workloads.tuning.engines import engines_for
from workloads.tuning.pattern import JUDGED, TUNING, TuningParams
from workloads.tuning.space import Dimension, Range

RAISING, HANGING, GREEDY, DYING = 2, 3, 4, 5
"""Depths at which it does; with others it trains."""
MEETING = 10
"""From this depth on a trial waits for another one, and then trains."""


class Faulty(XGBoost):
    """Trees that raise, hang, exhaust the memory, or end their process."""

    def fit(self, run: Context, train: Any) -> Any:
        depth = run.arguments["max_depth"]
        if depth == RAISING:
            raise ZeroDivisionError("made to fail")
        while depth == HANGING:
            time.sleep(1000)
        held = []
        while depth == GREEDY:
            held.append(np.empty(2**23))  # the limit counts what is asked for
        if depth == DYING:
            os._exit(3)
        if depth >= MEETING:
            meet(Path(run.storage) / "trials")
        return super().fit(run, train)


def meet(folder: Path) -> None:
    """Waits until two trials have begun, at most a minute, and then for a second, in which a third may begin."""
    folder.mkdir(exist_ok=True)
    (folder / uuid4().hex).touch()
    latest = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2 and time.monotonic() < latest:
        time.sleep(0.02)
    time.sleep(1)


class FaultyParams(TuningParams):
    """One parameter decides."""

    model: BoostingParams = BoostingParams(trees=5)
    space: dict[str, Dimension] = {"depth": Range(low=2, high=9, whole=True)}


WORKLOAD = Workload(
    name="tuning.faulty",
    summary="Trees that fail at some depths",
    pattern=TUNING,
    quality=JUDGED,
    params=FaultyParams(trials=8, random_starts=4, trial_deadline_seconds=3.0, trial_memory_bytes=3 * 2**28),
    engines=engines_for(FaultyParams, Faulty, MLlibGBT, "xgboost"),
)
