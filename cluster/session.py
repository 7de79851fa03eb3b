"""A Spark session from a cluster profile, and what can be said of it."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.eventlog import EventLog
from cluster.processes import thread_variables
from cluster.profile import Budget, ClusterProfile
from sparkscale.contract.case import SLICES
from sparkscale.contract.errors import ClusterError

SECRET_NAME = re.compile(r"secret|password|passwd|token|credential|access[._-]?key|private[._-]?key", re.IGNORECASE)
URL_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
REDACTED = "*** redacted ***"


@dataclass
class SparkRuntime:
    """A running session with its event log. `jvm` names the JVM that it lives in: the application's id."""

    spark: Any
    jvm: str
    events: EventLog

    def tidy(self) -> None:
        """Between cases: forgets cached data.

        No garbage collection is forced: a full one gives memory back, and the next case would pay for its return.
        """
        self.spark.catalog.clearCache()

    def conf(self) -> dict[str, str]:
        """The effective configuration, secrets redacted."""
        return {key: redact(key, value) for key, value in sorted(self.spark.sparkContext.getConf().getAll())}

    def java(self) -> dict[str, str]:
        """Version and vendor of the JVM, and the BLAS that it loaded."""
        system = self.spark.sparkContext._jvm.java.lang.System
        return {
            "java_version": system.getProperty("java.vm.version"),
            "java_vendor": system.getProperty("java.vendor"),
            "jvm_blas": self._blas(),
        }

    def _blas(self) -> str:
        """The class that MLlib's linear algebra calls: a native library's, the Vector API's, or plain Java's."""
        from py4j.protocol import Py4JJavaError

        netlib = self.spark.sparkContext._jvm.dev.ludovic.netlib.blas
        try:
            found = netlib.NativeBLAS.getInstance()
        except Py4JJavaError:
            found = netlib.JavaBLAS.getInstance()
        return str(found.getClass().getSimpleName())

    def stop(self) -> None:
        self.spark.stop()


def start(profile: ClusterProfile, budget: Budget, threads: int, scratch: Path) -> SparkRuntime:
    """Starts the session of a worker. `threads` is what each task may use; everything Spark writes goes below
    `scratch`.

    Raises ClusterError when Spark does not start.
    """
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    events = scratch / "events"
    events.mkdir(parents=True)
    os.environ.update(PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1")
    builder = SparkSession.builder.master(f"local[{budget.cores}]").appName("sparkscale")
    for key, value in {**_conf(budget, threads, scratch, events), **dict(profile.conf)}.items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
    except PySparkException as error:
        raise ClusterError(f"Spark does not start on cluster '{profile.name}': {error}.") from error
    spark.sparkContext.setLogLevel("WARN")
    return SparkRuntime(spark, spark.sparkContext.applicationId, EventLog(spark, events))


def _conf(budget: Budget, threads: int, scratch: Path, events: Path) -> dict[str, str]:
    workers = {f"spark.executorEnv.{name}": value for name, value in thread_variables(threads).items()}
    return {
        "spark.driver.memory": f"{budget.heap_bytes // 2**20}m",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.task.cpus": str(threads),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
        "spark.local.dir": str(scratch / "local"),
        "spark.sql.warehouse.dir": (scratch / "warehouse").as_uri(),
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.shuffle.partitions": str(budget.cores),
        # a sample is up to 64 folders; above this number Spark lists them in a job of as many tasks
        "spark.sql.sources.parallelPartitionDiscovery.threshold": str(SLICES),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
        **workers,
    }


def redact(key: str, value: str) -> str:
    """A configuration value as it may be stored: nothing secret by its name, no credentials inside a URL."""
    if SECRET_NAME.search(key):
        return REDACTED
    return URL_CREDENTIALS.sub(REDACTED, value)
