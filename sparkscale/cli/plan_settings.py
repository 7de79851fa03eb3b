"""The settings with which the option that a plan recommends is run: those that a session of a measurement has."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cluster.budget import Budget, budget
from cluster.endpoint import Endpoint
from cluster.profile import PROFILE, ClusterProfile, Connect, Emulated, External, Standalone, load
from cluster.session import describe
from cluster.settings import session_settings
from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import Block, Grid, Heading, Text
from sparkscale.analysis.memory import amount
from sparkscale.analysis.questions.plan.options import Option
from sparkscale.analysis.questions.plan.wish import Offer
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.threads import thread_variables
from workloads import registry
from workloads.base import SparkEngine

JAVA_OPTIONS = ("spark.driver.defaultJavaOptions", "spark.executor.defaultJavaOptions")
"""The settings with the garbage collector, and its number of threads."""
SHOWN = (
    "spark.executor.instances",
    "spark.cores.max",
    "spark.executor.cores",
    "spark.executor.memory",
    "spark.executor.memoryOverhead",
    "spark.driver.memory",
    "spark.driver.maxResultSize",
    "spark.task.cpus",
    "spark.sql.shuffle.partitions",
    "spark.dynamicAllocation.enabled",
    "spark.sql.execution.arrow.pyspark.enabled",
    "spark.executor.resource.gpu.amount",
    "spark.task.resource.gpu.amount",
    "spark.python.worker.reuse",
    *JAVA_OPTIONS,
)
"""The settings that matter for a job of the user. Those of a measurement itself, such as its event log, are left out.
"""


def offer(name_or_path: str) -> Offer:
    """Returns a profile with its budget on this host.

    Raises ConfigError if it cannot be read or granted, or if its hosts are emulated.
    """
    profile = load(name_or_path)
    if isinstance(profile, Emulated):
        raise ConfigError(
            f"Cluster '{profile.name}' has emulated hosts, and a plan is for real ones: leave it out. Records on "
            "emulated hosts give the plan's network term."
        )
    price = {"price": profile.price.model_dump(mode="json")} if profile.price else {}
    return Offer({**describe(profile), **price}, budget(profile).model_dump(mode="json"))


def settings(option: Option, offers: Sequence[Offer]) -> Iterator[Block]:
    """Yields a table of the settings for an option, and the same settings as lines for `spark-submit`.

    `offers` hold the profile of the option's place.
    """
    yield Heading("Settings to use")
    if option.place.placement == "node":
        yield _grid(_of_node(option))
        return
    chosen = next(one for one in offers if one.name == option.place.cluster)
    try:
        profile, granted = PROFILE.validate_python(dict(chosen.profile)), Budget.model_validate(chosen.budget)
    except ValidationError:
        yield Text(f"The profile {chosen.name} is from another release, so its settings are not known.", is_note=True)
        return
    conf = _conf(option, _resized(profile, option), granted)
    yield _grid(_of_spark(option, conf))
    master = [f"--master local[{option.place.cores}]"] if profile.kind == "local" else []
    conf_lines = [f"--conf {shlex.quote(f'{key}={value}')}" for key, value in conf.items()]
    lines = " \\\n".join(f"  {line}" for line in [*master, *conf_lines])
    if isinstance(profile, Connect):
        yield Text("Give these settings to the server of Spark Connect when it starts:", is_note=True)
    yield Text(f"spark-submit \\\n{lines}", is_code=True)


def _resized(profile: ClusterProfile, option: Option) -> ClusterProfile:
    """Returns the profile with the executors of an option, and without secrets, which no table may show."""
    changes: dict[str, Any] = {} if profile.kind == "local" else {"secrets": ()}
    if isinstance(profile, Standalone):
        changes = {"workers": option.place.executors}
    if isinstance(profile, External):
        changes["executors"] = option.place.executors
    return profile.model_copy(update=changes)


def _conf(option: Option, profile: ClusterProfile, granted: Budget) -> dict[str, str]:
    """Returns the Spark settings of an option, by name."""
    resized = granted.model_copy(update={"cores": option.place.cores})
    address = "local" if profile.kind == "local" else "spark://cluster:7077"
    every = session_settings(
        profile, resized, Endpoint(address=address), _threads(option), option.job.device, Path("/tmp")
    )
    if isinstance(profile, Standalone):  # not a setting of this kind, but what one of the user's clusters needs
        every["spark.executor.instances"] = str(option.place.executors)
    threads = [f"spark.executorEnv.{name}" for name in thread_variables(1)]
    wanted = dict.fromkeys([*SHOWN, *threads[:1], *dict(profile.conf)])
    for key in JAVA_OPTIONS:
        every[key] = " ".join(part for part in every.get(key, "").split() if "java.io.tmpdir" not in part)
    return {key: every[key] for key in wanted if every.get(key)}


def _threads(option: Option) -> int:
    """Returns the threads of one Spark task, as the engine decides them. Those of the records if it is unknown."""
    case = option.job.records[-1].case
    workload = registry.workloads().get(case.workload)
    engine = next((one for one in workload.engines if one.name == case.engine), None) if workload else None
    if workload is None or engine is None or not issubclass(engine, SparkEngine):
        return case.threads or 1
    try:
        params = type(workload.params).model_validate(case.params_without("set", "capacity", "arguments"))
    except ValidationError:
        return case.threads or 1
    has_executors = option.place.kind in ("standalone", "external")
    executor_cores = option.place.cores // option.place.executors if has_executors else option.place.cores
    return engine.task_threads(params, option.job.device, executor_cores)


def _of_node(option: Option) -> Iterator[tuple[str, str, str]]:
    place = option.place
    yield "threads", str(place.cores), " ".join(f"{name}={place.cores}" for name in list(thread_variables(1))[:1])
    if place.memory_bytes is not None:
        yield "memory", amount(place.memory_bytes), "the node's limit"
    yield "rows", f"{option.rows:,.0f}", "training rows"


def _of_spark(option: Option, conf: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yields a name, a value and the setting that has it."""
    place = option.place
    executor = "spark.executor.memory" if "spark.executor.memory" in conf else "spark.driver.memory"
    has_executors = place.kind in ("standalone", "external")
    if has_executors:
        yield "executors", str(place.executors), "spark.executor.instances"
        yield "cores of each", str(place.cores // place.executors), "spark.executor.cores"
    else:
        yield "cores", str(place.cores), f"--master local[{place.cores}]" if place.kind == "local" else "the server"
    yield ("heap of each" if has_executors else "heap"), conf.get(executor, "?"), executor
    if place.memory_bytes and place.heap_bytes:
        overhead = f"{(place.memory_bytes - place.heap_bytes) // 2**20}m"
        has_setting = "spark.executor.memoryOverhead" in conf
        yield "memory beside it", overhead, "spark.executor.memoryOverhead" if has_setting else "left to Python"
    yield "heap of the driver", conf.get("spark.driver.memory", "?"), "spark.driver.memory"
    yield "partitions", conf["spark.sql.shuffle.partitions"], "spark.sql.shuffle.partitions"
    yield "threads of a task", conf["spark.task.cpus"], "spark.task.cpus"
    yield "rows", f"{option.rows:,.0f}", "training rows"


def _grid(rows: Iterator[tuple[str, str, str]]) -> Grid:
    columns = (blocks.name("what"), blocks.name("value"), blocks.name("where it is set"))
    return Grid("", columns, tuple(rows))
