"""Starts a Spark session from a cluster profile, and describes it."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from cluster import code_zip, gpu
from cluster.budget import Budget
from cluster.endpoint import Endpoint
from cluster.eventlog import EventLog
from cluster.profile import ClusterProfile, Emulated, External, Local, SparkDaemons, Standalone
from cluster.settings import JAVA_TEMPORARY, driver_address, master, session_settings, write_settings
from sparkscale.contract import redaction
from sparkscale.contract.case import Device
from sparkscale.contract.errors import ClusterError

ANSWER_SECONDS = 60.0
END_SECONDS = 1.0


@dataclass
class SparkRuntime:
    """A running Spark session. `events` is its event log. It is None if this host cannot read the log.

    `jvm` is the id of the Spark application. Records name a JVM by the id of the first application in it.
    """

    spark: Any
    jvm: str
    events: EventLog | None
    is_connect: bool = False

    def tidy(self) -> None:
        """Removes cached data. Call this between cases.

        This method forces no garbage collection. A full collection gives memory back to the system, and the next
        case would spend time to get this memory again.
        """
        self.spark.catalog.clearCache()

    def conf(self) -> dict[str, str]:
        """Returns the effective configuration of the session, with secrets redacted."""
        settings = self.spark.conf.getAll if self.is_connect else dict(self.spark.sparkContext.getConf().getAll())
        return {key: redaction.setting(key, str(value)) for key, value in sorted(settings.items())}

    def java(self) -> dict[str, str | None]:
        """Returns the versions of Java and its JVM, the vendor of Java, and the BLAS that the JVM loaded."""
        version, release, vendor = (
            self._static("java.lang.System", "getProperty", f"java.{name}")
            for name in ("vm.version", "version", "vendor")
        )
        return {
            "java_version": version,
            "java_release": release,
            "java_vendor": vendor,
            "jvm_blas": self._blas(),
        }

    def _blas(self) -> str:
        """Returns the class that MLlib's linear algebra calls.

        This is a class of a native library, of the Vector API, or of plain Java.
        """
        instance = self._static("dev.ludovic.netlib.blas.NativeBLAS", "getInstance")
        instance = instance or self._static("dev.ludovic.netlib.blas.JavaBLAS", "getInstance")
        return str(instance).rsplit(".", 1)[-1].partition("@")[0]

    def _static(self, name: str, method: str, *arguments: str) -> str | None:
        """Calls a static method of the Java class `name`, and returns its result as text; None if it throws.

        In local mode py4j calls the method. SQL would warm up the new JVM, and make the first run look faster. On
        all other clusters the value must come from executors, so SQL calls the method.
        """
        if self.is_connect or not self.spark.sparkContext.master.startswith("local"):
            texts = ", ".join(f"'{part}'" for part in (name, method, *arguments))
            result = self.spark.sql(f"SELECT try_reflect({texts})").first()[0]
        else:
            from py4j.java_gateway import JavaObject
            from py4j.protocol import Py4JJavaError

            try:
                result = getattr(attrgetter(name)(self.spark.sparkContext._jvm), method)(*arguments)
            except Py4JJavaError:
                return None
            result = result.toString() if isinstance(result, JavaObject) else result
        return None if result is None else str(result)

    def alive(self) -> bool:
        """True if the driver's JVM still listens.

        A killed JVM closes its sockets before its process ends. So this method waits a moment for the end of the
        process, and then tries to connect.
        """
        if self.is_connect:
            return True
        gateway = self.spark.sparkContext._gateway
        if gateway.proc is None:
            return True
        try:
            gateway.proc.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return _listens(gateway.gateway_parameters.address, gateway.gateway_parameters.port)
        return False

    def stop(self) -> None:
        """Stops the session."""
        self.spark.stop()


def _listens(address: str, port: int) -> bool:
    """True if something accepts a connection at this address."""
    try:
        socket.create_connection((address, port), END_SECONDS).close()
    except OSError:
        return False
    return True


def start(
    profile: ClusterProfile, budget: Budget, endpoint: Endpoint, threads: int, device: Device, scratch: Path
) -> SparkRuntime:
    """Starts the Spark session of a worker.

    Each Spark task may use `threads` threads and computes on `device`. Spark writes everything on this host below
    `scratch`. If `device` is "gpu", this process and its children number GPUs as NVML does from then on.

    Raises ClusterError if the session does not start in time, or if an executor is missing then.
    """
    if device == "gpu":
        os.environ.update(gpu.ORDER)  # in local mode, ranks of a distributed training are children of this process
    (scratch / JAVA_TEMPORARY).mkdir(parents=True, exist_ok=True)
    runtime = (
        _connect(profile, endpoint)
        if endpoint.is_connect
        else _classic(profile, budget, endpoint, threads, device, scratch)
    )
    if endpoint.address != "local":
        code_zip.ship(runtime.spark, scratch)
    return runtime


def _classic(
    profile: ClusterProfile, budget: Budget, endpoint: Endpoint, threads: int, device: Device, scratch: Path
) -> SparkRuntime:
    from pyspark import SparkContext
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    events = scratch / "events"
    events.mkdir()
    settings = session_settings(profile, budget, endpoint, threads, device, scratch)
    # a local JVM outlives the session, and each of MLlib's Spark tasks has one thread
    in_jvm = 1 if isinstance(profile, Local) else threads
    os.environ.update(write_settings(scratch / "conf", settings, in_jvm), PYSPARK_PYTHON=_python(profile))
    if address := driver_address(endpoint):
        os.environ["SPARK_LOCAL_IP"] = address
    builder = SparkSession.builder.master(master(budget, endpoint)).appName("sparkscale")
    if SparkContext._gateway is not None:  # the JVM still runs, with the settings of its first session
        builder = builder.config(map={**settings})
    try:
        spark = builder.getOrCreate()
    except (PySparkException, OSError) as error:
        raise ClusterError(f"Spark does not start on cluster '{profile.name}': {error}.") from error
    except Exception as error:
        raise ClusterError(f"Spark does not start on cluster '{profile.name}': {_reason(error)}.") from error
    if isinstance(profile, SparkDaemons | External):
        _check_executors(profile, spark)
    return SparkRuntime(spark, spark.sparkContext.applicationId, EventLog(spark, events))


def _python(profile: ClusterProfile) -> str:
    if isinstance(profile, External):
        return profile.python or "python3"
    return (isinstance(profile, SparkDaemons) and profile.python) or sys.executable


def _reason(error: Exception) -> str:
    """Returns the status and the details of a gRPC error, or the first line of the JVM's exception."""
    status = re.search(r'status = StatusCode\.(\w+)\s+details = "([^"]*)', str(error))
    if status:
        return f"{status[1]}: {status[2]}".removesuffix(".")
    return str(getattr(error, "java_exception", None) or error).strip().splitlines()[0].removesuffix(".")


def _check_executors(profile: Standalone | Emulated | External, spark: Any) -> None:
    """Raises ClusterError if executors are missing.

    Spark has stopped waiting for them, and would run without them.
    """
    requested = profile.workers if isinstance(profile, SparkDaemons) else profile.executors
    present = len(spark.sparkContext._jsc.sc().statusTracker().getExecutorInfos()) - 1
    if present < requested:
        spark.stop()
        raise ClusterError(
            f"Cluster '{profile.name}' started {present} of {requested} executors within "
            f"{profile.patience_seconds:.0f} s: its workers may have fewer cores, less memory or fewer GPUs "
            "free than the profile asks for. Ask for less, or raise `patience_seconds`."
        )


def _connect(profile: ClusterProfile, endpoint: Endpoint) -> SparkRuntime:
    import pyspark
    from pyspark.sql import SparkSession

    url = endpoint.address
    if endpoint.secret:
        url += (";" if ";" in url else "/;") + f"token={endpoint.secret}"

    def answer() -> str:
        trial = SparkSession.builder.remote(url).create()
        try:
            return trial.version
        finally:
            trial.stop()

    version = _within(ANSWER_SECONDS, answer, profile, endpoint)
    if version != pyspark.__version__:
        raise ClusterError(
            f"Cluster '{profile.name}' runs Spark {version}, but pyspark {pyspark.__version__} is installed here: "
            f"install pyspark {version}."
        )
    spark = SparkSession.builder.remote(url).create()  # a session is active only in the thread that creates it
    events = EventLog(spark, endpoint.events, is_connect=True) if endpoint.events else None
    return SparkRuntime(spark, str(spark.conf.get("spark.app.id")), events, is_connect=True)


def _within(seconds: float, call: Callable[[], str], profile: ClusterProfile, endpoint: Endpoint) -> str:
    """Returns the result of the call.

    Raises ClusterError if the call fails or takes longer than `seconds`. The client itself would try without end.
    """
    results: list[str] = []
    errors: list[Exception] = []

    def target() -> None:
        try:
            results.append(call())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    reason = _reason(errors[0]) if errors else f"no answer within {seconds:.0f} s"
    raise ClusterError(
        f"Cluster '{profile.name}' opens no Spark Connect session at {redaction.text(endpoint.address)}: {reason}."
    )


def describe(profile: ClusterProfile) -> dict[str, Any]:
    """Returns the fields of a profile in a form that may be stored, without its price. Secret values are redacted."""
    fields = profile.model_dump(mode="json", exclude={"price"})
    safe = {key: redaction.setting(key, value) if isinstance(value, str) else value for key, value in fields.items()}
    return {**safe, "conf": {key: redaction.setting(key, value) for key, value in profile.conf}}
