"""The settings of a Spark session, and the folder that SPARK_CONF_DIR points to.

No command line ever contains a secret, because every user of the machine can read command lines.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from cluster import gpu, jvm
from cluster.budget import Budget, Grant
from cluster.endpoint import Endpoint
from cluster.network import INTERFACE
from cluster.profile import ClusterProfile, Connect, Emulated, External, Local, SparkDaemons
from sparkscale import mounts
from sparkscale.contract.case import SLICES, Device
from sparkscale.contract.threads import thread_variables

LOOPBACK = ("127.0.0.1", "localhost")
LONGEST_TEMPORARY = 60
"""The most characters in the path of a folder for Spark's sockets. The path of a socket may have 107 characters
(unix(7)), and the names of these sockets need 43 of them."""
JAVA_TEMPORARY = "java"
"""The subfolder of a session's scratch folder for temporary files of its JVMs on this host. It must exist."""

EMULATED_HOST = {f"spark.executorEnv.{library}_SOCKET_IFNAME": INTERFACE for library in ("GLOO", "NCCL")}
"""Settings that make libraries use the link of an emulated host. Else they look for it by the real host's name."""

INFORMING = (
    "org.apache.spark.deploy.master.Master",
    "org.apache.spark.deploy.master.ui.MasterWebUI",
    "org.apache.spark.deploy.worker.Worker",
    "org.apache.spark.sql.connect.service.SparkConnectServer",
)
"""Classes of daemons that log the address at which they listen. All other classes log only warnings and errors."""

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
    """Returns all settings of a Spark session.

    They are common settings, settings for the cluster's kind, and the profile's own settings, in this order. Each
    Spark task may use `threads` threads. A session for `gpu` gives each Spark task a share of a device. Spark writes
    everything on this host below `scratch`.
    """
    settings = {
        **_common(budget, threads, scratch),
        **_driver(profile, budget, endpoint),
        **_executors(profile, budget, endpoint),
        **(_gpus(profile, budget, scratch) if device == "gpu" else {}),
        **dict(profile.conf),
        **{key: value for key, value in profile.secret_values().items() if key.startswith("spark.")},
    }
    return {**settings, **_java_options(profile, budget, settings, scratch / JAVA_TEMPORARY)}


def master(budget: Budget, endpoint: Endpoint) -> str:
    """Returns the URL of the master."""
    return f"local[{budget.cores}]" if endpoint.address == "local" else endpoint.address


def is_on_loopback(address: str) -> bool:
    """True if only processes on this host can connect to this address."""
    return address == "local" or urlsplit(address).hostname in LOOPBACK


def driver_address(endpoint: Endpoint) -> str:
    """Returns the address of this host that the driver listens at. Empty: Spark chooses one."""
    return endpoint.address_here or (LOOPBACK[0] if is_on_loopback(endpoint.address) else "")


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
        # a sample has up to 64 folders; above this setting Spark lists them in a job with one Spark task per folder
        "spark.sql.sources.parallelPartitionDiscovery.threshold": str(SLICES),
        # over TCP a Spark task in Python takes 40 ms longer, because of a delayed acknowledgement on the loopback
        "spark.python.unix.domain.socket.enabled": "true",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
        **{f"spark.executorEnv.{name}": value for name, value in thread_variables(threads).items()},
    }


def _java_options(
    profile: ClusterProfile, budget: Budget, settings: Mapping[str, str], temporary: Path
) -> dict[str, str]:
    """Returns the options of the JVMs of driver and executors: the same garbage collector, one thread per core.

    JVMs on this host write temporary files, such as native libraries, to `temporary`, because this folder is
    removed even if they are killed. The folder is not used if its path is too long for sockets, or if no programs
    may run from it.

    The options are returned as `spark.*.defaultJavaOptions`. Spark puts these before `extraJavaOptions`, so
    options that a profile sets there win.
    """
    cores = {"driver": len(_driver_grant(profile, budget).cpus)}
    if isinstance(profile, SparkDaemons):
        cores["executor"] = len(budget.daemons[0].cpus)
    if isinstance(profile, External):
        cores["executor"] = profile.cores
    options = {}
    for role, threads in cores.items():
        key = f"spark.{role}.defaultJavaOptions"
        given = [settings[name] for name in (key, f"spark.{role}.extraJavaOptions") if name in settings]
        # an existing cluster's executors mostly have this shell's options, and no JVM starts with two collectors
        ours = jvm.options(threads, [*given, *jvm.shell_options()])
        on_this_host = role == "driver" or isinstance(profile, SparkDaemons)
        fits = len(str(temporary)) <= LONGEST_TEMPORARY and mounts.runs_programs(temporary)
        temporary_option = f'"-Djava.io.tmpdir={temporary}"' if on_this_host and fits else ""
        options[key] = " ".join(filter(None, [ours, temporary_option, settings.get(key, "")]))
    return options


def _driver_grant(profile: ClusterProfile, budget: Budget) -> Grant:
    """Returns the grant of the driver's JVM. With a Connect server in front of local mode, the server is this JVM."""
    return budget.daemons[0] if isinstance(profile, Connect) and budget.daemons else budget.driver


def _driver(profile: ClusterProfile, budget: Budget, endpoint: Endpoint) -> dict[str, str]:
    settings = {
        "spark.driver.memory": f"{_driver_grant(profile, budget).heap_bytes // 2**20}m",
        # only the driver's memory limits how much it collects; Spark's default limit is 1 GiB
        "spark.driver.maxResultSize": "0",
    }
    if endpoint.address == "local":
        # protects the driver's ports from other users; in local mode Spark makes a secret by itself
        settings["spark.authenticate"] = "true"
    if address := driver_address(endpoint):
        settings |= {"spark.driver.bindAddress": address, "spark.driver.host": address}
    return settings


def _executors(profile: ClusterProfile, budget: Budget, endpoint: Endpoint) -> dict[str, str]:
    if not isinstance(profile, SparkDaemons | External):
        return {}
    shared = {
        "spark.cores.max": str(budget.cores),
        "spark.executor.cores": str(profile.cores),
        # a case must not start before all its executors are there
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": f"{profile.patience_seconds:.0f}s",
        "spark.dynamicAllocation.enabled": "false",
        # a barrier stage with too few slots, because an executor is lost, gives up after this many tries of 15 s
        "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "3",
    }
    assert budget.executor_heap_bytes is not None
    heap = budget.executor_heap_bytes
    if isinstance(profile, SparkDaemons):
        return {
            **shared,
            **security(profile, endpoint.secret),
            "spark.executor.memory": f"{heap // 2**20}m",
            "spark.ui.enabled": str(profile.ui).lower(),
            "spark.ui.port": "0",
            **(EMULATED_HOST if isinstance(profile, Emulated) else {}),
        }
    return {
        **shared,
        "spark.executor.instances": str(profile.executors),
        "spark.executor.memory": f"{heap // 2**20}m",
        "spark.executor.memoryOverhead": f"{(profile.memory_bytes - heap) // 2**20}m",
    }


HEAP = re.compile(r"(\d+)\s*(?:(b)|([kmgtp])b?)?", re.IGNORECASE)
"""The pattern of an amount of memory in Spark's settings (org.apache.spark.network.util.JavaUtils.byteStringAs)."""


def heap_setting(profile: ClusterProfile) -> str:
    """Returns the name of the setting for the heap of the JVM that computes."""
    return "spark.executor.memory" if isinstance(profile, SparkDaemons | External) else "spark.driver.memory"


def heap_bytes(profile: ClusterProfile, conf: Mapping[str, str] | None) -> int | None:
    """Returns the heap of the JVM that computes, in bytes, as the session's effective configuration states it.

    Returns None if the configuration does not state it.
    """
    amount = HEAP.fullmatch((conf or {}).get(heap_setting(profile), "").strip())
    if amount is None:
        return None
    exponent = 0 if amount[2] else 10 * " kmgtp".index((amount[3] or "m").lower())
    return int(amount[1]) << exponent


def _gpus(profile: ClusterProfile, budget: Budget, scratch: Path) -> dict[str, str]:
    """Returns the settings that give GPUs to the Spark tasks of a session.

    A Python process is bound to one GPU before it loads CUDA, so no other Spark task may reuse the process. In local
    mode Spark gives no GPUs to tasks. Libraries then use the GPUs of the driver.
    """
    settings = {"spark.python.worker.reuse": "false"}
    settings |= {f"spark.executorEnv.{name}": value for name, value in gpu.ORDER.items()}
    if isinstance(profile, SparkDaemons | External):
        settings["spark.executor.resource.gpu.amount"] = str(profile.gpus)
        settings["spark.task.resource.gpu.amount"] = f"{1 / budget.tasks_per_gpu:.6g}"
    if isinstance(profile, Local) and budget.driver.gpus:
        settings["spark.driver.resource.gpu.amount"] = str(len(budget.driver.gpus))
        settings["spark.driver.resource.gpu.discoveryScript"] = str(gpu.discovery_script(scratch, budget.driver.gpus))
    return settings


def security(profile: SparkDaemons, secret: str) -> dict[str, str]:
    """Returns the security settings that the daemons, drivers and executors of a cluster share."""
    encrypted = str(profile.encrypt).lower()
    return {
        "spark.authenticate": "true",
        "spark.authenticate.secret": secret,
        "spark.network.crypto.enabled": encrypted,
        "spark.io.encryption.enabled": encrypted,
    }


def write_settings(folder: Path, conf: Mapping[str, str], threads: int | None = None) -> dict[str, str]:
    """Writes a settings folder that only the user can read. Returns the variable SPARK_CONF_DIR with its path.

    `threads` limits the threads of native libraries in the JVM that Spark's scripts launch. In local mode each
    Spark task may call BLAS in this JVM. The Python process that launches the JVM has no such limit, because it
    may train with all cores.
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
    """Returns the value with characters escaped as java.util.Properties expects."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")
