"""A Spark session from a cluster profile, and what can be said of it."""

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

from cluster import code_zip
from cluster.budget import Budget
from cluster.endpoint import Endpoint
from cluster.eventlog import EventLog
from cluster.profile import ClusterProfile, External, Local, Standalone
from cluster.settings import JAVA_TEMPORARY, is_on_loopback, master, session_settings, write_settings
from sparkscale.contract import redaction
from sparkscale.contract.case import Device
from sparkscale.contract.errors import ClusterError

ANSWER_SECONDS = 60.0
END_SECONDS = 1.0


@dataclass
class SparkRuntime:
    """A running session with its event log, if this host can read it.

    `jvm` is the application's id, which names the JVM of a first session.
    """

    spark: Any
    jvm: str
    events: EventLog | None
    is_connect: bool = False

    def tidy(self) -> None:
        """Between cases: forgets cached data.

        No garbage collection is forced: a full one gives memory back, and the next case would pay for its return.
        """
        self.spark.catalog.clearCache()

    def conf(self) -> dict[str, str]:
        """The effective configuration, secrets redacted."""
        found = self.spark.conf.getAll if self.is_connect else dict(self.spark.sparkContext.getConf().getAll())
        return {key: redaction.setting(key, str(value)) for key, value in sorted(found.items())}

    def java(self) -> dict[str, str | None]:
        """Versions of the JVM and of its Java, vendor, and the BLAS that it loaded."""
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
        """The class that MLlib's linear algebra calls: a native library's, the Vector API's, or plain Java's."""
        found = self._static("dev.ludovic.netlib.blas.NativeBLAS", "getInstance")
        found = found or self._static("dev.ludovic.netlib.blas.JavaBLAS", "getInstance")
        return str(found).rsplit(".", 1)[-1].partition("@")[0]

    def _static(self, name: str, method: str, *arguments: str) -> str | None:
        """Calls a static method of the Java class `name`, and returns its result as text; None if it throws.

        In local mode py4j asks the JVM, in milliseconds. Elsewhere executors compute, and only SQL reaches them. SQL
        leaves a new JVM a little warmer than a first run should find it.
        """
        if self.is_connect or not self.spark.sparkContext.master.startswith("local"):
            texts = ", ".join(f"'{part}'" for part in (name, method, *arguments))
            found = self.spark.sql(f"SELECT try_reflect({texts})").first()[0]
        else:
            from py4j.java_gateway import JavaObject
            from py4j.protocol import Py4JJavaError

            try:
                found = getattr(attrgetter(name)(self.spark.sparkContext._jvm), method)(*arguments)
            except Py4JJavaError:
                return None
            found = found.toString() if isinstance(found, JavaObject) else found
        return None if found is None else str(found)

    def alive(self) -> bool:
        """Whether the driver's JVM still listens. A killed one closes its sockets before it is gone: it is given
        a moment to end, and has ended too when it takes no connection.
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
        self.spark.stop()


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), END_SECONDS).close()
    except OSError:
        return False
    return True


def start(
    profile: ClusterProfile, budget: Budget, endpoint: Endpoint, threads: int, device: Device, scratch: Path
) -> SparkRuntime:
    """Starts the session of a worker. `threads` is what each task may use, `device` what it computes on; everything
    Spark writes on this host goes below `scratch`.

    Raises ClusterError when there is no session, or not all of its executors, within a bounded time.
    """
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
    in_jvm = 1 if isinstance(profile, Local) else threads  # it outlives the session, and MLlib's tasks have one each
    os.environ.update(write_settings(scratch / "conf", settings, in_jvm), PYSPARK_PYTHON=_python(profile))
    if is_on_loopback(endpoint.address):
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    builder = SparkSession.builder.master(master(budget, endpoint)).appName("sparkscale")
    if SparkContext._gateway is not None:  # the JVM lives, and has read the settings of its first session
        builder = builder.config(map={**settings})
    try:
        spark = builder.getOrCreate()
    except (PySparkException, OSError) as error:
        raise ClusterError(f"Spark does not start on cluster '{profile.name}': {error}.") from error
    except Exception as error:
        raise ClusterError(f"Spark does not start on cluster '{profile.name}': {_reason(error)}.") from error
    if isinstance(profile, Standalone | External):
        _check_executors(profile, spark)
    return SparkRuntime(spark, spark.sparkContext.applicationId, EventLog(spark, events))


def _python(profile: ClusterProfile) -> str:
    if isinstance(profile, External):
        return profile.python or "python3"
    return (isinstance(profile, Standalone) and profile.python) or sys.executable


def _reason(error: Exception) -> str:
    """What gRPC says, or the first line of what the JVM does."""
    called = re.search(r'status = StatusCode\.(\w+)\s+details = "([^"]*)', str(error))
    if called:
        return f"{called[1]}: {called[2]}".removesuffix(".")
    return str(getattr(error, "java_exception", None) or error).strip().splitlines()[0].removesuffix(".")


def _check_executors(profile: Standalone | External, spark: Any) -> None:
    """Spark has waited for them, and would begin with fewer. Raises ClusterError."""
    wanted = profile.workers if isinstance(profile, Standalone) else profile.executors
    found = len(spark.sparkContext._jsc.sc().statusTracker().getExecutorInfos()) - 1
    if found < wanted:
        spark.stop()
        raise ClusterError(
            f"Of the {wanted} executors of cluster '{profile.name}' {found} came within "
            f"{profile.patience_seconds:.0f} s: its workers may have fewer cores, less memory or fewer GPUs "
            "free than the profile asks for."
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
            f"Cluster '{profile.name}' runs Spark {version}, and here is {pyspark.__version__}: install the same."
        )
    spark = SparkSession.builder.remote(url).create()  # here, for it is active in the thread that makes it
    events = EventLog(spark, endpoint.events, is_connect=True) if endpoint.events else None
    return SparkRuntime(spark, str(spark.conf.get("spark.app.id")), events, is_connect=True)


def _within(seconds: float, call: Callable[[], str], profile: ClusterProfile, endpoint: Endpoint) -> str:
    """What the call returns; the client itself would try without end. Raises ClusterError."""
    found: list[str] = []
    failed: list[Exception] = []

    def calling() -> None:
        try:
            found.append(call())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=calling, daemon=True)
    thread.start()
    thread.join(seconds)
    if found:
        return found[0]
    reason = _reason(failed[0]) if failed else f"no answer within {seconds:.0f} s"
    raise ClusterError(
        f"Cluster '{profile.name}' opens no Spark Connect session at {redaction.text(endpoint.address)}: {reason}."
    )


def describe(profile: ClusterProfile) -> dict[str, Any]:
    """A profile as it may be stored; of its secrets only which environment variables held them."""
    found = profile.model_dump(mode="json")
    shown = {key: redaction.setting(key, value) if isinstance(value, str) else value for key, value in found.items()}
    return {**shown, "conf": {key: redaction.setting(key, value) for key, value in profile.conf}}
