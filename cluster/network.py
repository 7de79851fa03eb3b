"""The network of emulated hosts: a network namespace for each, and links of a limited rate between them.

All links lead to one bridge, the switch. It has a namespace of its own, because a firewall of this machine may drop
the packets of a bridge (br_netfilter). The driver has a link like every host, but stays in the network namespace of
sparkscale. `tbf` limits the rate on both ends of each link, so it limits both directions. `netem` delays packets
where they leave a host. Sources: tc-tbf(8), tc-netem(8), ip-netns(8).

The namespaces have no route to other networks. Their addresses are from 198.18.0.0/16 (RFC 2544), which is for tests.
A part that a route of this machine covers, such as that of a VPN, is not used.
"""

import ctypes
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from cluster.profile import Emulated, bits_per_second, seconds_of
from sparkscale.contract.errors import ClusterError, ConfigError

NAMESPACES = Path("/run/netns")
"""The folder of named network namespaces, see ip-netns(8)."""
CLONE_NEWNET = 0x40000000
NET_ADMIN, SYS_ADMIN = 12, 21
"""The numbers of two capabilities (linux/capability.h). They allow to make links, and to enter a namespace."""
INTERFACE = "eth0"
"""The name of an emulated host's end of its link."""
BRIDGE = "switch"
"""The name of the bridge in its namespace."""
LEAST_PREFIX = 8
"""A route with a shorter prefix stands for the default route."""
DRIVER = 254
"""The last part of the driver's address. Hosts count from 1."""
BURST_SECONDS, LEAST_BURST = 0.002, 16 * 1024
"""The bytes that may pass at once: those of a short time, and at least a few packets."""
QUEUE = "50ms"
"""The longest time that a packet waits for its turn. After that, packets are dropped, and TCP slows down."""
DELAYED_PACKETS = 100_000
"""The most packets that are delayed at once."""
COMMAND_SECONDS = 30.0


class Link(BaseModel):
    """The link of each emulated host: the requested properties, and the measured rates.

    `measured` holds bits per second of a TCP transfer from the first host to the second, and back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bits_per_second: float
    delay_seconds: float
    measured: tuple[float, float]


class Network(BaseModel):
    """The names and addresses of one network. `token` is part of all names, so no other start has the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: str
    subnet: int
    """The third part of all addresses."""
    hosts: int
    rate: str
    delay: str

    @classmethod
    def plan(cls, profile: Emulated) -> "Network":
        """Returns the names and addresses for a new network. Nothing is made yet.

        Raises ClusterError if routes of this machine cover all addresses.
        """
        routes = list(_routes(_run("ip", "-j", "-4", "route", "show", "table", "all")))
        free = [number for number in range(256) if not any(map(_subnet(number).overlaps, routes))]
        if not free:
            raise ClusterError(
                "All networks 198.18.0.0/24 to 198.18.255.0/24 are in use by routes of this machine (`ip route`): "
                "take down emulated clusters, or the VPN with these addresses."
            )
        return cls(
            token=secrets.token_hex(4),
            subnet=secrets.choice(free),
            hosts=profile.hosts,
            rate=profile.rate,
            delay=profile.delay,
        )

    @property
    def driver_address(self) -> str:
        """The address of the Master and of drivers."""
        return f"198.18.{self.subnet}.{DRIVER}"

    def address(self, host: int) -> str:
        """Returns the address of a host. Hosts are numbered from 1."""
        return f"198.18.{self.subnet}.{host}"

    def namespace(self, host: int) -> Path:
        """Returns the file of a host's network namespace."""
        return NAMESPACES / f"sparkscale-{self.token}-{host}"

    @property
    def switch(self) -> str:
        """The name of the bridge's network namespace."""
        return f"sparkscale-{self.token}-switch"

    def port(self, host: int) -> str:
        """Returns the bridge's end of a host's link. It is in the bridge's namespace."""
        return f"host{host}"

    @property
    def driver_end(self) -> str:
        """The driver's end of its link. Nothing else of the network is outside of its namespaces."""
        return f"ss{self.token}"

    @property
    def exists(self) -> bool:
        """True if the network is whole: all namespaces, and the driver's link."""
        return len(self.parts) == self.hosts + 2

    @property
    def parts(self) -> list[str]:
        """The names of the parts that exist: namespaces, and the driver's end of its link."""
        named = [path.name for path in self._namespaces if path.exists()]
        return named + [name for _, name in socket.if_nameindex() if name == self.driver_end]

    @property
    def _namespaces(self) -> list[Path]:
        return [*map(self.namespace, self._numbers), NAMESPACES / self.switch]

    @property
    def _numbers(self) -> range:
        return range(1, self.hosts + 1)

    def build(self) -> None:
        """Makes all namespaces and links. Raises ClusterError with the reason if that fails."""
        for path in self._namespaces:
            _run("ip", "netns", "add", path.name)
        _run("ip", "-n", self.switch, "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "-n", self.switch, "link", "set", BRIDGE, "up")
        own = self.driver_end
        _run("ip", "link", "add", own, "type", "veth", "peer", "name", "driver", "netns", self.switch)
        self._connect("driver")
        self._configure(["ip"], ["tc"], own, self.driver_address)
        for host in self._numbers:
            name, veth = self.namespace(host).name, ["type", "veth", "peer", "name", INTERFACE]
            _run("ip", "-n", self.switch, "link", "add", self.port(host), *veth, "netns", name)
            self._connect(self.port(host))
            _run("ip", "-n", name, "link", "set", "lo", "up")
            self._configure(["ip", "-n", name], ["tc", "-n", name], INTERFACE, self.address(host))

    def _connect(self, port: str) -> None:
        """Connects an end of a link to the bridge, and limits the rate towards the host."""
        _run("ip", "-n", self.switch, "link", "set", port, "master", BRIDGE, "up")
        _run("tc", "-n", self.switch, "qdisc", "add", "dev", port, "root", *self._limit)

    def _configure(self, ip: list[str], tc: list[str], end: str, address: str) -> None:
        """Gives a host's end of its link an address, a rate and a delay."""
        _run(*ip, "addr", "add", f"{address}/24", "dev", end)
        _run(*ip, "link", "set", end, "up")
        _run(*tc, "qdisc", "add", "dev", end, "root", "handle", "1:", *self._limit)
        if self.delay:
            delay = ["netem", "delay", self.delay, "limit", str(DELAYED_PACKETS)]
            _run(*tc, "qdisc", "add", "dev", end, "parent", "1:1", "handle", "10:", *delay)

    @property
    def _limit(self) -> list[str]:
        """The arguments of tc that limit the rate."""
        burst = max(LEAST_BURST, round(bits_per_second(self.rate) / 8 * BURST_SECONDS))
        return ["tbf", "rate", self.rate, "burst", str(burst), "latency", QUEUE]

    def remove(self) -> None:
        """Removes everything that `build` made. Parts that do not exist are skipped.

        Raises ClusterError if a part cannot be removed, such as without rights.
        """
        failures = []
        for name in self.parts:
            is_link = name == self.driver_end
            try:
                _run("ip", *(["link", "del", name] if is_link else ["netns", "del", name]))
            except ClusterError as error:
                failures.append(error)
        left = self.parts
        if left:
            raise ClusterError(
                f"Parts of a network of emulated hosts cannot be removed ({', '.join(left)}): take its cluster down "
                "as root (`sparkscale cluster status` names it)."
            ) from next(iter(failures), None)

    def link(self, measured: tuple[float, float]) -> Link:
        """Returns the description of a host's link, with its measured rates."""
        return Link(
            bits_per_second=bits_per_second(self.rate), delay_seconds=seconds_of(self.delay), measured=measured
        )


def _subnet(number: int) -> IPv4Network:
    """Returns the network with this third part of its addresses."""
    return IPv4Network(f"198.18.{number}.0/24")


def _routes(shown: str) -> Iterator[IPv4Network]:
    """Yields the destinations of routes, as `ip -j route` shows them.

    Default routes are left out. So are the halves and other large parts of all addresses, by which a VPN replaces the
    default route.
    """
    for route in json.loads(shown or "[]"):
        with suppress(ValueError):  # "default"
            destination = IPv4Network(route["dst"])
            if destination.prefixlen >= LEAST_PREFIX:
                yield destination


def enter(namespace: Path) -> None:
    """Moves the calling thread, and the processes that it starts, into a network namespace.

    Raises OSError if that fails.
    """
    with namespace.open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(namespace))


def check(profile: Emulated) -> None:
    """Raises ConfigError if this machine, or this user, cannot emulate the hosts of this profile."""
    obstacle = next(_obstacles(profile), None)
    if obstacle:
        raise ConfigError(f"Cluster '{profile.name}' cannot be emulated: {obstacle}.")


def _obstacles(profile: Emulated) -> Iterator[str]:
    capabilities = _capabilities()
    if not (capabilities >> NET_ADMIN & 1 and capabilities >> SYS_ADMIN & 1):
        yield (
            "network namespaces and links need root (CAP_NET_ADMIN and CAP_SYS_ADMIN): run the command as root, or "
            "choose a standalone cluster"
        )
    missing = [tool for tool in ("ip", "tc", "unshare") if shutil.which(tool) is None]
    if missing:
        yield f"the command `{missing[0]}` is missing: install iproute2 and util-linux"
    if profile.delay and not _has_netem():
        yield "the kernel has no netem (module sch_netem), which makes a delay: leave `delay` out"


def _capabilities() -> int:
    """Returns the effective capabilities of this process as a bit set, see proc(5)."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1], 16) if found else 0


def _has_netem() -> bool:
    """True if the kernel has netem. This is tried on a loopback interface in a namespace that vanishes at once."""
    return _try("unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")


def _run(*command: str) -> str:
    """Runs a command and returns its output. Raises ClusterError with its message if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"Emulated hosts need the command `{command[0]}`: {error}.") from error
    if done.returncode != 0:
        reason = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise ClusterError(f"The network of emulated hosts cannot be made: `{' '.join(command)}` says: {reason}")
    return done.stdout


def _try(*command: str) -> bool:
    """Runs a command. Returns true if it succeeds."""
    try:
        _run(*command)
    except ClusterError:
        return False
    return True
