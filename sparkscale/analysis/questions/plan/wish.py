"""What a user of `sparkscale plan` wants, and the places that are offered for it."""

import datetime
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparkscale.analysis.conditions import EMULATED
from sparkscale.analysis.price import Price
from sparkscale.contract.case import Placement
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import count


@dataclass(frozen=True)
class Wish:
    """A job, and the limits that it must keep. A limit is None if there is none.

    `columns` is None for as many columns as were measured. `deadline` is in seconds, and `budget` in the currency of
    the prices. `max_loss` is the largest quality that may be given up, in the units of the workload's criterion. If
    it is None, the tolerance that the workload declares counts.
    """

    rows: int
    columns: int | None = None
    deadline: float | None = None
    max_loss: float | None = None
    budget: float | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError if a number is impossible."""
        for name, value in (("rows", self.rows), ("columns", self.columns)):
            if value is not None and value < 1:
                raise ConfigError(f"--{name} {value} is impossible: plan for 1 or more.")
        for name, limit in (("deadline", self.deadline), ("budget", self.budget)):
            if limit is not None and not 0 < limit < math.inf:
                raise ConfigError(f"--{name} {limit:g} is impossible: give a number above 0.")
        if self.max_loss is not None and not 0 <= self.max_loss < math.inf:
            raise ConfigError(f"--max-loss {self.max_loss:g} is impossible: give 0 or more.")


@dataclass(frozen=True)
class Place:
    """A place where an engine can run: one node, or the executors of a cluster.

    `cores` are those of all executors together. `memory_bytes` is the memory of the node, or of one executor, and
    `heap_bytes` the part of it that the heap of the JVM may take. Both are None if they are not known. `price` is
    that of all machines of the profile, and `share` the part of it that this place pays.
    """

    cluster: str
    kind: str
    placement: Placement
    executors: int
    cores: int
    memory_bytes: int | None
    heap_bytes: int | None = None
    gpus: int = 0
    price: Price | None = None
    share: float = 1.0

    @property
    def words(self) -> str:
        """The place in words, such as "one node" or "4 executors of 2 cores of big"."""
        if self.placement == "node":
            return f"one node ({count(self.cores, 'core')})"
        if self.kind in ("standalone", "external"):
            each = self.cores // self.executors
            return f"{count(self.executors, 'executor')} of {count(each, 'core')}, cluster {self.cluster}"
        return f"Spark {'in local mode' if self.kind == 'local' else 'behind Connect'} ({count(self.cores, 'core')})"

    @property
    def short(self) -> str:
        """The place in a table, such as "1 node, 2 cores" or "4 × 2 cores"."""
        if self.placement == "node":
            return f"1 node,\n{count(self.cores, 'core')}"
        if self.kind in ("standalone", "external"):
            return f"{self.executors} × {count(self.cores // self.executors, 'core')},\n{self.cluster}"
        return f"{self.cluster},\n{count(self.cores, 'core')}"

    def cost(self, seconds: float) -> float | None:
        """Returns the cost of this time. None if the profile has no price."""
        return None if self.price is None else self.share * self.price.of_seconds(seconds)


@dataclass(frozen=True)
class Offer:
    """A profile with the budget that it grants, both as they are stored with records (see `Budget` of `cluster`)."""

    profile: Mapping[str, Any]
    budget: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.profile["name"])

    @property
    def has_executors(self) -> bool:
        """True if the number of executors can be chosen."""
        return self.profile["kind"] in ("standalone", "external")

    @property
    def executors(self) -> int:
        """The number of executors of the whole profile."""
        return int(self.profile.get("workers") or self.profile.get("executors") or 1)

    @property
    def price(self) -> Price | None:
        stated = self.profile.get("price")
        if not stated:
            return None
        date = datetime.date.fromisoformat(str(stated["date"]))
        return Price(stated["per_hour"], stated["currency"], stated["source"], date)

    def places(self, executors: Sequence[int] | None) -> Iterator[Place]:
        """Yields the node, then Spark on each number of executors. Emulated hosts are no place for a job.

        `executors` are the numbers of executors. None: 1, 2, 4, … up to the number of the profile, and this number.
        """
        yield self.node
        if self.profile["kind"] == EMULATED:
            return
        wanted = (executors or doubling(self.executors)) if self.has_executors else [1]
        yield from (self.spark(number) for number in wanted)

    @property
    def node(self) -> Place:
        """The node for engines without Spark. It pays for all machines of the profile."""
        node = self.budget["node"]
        return Place(
            cluster=self.name,
            kind=str(self.profile["kind"]),
            placement="node",
            executors=1,
            cores=len(node["cpus"]),
            memory_bytes=node["memory_bytes"],
            gpus=len(node.get("gpus", ())),
            price=self.price,
        )

    def spark(self, executors: int) -> Place:
        """Returns the place of Spark on this number of executors. It pays for its part of the profile's executors."""
        memory = self.budget.get("executor_memory_bytes")
        return Place(
            cluster=self.name,
            kind=str(self.profile["kind"]),
            placement="spark",
            executors=executors,
            cores=executors * self.budget["cores"] // self.executors,
            memory_bytes=memory,
            heap_bytes=self._heap_bytes(memory),
            gpus=executors * self.budget.get("gpus", 0) // self.executors,
            price=self.price,
            share=executors / self.executors,
        )

    def _heap_bytes(self, memory: int | None) -> int | None:
        """Returns the heap of the JVM that computes: an executor's, the server's, or the driver's in local mode."""
        if self.has_executors:
            return self.budget.get("executor_heap_bytes")
        daemons = self.budget.get("daemons") or ()
        grant = daemons[0] if daemons else self.budget["driver"]
        return None if memory is None else int(grant["heap_bytes"])


def doubling(most: int) -> list[int]:
    """Returns 1, 2, 4, … below `most`, then `most`."""
    powers = [2**power for power in range(most.bit_length()) if 2**power < most]
    return [*powers, most]


def places(offers: Iterable[Offer], executors: Sequence[int] | None) -> list[Place]:
    """Returns the places of all offers. Nodes that differ only in the name of their profile count once.

    The cheapest of equal nodes is kept.
    """
    found: dict[object, Place] = {}
    for offer in offers:
        for place in offer.places(executors):
            is_node = place.placement == "node"
            key = (place.cores, place.memory_bytes, place.gpus) if is_node else (place.cluster, place.executors)
            known = found.get(key)
            if known is None or _per_hour(place) < _per_hour(known):
                found[key] = place
    return list(found.values())


def _per_hour(place: Place) -> float:
    return math.inf if place.price is None else place.share * place.price.per_hour
