"""What a cluster profile grants on this host: CPUs, memory and GPUs of a node, a driver and each daemon."""

from pydantic import BaseModel, ConfigDict

from cluster import gpu
from cluster.granted import granted_cpus, granted_memory_bytes, quota_in_words
from cluster.profile import UNITS, ClusterProfile, Connect, External, Local, Profile, Standalone
from cluster.topology import deal, topology
from sparkscale.contract.case import Placement
from sparkscale.contract.errors import ConfigError

LEAST_HEAP_BYTES = 450 * 2**20
"""With less no JVM of Spark's starts (org.apache.spark.memory.UnifiedMemoryManager: 1.5 × the reserved 300 MiB)."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Grant(Frozen):
    """What one process tree may use: CPU numbers, bytes, GPU numbers as NVML counts them."""

    cpus: tuple[int, ...]
    memory_bytes: int
    heap_bytes: int
    gpus: tuple[int, ...] = ()


class Budget(Frozen):
    """What every case on a profile may use.

    `node` is what a single-node engine gets: on profiles whose daemons run on this host, all that they get together,
    driver included, so that both sides have the same hardware. `daemons` are the worker daemons, or the Connect
    server. `cores` is how many Spark's tasks may use at once, on whatever hosts; `gpus` likewise, with
    `tasks_per_gpu` tasks on each.
    """

    cores: int
    node: Grant
    driver: Grant
    daemons: tuple[Grant, ...] = ()
    executor_memory_bytes: int | None = None
    """What one executor may use, its JVM and Python workers together; None behind a server that does not say."""
    executor_heap_bytes: int | None = None
    """The heap of one executor's JVM; None where the driver, or a Connect server, computes."""
    gpus: int = 0
    tasks_per_gpu: int = 1
    no_gpu: str = ""
    """Where there is no GPU, why."""
    oversubscribed: bool = False

    def grant(self, placement: Placement) -> Grant:
        """What a worker process of this placement may use."""
        return self.node if placement == "node" else self.driver

    def gpus_of(self, placement: Placement) -> int:
        return len(self.node.gpus) if placement == "node" else self.gpus

    def cores_of(self, placement: Placement) -> int:
        """How many cores compute."""
        return len(self.node.cpus) if placement == "node" else self.cores

    @property
    def heap_bytes(self) -> int | None:
        """The heap of the JVM that computes, in whole MiB; None behind a server that does not say."""
        if self.executor_memory_bytes is None and not self.daemons:
            return None
        found = self.executor_heap_bytes or (self.daemons[0] if self.daemons else self.driver).heap_bytes
        return found // UNITS["m"] * UNITS["m"]

    def with_heap(self, heap_bytes: int) -> "Budget":
        """The same, but for the heap of the JVM that computes: every limit on memory stays."""
        changed = {"heap_bytes": heap_bytes}
        if self.executor_heap_bytes is not None:
            return self.model_copy(update={"executor_heap_bytes": heap_bytes})
        if self.daemons:
            daemons = tuple(daemon.model_copy(update=changed) for daemon in self.daemons)
            return self.model_copy(update={"daemons": daemons})
        return self.model_copy(update={"driver": self.driver.model_copy(update=changed)})


def budget(profile: ClusterProfile) -> Budget:
    """What the profile grants on this host. Raises ConfigError when the host has less."""
    found = gpu.discover()
    grants_none = f"cluster '{profile.name}' grants none"
    return _budget(profile, found).model_copy(update={"no_gpu": found.reason or grants_none})


def _budget(profile: ClusterProfile, found: gpu.Gpus) -> Budget:
    if isinstance(profile, Local):
        return _local(profile, found)
    if isinstance(profile, Standalone):
        return _standalone(profile, found)
    if isinstance(profile, Connect) and profile.starts_daemons:
        return _connect(profile, found)
    return _existing(profile, found)


def _local(profile: Local, found: gpu.Gpus) -> Budget:
    cpus = _cpus(profile)
    _check_memory(profile, profile.memory)
    memory = _bytes(profile.memory)
    count = len(found.devices) if profile.gpus == "all" else profile.gpus
    grant = Grant(
        cpus=cpus,
        memory_bytes=memory,
        heap_bytes=int(memory * profile.heap_share),
        gpus=_gpus(profile, found, count),
    )
    return Budget(
        cores=len(cpus),
        node=grant,
        driver=grant,
        executor_memory_bytes=memory,
        gpus=count,
        tasks_per_gpu=profile.tasks_per_gpu,
    )


def _standalone(profile: Standalone, found: gpu.Gpus) -> Budget:
    available = granted_cpus()
    asked = profile.workers * profile.cores
    if asked > len(available) and not profile.oversubscribe:
        raise ConfigError(
            f"Cluster '{profile.name}' asks for {asked} cores, of which {len(available)} are usable"
            f"{quota_in_words()}: lower `workers` or `cores`, or say oversubscribe = true, which marks its records."
        )
    _check_memory(profile, *[profile.memory] * profile.workers, profile.driver_memory)
    memory, driver = _bytes(profile.memory), _bytes(profile.driver_memory)
    _check_heap(profile, memory, driver)
    devices = _gpus(profile, found, profile.workers * profile.gpus)
    daemons = [
        _grant(profile, cpus, memory, devices[number * profile.gpus : (number + 1) * profile.gpus])
        for number, cpus in enumerate(_workers_cpus(profile, available))
    ]
    used = tuple(sorted({cpu for daemon in daemons for cpu in daemon.cpus}))
    return Budget(
        cores=asked,
        node=_grant(profile, used, profile.workers * memory + driver, devices),
        driver=_grant(profile, used, driver),
        daemons=tuple(daemons),
        executor_memory_bytes=memory,
        executor_heap_bytes=int(memory * profile.heap_share),
        gpus=len(devices),
        tasks_per_gpu=profile.tasks_per_gpu,
        oversubscribed=asked > len(available),
    )


def _connect(profile: Connect, found: gpu.Gpus) -> Budget:
    cpus = _cpus(profile)
    _check_memory(profile, profile.memory, profile.driver_memory)
    memory, client = _bytes(profile.memory), _bytes(profile.driver_memory)
    return Budget(
        cores=len(cpus),
        node=_grant(profile, cpus, memory + client, tuple(device.index for device in found.devices)),
        driver=_grant(profile, cpus, client),
        daemons=(_grant(profile, cpus, memory),),
        executor_memory_bytes=memory,
    )


def _existing(profile: Connect | External, found: gpu.Gpus) -> Budget:
    """The executors are elsewhere; a single-node engine gets this host, a driver its share of it."""
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
        node=_grant(profile, cpus, _bytes(node), tuple(device.index for device in found.devices)),
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
            f"Cluster '{profile.name}' asks for {cores} cores, of which {len(available)} are usable"
            f"{quota_in_words()}: lower `cores`."
        )
    return tuple(sorted(available[:cores]))


def _workers_cpus(profile: Standalone, available: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The CPUs of each worker: no two workers share a physical core where there are enough.

    Where there are fewer CPUs than the workers ask for, they share them in turn.
    """
    asked = profile.workers * profile.cores
    if asked <= len(available):
        return deal(available[:asked], topology(), profile.workers, profile.cores)
    return [
        tuple(sorted({available[(number * profile.cores + core) % len(available)] for core in range(profile.cores)}))
        for number in range(profile.workers)
    ]


def _bytes(text: str) -> int:
    amount, unit = int(text[:-1]), text[-1]
    return granted_memory_bytes() * amount // 100 if unit == "%" else amount * UNITS[unit]


def _check_memory(profile: Profile, *asked: str) -> None:
    total = granted_memory_bytes()
    if sum(map(_bytes, asked)) > total:
        raise ConfigError(
            f"Cluster '{profile.name}' asks for {' + '.join(asked)} of memory, and this process may use "
            f"{total / 2**30:.1f} GiB: lower its memory."
        )


def _check_heap(profile: Profile, *memories: int) -> None:
    """Executors that do not start would only be missing."""
    heap = int(min(memories) * profile.heap_share)
    if heap < LEAST_HEAP_BYTES:
        raise ConfigError(
            f"Cluster '{profile.name}' leaves {heap // 2**20} MiB for the heap of a JVM, of which Spark needs "
            f"{LEAST_HEAP_BYTES // 2**20} MiB: raise its memory, or `heap_share`."
        )


def _gpus(profile: Profile, found: gpu.Gpus, count: int) -> tuple[int, ...]:
    """The first so many of this host."""
    if count > len(found.devices):
        has = f"has {len(found.devices)}" if found.devices else f"has none ({found.reason})"
        raise ConfigError(f"Cluster '{profile.name}' asks for {count} GPUs, and this host {has}: lower `gpus`.")
    return tuple(device.index for device in found.devices[:count])
