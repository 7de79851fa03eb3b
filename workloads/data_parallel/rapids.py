"""The GPU's drop-in libraries: cuML for scikit-learn on one node, spark_rapids_ml for pyspark.ml on Spark.

Their engines are the classes of the CPU engines, with another library behind the same calls. Both libraries are
optional, and both need CUDA: `pip install 'sparkscale[rapids]'`.
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
        """Returns an estimator that always returns NumPy arrays, whatever its input is."""
        import cuml

        cuml.set_global_output_type("numpy")
        return super().estimator(run, name)


class Rapids(Engine):
    """spark_rapids_ml's estimators in place of pyspark.ml's: a barrier task per GPU, with NCCL between them."""

    name: ClassVar[str] = "spark-rapids-ml"
    keeps_processes = True
    library = "spark_rapids_ml"
    devices = GPU
    needs: ClassVar[frozenset[Capability]] = frozenset({SPARK_CONTEXT})
    packages = ("spark_rapids_ml", "cuml")
    extra = "rapids"

    def estimator(self, run: Context, name: str) -> Any:
        """Returns an estimator on the GPUs that the profile grants, in the precision of pyspark.ml.

        It refuses a parameter that it cannot honour on a GPU, instead of training on CPUs.
        """
        run.spark.conf.set(FALL_BACK, "false")
        return partial(super().estimator(run, name), num_workers=ranks_of(run), float32_inputs=False)
