"""The asv class for data-parallel engines that do most of their work at prediction, such as nearest neighbours."""

from typing import ClassVar

from sparkscale.history.asv_benchmarks import TIMEOUT, Recorded, run_to_read, span, tracked, version
from sparkscale.history.grid import Axes, Point


@tracked
class DataParallelLazy(Recorded):
    pattern = "data_parallel_lazy"
    params: ClassVar[Axes] = span("data_parallel_lazy")
    param_names = Point._fields
    timeout = TIMEOUT
    number = 1
    repeat = 1
    rounds = 1
    warmup_time = 0.0
    version = version("data_parallel_lazy")

    def setup_cache(self) -> str:
        """Returns the id of the run with the records.

        Each class has this method itself, because asv would run an inherited method only once for all classes.
        """
        return run_to_read()
