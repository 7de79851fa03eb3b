"""The network of emulated hosts: a network namespace for each, and links of a limited rate between them.

All links lead to one bridge. The driver has a link like every host, but stays in the network namespace of sparkscale.
`tbf` limits the rate on both ends of each link, so it limits both directions. `netem` delays packets where they leave
a host. Sources: tc-tbf(8), tc-netem(8), ip-netns(8).

The namespaces have no route to other networks. Their addresses (198.18.0.0/15, RFC 2544) are not used elsewhere.
"""

import ctypes
import os
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
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
        """Returns the names and addresses for a new network. Nothing is made yet."""
        routes = _run("ip", "-4", "route", "show", "table", "all")
        free = [number for number in range(256) if f"198.18.{number}." not in routes]
        if not free:
            raise ClusterError("All networks 198.18.0.0/24 to 198.18.255.0/24 are in use: take down a cluster.")
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
    def bridge(self) -> str:
        return f"ss{self.token}br"

    def port(self, host: int) -> str:
        """Returns the bridge's end of a host's link."""
        return f"ss{self.token}h{host}"

    @property
    def driver_ends(self) -> tuple[str, str]:
        """The driver's end of its link, and the bridge's end."""
        return f"ss{self.token}d", f"ss{self.token}dp"

    @property
    def exists(self) -> bool:
        """True if all hosts have their namespaces, and the driver its link."""
        links = {name for _, name in socket.if_nameindex()}
        named = {self.bridge, *self.driver_ends, *map(self.port, self._numbers)}
        return named <= links and all(self.namespace(host).exists() for host in self._numbers)

    @property
    def _numbers(self) -> range:
        return range(1, self.hosts + 1)

    def build(self) -> None:
        """Makes all namespaces and links. Raises ClusterError with the reason if that fails."""
        _run("ip", "link", "add", self.bridge, "type", "bridge")
        _run("ip", "link", "set", self.bridge, "up")
        own, port = self.driver_ends
        _run("ip", "link", "add", own, "type", "veth", "peer", "name", port)
        self._connect(port)
        self._configure(["ip"], ["tc"], own, self.driver_address)
        for host in self._numbers:
            name = self.namespace(host).name
            _run("ip", "netns", "add", name)
            _run("ip", "link", "add", self.port(host), "type", "veth", "peer", "name", INTERFACE, "netns", name)
            self._connect(self.port(host))
            _run("ip", "-n", name, "link", "set", "lo", "up")
            self._configure(["ip", "-n", name], ["tc", "-n", name], INTERFACE, self.address(host))

    def _connect(self, port: str) -> None:
        """Connects an end of a link to the bridge, and limits the rate towards the host."""
        _run("ip", "link", "set", port, "master", self.bridge, "up")
        _run("tc", "qdisc", "add", "dev", port, "root", *self._limit)

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
        """Removes everything that `build` made. Parts that do not exist are skipped."""
        for host in self._numbers:
            _try("ip", "link", "del", self.port(host))
            if self.namespace(host).exists():
                _try("ip", "netns", "del", self.namespace(host).name)
        _try("ip", "link", "del", self.driver_ends[0])
        _try("ip", "link", "del", self.bridge)

    def link(self, measured: tuple[float, float]) -> Link:
        """Returns the description of a host's link, with its measured rates."""
        return Link(
            bits_per_second=bits_per_second(self.rate), delay_seconds=seconds_of(self.delay), measured=measured
        )


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
