"""Where a session connects to."""

import re
import socket
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from cluster.profile import ClusterProfile, Connect, External, Local
from sparkscale.contract.errors import ClusterError

ROUTE_SECONDS = 10.0
PORTS = {"spark": 7077, "sc": 15002}


class Endpoint(BaseModel):
    """A master's or a Connect server's address, and what the runner knows of the processes behind it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    """local[N], spark://…, yarn, k8s://…, or sc://…"""
    secret: str = Field(default="", repr=False)
    """Of a cluster that sparkscale started, or the token of a Connect server."""
    daemons: tuple[int, ...] = ()
    """Sessions of processes on this host whose CPU time belongs to the cases."""
    whole: tuple[int, ...] = ()
    """Of these sessions, those that serve this worker alone: a fresh Connect server's."""
    executors: tuple[int, ...] = ()
    """Of these sessions, those that do so but for the daemon that leads them, which started executors for it."""
    events: Path | None = None
    """The event log's folder, where another process than the worker writes it."""
    observable: bool = True
    """Whether the processes that a case uses run on this host, and for nobody else."""

    @property
    def is_connect(self) -> bool:
        return self.address.startswith("sc://")


def existing(profile: ClusterProfile) -> Endpoint:
    """Of a profile whose daemons are not sparkscale's. Raises ClusterError when nobody answers there."""
    if isinstance(profile, Local):
        return Endpoint(address="local")
    assert isinstance(profile, Connect | External)
    address = profile.url if isinstance(profile, Connect) else profile.master
    check_route(profile.name, address)
    return Endpoint(address=address, secret=profile.secret_values().get("token", ""), observable=False)


def check_route(cluster: str, address: str) -> None:
    """Raises ClusterError, with the reason, unless something listens at spark:// or sc:// HOST:PORT.

    Spark's own clients would try for a minute, gRPC's without end. Of several masters one is enough.
    """
    scheme, _, rest = address.partition("://")
    if scheme not in PORTS:
        return
    reasons = []
    for place in re.split(r"[/;?]", rest, maxsplit=1)[0].split(","):
        host, _, port = place.rpartition(":") if ":" in place else (place, "", "")
        try:
            socket.create_connection((host.strip("[]"), int(port or PORTS[scheme])), ROUTE_SECONDS).close()
        except (OSError, ValueError) as error:
            reasons.append(f"{place}: {error}")
        else:
            return
    raise ClusterError(f"Cluster '{cluster}' cannot be reached at {address} ({'; '.join(reasons)}).")
