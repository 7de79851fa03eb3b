"""Parallel tuning, for asv."""

from typing import ClassVar

from sparkscale.history.asv_benchmarks import TIMEOUT, Recorded, begun, span, tracked, version
from sparkscale.history.grid import Axes, Point


@tracked
class Tuning(Recorded):
    pattern = "tuning"
    params: ClassVar[Axes] = span("tuning")
    param_names = Point._fields
    timeout = TIMEOUT
    number = 1
    repeat = 1
    rounds = 1
    warmup_time = 0.0
    version = version("tuning")

    def setup_cache(self) -> str:
        """The run that holds the records: this class's own, for asv shares one that is inherited."""
        return begun()
