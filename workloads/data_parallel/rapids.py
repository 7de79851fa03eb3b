"""Bases of engines on GPUs: cuML replaces scikit-learn on one node, and spark_rapids_ml replaces pyspark.ml.

An engine with such a base is also a subclass of a CPU engine, and makes the same calls to the other library. cuML
and spark_rapids_ml are optional and need CUDA. `pip install 'sparkscale[rapids]'` installs them.
"""

from functools import partial
from typing import Any, ClassVar

from sparkscale.contract.case import Device
from sparkscale.contract.context import Context
from workloads.base import SPARK_CONTEXT, Capability, Engine
from workloads.libraries.tasks import ranks_of

GPU: frozenset[Device] = frozenset({"gpu"})
FALL_BACK = "spark.rapids.ml.cpu.fallback.enabled"


class Cuml(Engine):
    """cuML's estimators in place of scikit-learn's."""

    name: ClassVar[str] = "cuml"
    library = "cuml"
    devices = GPU
    packages = ("cuml",)
    extra = "rapids"

    def estimator(self, run: Context, name: str) -> Any:
        """Returns a class of cuML, and makes cuML return NumPy arrays for every type of input."""
        import cuml

        cuml.set_global_output_type("numpy")
        return super().estimator(run, name)


class Rapids(Engine):
    """spark_rapids_ml's estimators in place of pyspark.ml's.

    Each GPU has a barrier task. The barrier tasks communicate by NCCL.
    """

    name: ClassVar[str] = "spark-rapids-ml"
    keeps_processes = True
    library = "spark_rapids_ml"
    devices = GPU
    needs: ClassVar[frozenset[Capability]] = frozenset({SPARK_CONTEXT})
    packages = ("spark_rapids_ml", "cuml")
    extra = "rapids"

    def estimator(self, run: Context, name: str) -> Any:
        """Returns a function that makes an estimator with one worker per GPU and the precision of pyspark.ml.

        If spark_rapids_ml does not support a parameter, the estimator raises an error instead of training on CPUs.
        """
        run.spark.conf.set(FALL_BACK, "false")
        return partial(super().estimator(run, name), num_workers=ranks_of(run), float32_inputs=False)
