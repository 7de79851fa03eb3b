"""Settings of Spark: those of a session, and the folder that SPARK_CONF_DIR points to.

Nothing secret ever stands on a command line, which every user of the machine can read.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from cluster import gpu, jvm
from cluster.budget import Budget, Grant
from cluster.endpoint import Endpoint
from cluster.profile import ClusterProfile, Connect, External, Local, Standalone
from sparkscale import mounts
from sparkscale.contract.case import SLICES, Device
from sparkscale.contract.threads import thread_variables

LOOPBACK = ("127.0.0.1", "localhost")
LONGEST_TEMPORARY = 60
"""Characters of a path at which Spark's sockets still can lie: theirs may have 107 (unix(7)), and their names 43."""
JAVA_TEMPORARY = "java"
"""Folder of a session's scratch folder that its JVMs on this host keep temporary files in. It must be there."""

INFORMING = (
    "org.apache.spark.deploy.master.Master",
    "org.apache.spark.deploy.master.ui.MasterWebUI",
    "org.apache.spark.deploy.worker.Worker",
    "org.apache.spark.sql.connect.service.SparkConnectServer",
)
"""Classes of daemons whose log says where they listen; of all others warnings are enough."""

LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss} %p %c{1}: %m%n%ex
"""


def session_settings(
    profile: ClusterProfile, budget: Budget, endpoint: Endpoint, threads: int, device: Device, scratch: Path
) -> dict[str, str]:
    """Every setting of a session: what all have in common, what its kind of cluster needs, then the profile's own.

    `threads` is what each task may use; a session for `gpu` gives each task a share of a device. What Spark writes on
    this host goes below `scratch`.
    """
    found = {
        **_common(budget, threads, scratch),
        **_driver(profile, budget, endpoint),
        **_executors(profile, budget, endpoint),
        **(_gpus(profile, budget, scratch) if device == "gpu" else {}),
        **dict(profile.conf),
        **{key: value for key, value in profile.secret_values().items() if key.startswith("spark.")},
    }
    return {**found, **_java_options(profile, budget, found, scratch / JAVA_TEMPORARY)}


def master(budget: Budget, endpoint: Endpoint) -> str:
    """The master's URL."""
    return f"local[{budget.cores}]" if endpoint.address == "local" else endpoint.address


def is_on_loopback(address: str) -> bool:
    """Whether only this host can talk to what listens there."""
    return address == "local" or urlsplit(address).hostname in LOOPBACK


def _common(budget: Budget, threads: int, scratch: Path) -> dict[str, str]:
    return {
        "spark.task.cpus": str(threads),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (scratch / "events").as_uri(),
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
        "spark.local.dir": str(scratch / "local"),
        "spark.sql.warehouse.dir": (scratch / "warehouse").as_uri(),
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.shuffle.partitions": str(budget.cores),
        # a sample is up to 64 folders; above this number Spark lists them in a job of as many tasks
        "spark.sql.sources.parallelPartitionDiscovery.threshold": str(SLICES),
        # by TCP a task in Python takes 40 ms longer: a delayed acknowledgement on the loopback
        "spark.python.unix.domain.socket.enabled": "true",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
        **{f"spark.executorEnv.{name}": value for name, value in thread_variables(threads).items()},
    }


def _java_options(
    profile: ClusterProfile, budget: Budget, said: Mapping[str, str], temporary: Path
) -> dict[str, str]:
    """Options of the JVMs that compute: the same collector whatever CPUs a JVM sees, with a thread for each core. On
    this host their temporary files, native libraries among them, go where they are removed after whatever end, unless
    that path is too long for sockets, or its file system runs no programs.

    Spark puts `defaultJavaOptions` before the `extraJavaOptions` that a profile may say, so those win.
    """
    cores = {"driver": len(_driver_grant(profile, budget).cpus)}
    if isinstance(profile, Standalone):
        cores["executor"] = len(budget.daemons[0].cpus)
    if isinstance(profile, External):
        cores["executor"] = profile.cores
    found = {}
    for role, threads in cores.items():
        key = f"spark.{role}.defaultJavaOptions"
        given = [said[name] for name in (key, f"spark.{role}.extraJavaOptions") if name in said]
        # an existing cluster mostly has this shell's settings, and with two collectors no executor starts
        ours = jvm.options(threads, [*given, *jvm.from_shell()])
        here = role == "driver" or isinstance(profile, Standalone)
        fits = len(str(temporary)) <= LONGEST_TEMPORARY and mounts.runs_programs(temporary)
        place = f'"-Djava.io.tmpdir={temporary}"' if here and fits else ""
        found[key] = " ".join(filter(None, [ours, place, said.get(key, "")]))
    return found


def _driver_grant(profile: ClusterProfile, budget: Budget) -> Grant:
    """In front of local mode a Connect server is the driver, and its executor."""
    return budget.daemons[0] if isinstance(profile, Connect) and budget.daemons else budget.driver


def _driver(profile: ClusterProfile, budget: Budget, endpoint: Endpoint) -> dict[str, str]:
    found = {
        "spark.driver.memory": f"{_driver_grant(profile, budget).heap_bytes // 2**20}m",
        # its memory decides how much a driver collects, not a default of 1 GiB
        "spark.driver.maxResultSize": "0",
    }
    if endpoint.address == "local":
        # the driver's own ports are for nobody else; in local mode Spark makes a secret by itself
        found["spark.authenticate"] = "true"
    if is_on_loopback(endpoint.address):
        found |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    return found


def _executors(profile: ClusterProfile, budget: Budget, endpoint: Endpoint) -> dict[str, str]:
    if not isinstance(profile, Standalone | External):
        return {}
    shared = {
        "spark.cores.max": str(budget.cores),
        "spark.executor.cores": str(profile.cores),
        # a case must not begin on half of its executors
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": f"{profile.patience_seconds:.0f}s",
        "spark.dynamicAllocation.enabled": "false",
        # a barrier stage that finds too few slots, for an executor is lost, gives up after this many tries of 15 s
        "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "3",
    }
    assert budget.executor_heap_bytes is not None
    heap = budget.executor_heap_bytes
    if isinstance(profile, Standalone):
        return {
            **shared,
            **security(profile, endpoint.secret),
            "spark.executor.memory": f"{heap // 2**20}m",
            "spark.ui.enabled": str(profile.ui).lower(),
            "spark.ui.port": "0",
        }
    return {
        **shared,
        "spark.executor.instances": str(profile.executors),
        "spark.executor.memory": f"{heap // 2**20}m",
        "spark.executor.memoryOverhead": f"{(profile.memory_bytes - heap) // 2**20}m",
    }


HEAP = re.compile(r"(\d+)\s*(?:(b)|([kmgtp])b?)?", re.IGNORECASE)
"""An amount of memory as Spark writes it (org.apache.spark.network.util.JavaUtils.byteStringAs)."""


def heap_setting(profile: ClusterProfile) -> str:
    """The setting that decides how much heap the JVM that computes has."""
    return "spark.executor.memory" if isinstance(profile, Standalone | External) else "spark.driver.memory"


def heap_bytes(profile: ClusterProfile, conf: Mapping[str, str] | None) -> int | None:
    """Heap of the JVM that computes, by a session's effective configuration; None where that does not say."""
    found = HEAP.fullmatch((conf or {}).get(heap_setting(profile), "").strip())
    if found is None:
        return None
    exponent = 0 if found[2] else 10 * " kmgtp".index((found[3] or "m").lower())
    return int(found[1]) << exponent


def _gpus(profile: ClusterProfile, budget: Budget, scratch: Path) -> dict[str, str]:
    """A process of Python is bound to one GPU before it loads CUDA, so no other task may get it afterwards.

    In local mode tasks are given no resources: the driver's are what libraries ask for.
    """
    found = {"spark.python.worker.reuse": "false"}
    found |= {f"spark.executorEnv.{name}": value for name, value in gpu.ORDER.items()}
    if isinstance(profile, Standalone | External):
        found["spark.executor.resource.gpu.amount"] = str(profile.gpus)
        found["spark.task.resource.gpu.amount"] = f"{1 / budget.tasks_per_gpu:.6g}"
    if isinstance(profile, Local) and budget.driver.gpus:
        found["spark.driver.resource.gpu.amount"] = str(len(budget.driver.gpus))
        found["spark.driver.resource.gpu.discoveryScript"] = str(gpu.announcer(scratch, budget.driver.gpus))
    return found


def security(profile: Standalone, secret: str) -> dict[str, str]:
    """Settings that the daemons, drivers and executors of a cluster share."""
    encrypted = str(profile.encrypt).lower()
    return {
        "spark.authenticate": "true",
        "spark.authenticate.secret": secret,
        "spark.network.crypto.enabled": encrypted,
        "spark.io.encryption.enabled": encrypted,
    }


def write_settings(folder: Path, conf: Mapping[str, str], threads: int | None = None) -> dict[str, str]:
    """Makes the folder, for its owner's eyes only; returns the variable that makes Spark read it.

    `threads` is the number that native libraries use in the JVM that Spark's scripts launch. Nothing else is bound by
    it: in local mode each task may call BLAS, but the Python process that launches the JVM trains with all cores.
    """
    folder.mkdir(mode=0o700, parents=True)
    defaults = folder / "spark-defaults.conf"
    defaults.touch(mode=0o600)
    defaults.write_text("".join(f"{key}={_escaped(value)}\n" for key, value in conf.items()))
    if threads is not None:
        variables = thread_variables(threads)
        (folder / "spark-env.sh").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    loggers = "".join(
        f"logger.l{number}.name = {name}\nlogger.l{number}.level = info\n" for number, name in enumerate(INFORMING)
    )
    (folder / "log4j2.properties").write_text(LOGGING + loggers)
    return {"SPARK_CONF_DIR": str(folder)}


def _escaped(value: str) -> str:
    """As java.util.Properties reads it."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")
