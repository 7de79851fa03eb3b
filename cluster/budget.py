"""The budget that a cluster profile grants on this host: the CPUs, memory and GPUs of each process tree."""

from pydantic import BaseModel, ConfigDict

from cluster import gpu
from cluster.granted import granted_cpus, granted_memory_bytes, quota_in_words
from cluster.profile import (
    UNITS,
    ClusterProfile,
    Connect,
    Emulated,
    External,
    Local,
    Profile,
    SparkDaemons,
    Standalone,
)
from cluster.topology import cores_first, deal, topology
from sparkscale.contract.case import Placement
from sparkscale.contract.errors import ConfigError

LEAST_HEAP_BYTES = 450 * 2**20
"""Spark does not start in a JVM with a smaller heap (org.apache.spark.memory.UnifiedMemoryManager: 1.5 × the reserved
300 MiB)."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Grant(Frozen):
    """The CPUs, the memory and the GPUs that one process tree may use. `gpus` holds their numbers in NVML."""

    cpus: tuple[int, ...]
    memory_bytes: int
    heap_bytes: int
    gpus: tuple[int, ...] = ()


class Budget(Frozen):
    """The cores, the memory and the GPUs that every case on a profile may use.

    A single-node engine gets `node`. If the profile's daemons run on this host, `node` has all CPUs, memory and
    GPUs that the daemons and the driver have together. So single-node engines and Spark have the same hardware.
    `daemons` holds the grants of the worker daemons, or of the Connect server. Spark tasks may use `cores` cores
    and `gpus` GPUs at once, over all hosts; `tasks_per_gpu` tasks share a GPU.
    """

    cores: int
    node: Grant
    driver: Grant
    daemons: tuple[Grant, ...] = ()
    executor_memory_bytes: int | None = None
    """The memory of one executor, which its JVM and its Python workers share. None for an existing Connect server,
    because it does not report its memory."""
    executor_heap_bytes: int | None = None
    """The heap of one executor's JVM. None if there are no executors, because the driver or a Connect server
    computes."""
    gpus: int = 0
    tasks_per_gpu: int = 1
    no_gpu: str = ""
    """The reason that is shown if a case needs a GPU and this budget has none."""
    oversubscribed: bool = False

    def grant(self, placement: Placement) -> Grant:
        """Returns the grant of a worker process with this placement."""
        return self.node if placement == "node" else self.driver

    def gpus_of(self, placement: Placement) -> int:
        """Returns the number of GPUs on which an engine with this placement computes."""
        return len(self.node.gpus) if placement == "node" else self.gpus

    def cores_of(self, placement: Placement) -> int:
        """Returns the number of cores on which an engine with this placement computes."""
        return len(self.node.cpus) if placement == "node" else self.cores

    @property
    def heap_bytes(self) -> int | None:
        """The heap of the JVM that computes, in bytes, rounded down to whole MiB.

        None for an existing Connect server, because it does not report its heap.
        """
        if self.executor_memory_bytes is None and not self.daemons:
            return None
        heap = self.executor_heap_bytes or (self.daemons[0] if self.daemons else self.driver).heap_bytes
        return heap // UNITS["m"] * UNITS["m"]

    def with_threads(self, placement: Placement, threads: int) -> "Budget":
        """Returns the budget of a worker for an engine with this placement and number of threads.

        An engine on one node gets one CPU for each thread. If possible, these are different physical cores. The
        budget of an engine on Spark is unchanged.
        """
        if placement == "spark" or threads >= len(self.node.cpus):
            return self
        cpus = tuple(sorted(cores_first(self.node.cpus, topology())[:threads]))
        return self.model_copy(update={"node": self.node.model_copy(update={"cpus": cpus})})

    def with_heap(self, heap_bytes: int) -> "Budget":
        """Returns this budget with another heap for the JVM that computes. All limits on memory stay the same."""
        changes = {"heap_bytes": heap_bytes}
        if self.executor_heap_bytes is not None:
            return self.model_copy(update={"executor_heap_bytes": heap_bytes})
        if self.daemons:
            daemons = tuple(daemon.model_copy(update=changes) for daemon in self.daemons)
            return self.model_copy(update={"daemons": daemons})
        return self.model_copy(update={"driver": self.driver.model_copy(update=changes)})


def budget(profile: ClusterProfile) -> Budget:
    """Returns the profile's budget on this host.

    Raises ConfigError if the profile asks for more than the host has.
    """
    host_gpus = gpu.discover()
    grants_none = f"cluster '{profile.name}' grants none"
    return _budget(profile, host_gpus).model_copy(update={"no_gpu": host_gpus.reason or grants_none})


def _budget(profile: ClusterProfile, host_gpus: gpu.Gpus) -> Budget:
    if isinstance(profile, Local):
        return _local(profile, host_gpus)
    if isinstance(profile, SparkDaemons):
        return _standalone(profile, host_gpus)
    if isinstance(profile, Connect) and profile.starts_daemons:
        return _connect(profile, host_gpus)
    return _existing(profile, host_gpus)


def _local(profile: Local, host_gpus: gpu.Gpus) -> Budget:
    cpus = _cpus(profile)
    _check_memory(profile, profile.memory)
    memory = _bytes(profile.memory)
    count = len(host_gpus.devices) if profile.gpus == "all" else profile.gpus
    grant = Grant(
        cpus=cpus,
        memory_bytes=memory,
        heap_bytes=int(memory * profile.heap_share),
        gpus=_gpus(profile, host_gpus, count),
    )
    return Budget(
        cores=len(cpus),
        node=grant,
        driver=grant,
        executor_memory_bytes=memory,
        gpus=count,
        tasks_per_gpu=profile.tasks_per_gpu,
    )


def _standalone(profile: Standalone | Emulated, host_gpus: gpu.Gpus) -> Budget:
    available = granted_cpus()
    requested_cores = profile.workers * profile.cores
    if requested_cores > len(available) and not profile.oversubscribe:
        executors = "hosts" if isinstance(profile, Emulated) else "workers"
        raise ConfigError(
            f"Cluster '{profile.name}' asks for {requested_cores} cores, but only {len(available)} are usable"
            f"{quota_in_words()}: lower `{executors}` or `cores`, or set oversubscribe = true in its file, which "
            "marks its records."
        )
    _check_memory(profile, *[profile.memory] * profile.workers, profile.driver_memory)
    memory, driver = _bytes(profile.memory), _bytes(profile.driver_memory)
    _check_heap(profile, memory, driver)
    devices = _gpus(profile, host_gpus, profile.workers * profile.gpus)
    daemons = [
        _grant(profile, cpus, memory, devices[number * profile.gpus : (number + 1) * profile.gpus])
        for number, cpus in enumerate(_workers_cpus(profile, available))
    ]
    used = tuple(sorted({cpu for daemon in daemons for cpu in daemon.cpus}))
    return Budget(
        cores=requested_cores,
        node=_grant(profile, used, profile.workers * memory + driver, devices),
        driver=_grant(profile, used, driver),
        daemons=tuple(daemons),
        executor_memory_bytes=memory,
        executor_heap_bytes=int(memory * profile.heap_share),
        gpus=len(devices),
        tasks_per_gpu=profile.tasks_per_gpu,
        oversubscribed=requested_cores > len(available),
    )


def _connect(profile: Connect, host_gpus: gpu.Gpus) -> Budget:
    cpus = _cpus(profile)
    _check_memory(profile, profile.memory, profile.driver_memory)
    memory, client = _bytes(profile.memory), _bytes(profile.driver_memory)
    return Budget(
        cores=len(cpus),
        node=_grant(profile, cpus, memory + client, tuple(device.index for device in host_gpus.devices)),
        driver=_grant(profile, cpus, client),
        daemons=(_grant(profile, cpus, memory),),
        executor_memory_bytes=memory,
    )


def _existing(profile: Connect | External, host_gpus: gpu.Gpus) -> Budget:
    """Returns the budget of an existing cluster. The cluster's executors run on other hosts.

    A single-node engine may use this whole host; the driver gets a share of the host.
    """
    cpus = tuple(sorted(granted_cpus()))
    _check_memory(profile, profile.driver_memory)
    node = profile.node_memory if isinstance(profile, External) else "75%"
    _check_memory(profile, node)
    executors, gpus, tasks, executor_memory, executor_heap = 1, 0, 1, None, None
    if isinstance(profile, External):
        _check_heap(profile, profile.memory_bytes, _bytes(profile.driver_memory))
        executors, gpus, tasks = profile.executors, profile.gpus * profile.executors, profile.tasks_per_gpu
        executor_memory = profile.memory_bytes
        executor_heap = int(executor_memory * profile.heap_share)
    assert profile.cores != "all"
    return Budget(
        cores=executors * profile.cores,
        node=_grant(profile, cpus, _bytes(node), tuple(device.index for device in host_gpus.devices)),
        driver=_grant(profile, cpus, _bytes(profile.driver_memory)),
        executor_memory_bytes=executor_memory,
        executor_heap_bytes=executor_heap,
        gpus=gpus,
        tasks_per_gpu=tasks,
    )


def _grant(profile: Profile, cpus: tuple[int, ...], memory: int, gpus: tuple[int, ...] = ()) -> Grant:
    return Grant(cpus=cpus, memory_bytes=memory, heap_bytes=int(memory * profile.heap_share), gpus=gpus)


def _cpus(profile: Profile) -> tuple[int, ...]:
    available = granted_cpus()
    cores = len(available) if profile.cores == "all" else profile.cores
    if cores > len(available):
        raise ConfigError(
            f"Cluster '{profile.name}' asks for {cores} cores, but only {len(available)} are usable"
            f"{quota_in_words()}: lower `cores`."
        )
    return tuple(sorted(available[:cores]))


def _workers_cpus(profile: Standalone | Emulated, available: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Returns the CPUs of each Spark worker. If possible, no two workers share a physical core.

    If there are fewer CPUs than the workers ask for together, several workers get the same CPU.
    """
    requested_cores = profile.workers * profile.cores
    if requested_cores <= len(available):
        return deal(available[:requested_cores], topology(), profile.workers, profile.cores)
    return [
        tuple(sorted({available[(number * profile.cores + core) % len(available)] for core in range(profile.cores)}))
        for number in range(profile.workers)
    ]


def _bytes(text: str) -> int:
    amount, unit = int(text[:-1]), text[-1]
    return granted_memory_bytes() * amount // 100 if unit == "%" else amount * UNITS[unit]


def _check_memory(profile: Profile, *amounts: str) -> None:
    total = granted_memory_bytes()
    if sum(map(_bytes, amounts)) > total:
        raise ConfigError(
            f"Cluster '{profile.name}' asks for {' + '.join(amounts)} of memory, but this process may use only "
            f"{total / 2**30:.1f} GiB: lower its memory."
        )


def _check_heap(profile: Profile, *memories: int) -> None:
    """Raises ConfigError if the heap is too small for Spark. Spark would start no executors and give no reason."""
    heap = int(min(memories) * profile.heap_share)
    if heap < LEAST_HEAP_BYTES:
        raise ConfigError(
            f"Cluster '{profile.name}' leaves {heap // 2**20} MiB for the heap of a JVM, but Spark needs "
            f"{LEAST_HEAP_BYTES // 2**20} MiB: raise its memory, or `heap_share`."
        )


def _gpus(profile: Profile, host_gpus: gpu.Gpus, count: int) -> tuple[int, ...]:
    """Returns the first `count` GPUs of this host. Raises ConfigError if the host has fewer."""
    if count > len(host_gpus.devices):
        has = f"has {len(host_gpus.devices)}" if host_gpus.devices else f"has none ({host_gpus.reason})"
        raise ConfigError(f"Cluster '{profile.name}' asks for {count} GPUs, but this host {has}: lower `gpus`.")
    return tuple(device.index for device in host_gpus.devices[:count])
