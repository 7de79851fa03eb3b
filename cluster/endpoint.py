"""The address that a Spark session connects to, and the processes that serve this address."""

import re
import socket
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from cluster.network import Link
from cluster.profile import ClusterProfile, Connect, External, Local
from sparkscale.contract.errors import ClusterError

ROUTE_SECONDS = 10.0
PORTS = {"spark": 7077, "sc": 15002}


class Endpoint(BaseModel):
    """The address of a master or a Connect server, and facts about the processes that serve this address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    """local[N], spark://…, yarn, k8s://…, or sc://…"""
    secret: str = Field(default="", repr=False)
    """The secret of a cluster that sparkscale started, or the token of a Connect server. Empty if there is neither.
    """
    daemons: tuple[int, ...] = ()
    """Ids of the process trees on this host that work for the cases. Their CPU time is counted."""
    whole: tuple[int, ...] = ()
    """The part of `daemons` that serves only this worker, such as the process tree of a fresh Connect server."""
    executors: tuple[int, ...] = ()
    """The part of `daemons` that belongs to Spark workers. In each of these process trees, a Spark worker starts
    executors. The executors serve the worker that runs the case; the Spark worker itself does not."""
    events: Path | None = None
    """The folder of the event log if another process than the worker writes the log; otherwise None."""
    observable: bool = True
    """True if all processes that a case uses run on this host and serve nobody else."""

    address_here: str = ""
    """The address of this host that drivers listen at. Empty: the loopback interface if the cluster is on it, or else
    Spark's choice."""
    link: Link | None = None
    """The links of emulated hosts. None for other clusters."""

    @property
    def is_connect(self) -> bool:
        return self.address.startswith("sc://")


def existing(profile: ClusterProfile) -> Endpoint:
    """Returns the endpoint of a profile for which sparkscale starts no daemons.

    Raises ClusterError if nothing listens at its address.
    """
    if isinstance(profile, Local):
        return Endpoint(address="local")
    assert isinstance(profile, Connect | External)
    address = profile.url if isinstance(profile, Connect) else profile.master
    check_route(profile.name, address)
    return Endpoint(address=address, secret=profile.secret_values().get("token", ""), observable=False)


def check_route(cluster: str, address: str) -> None:
    """Raises ClusterError, with the reason, if nothing listens at a spark:// or sc:// address.

    Without this check, Spark's own clients would try for a minute, and gRPC's clients without end. If the address
    names several masters, it is enough if one of them listens.
    """
    scheme, _, after_scheme = address.partition("://")
    if scheme not in PORTS:
        return
    reasons = []
    for place in re.split(r"[/;?]", after_scheme, maxsplit=1)[0].split(","):
        host, _, port = place.rpartition(":") if ":" in place else (place, "", "")
        try:
            socket.create_connection((host.strip("[]"), int(port or PORTS[scheme])), ROUTE_SECONDS).close()
        except (OSError, ValueError) as error:
            reasons.append(f"{place}: {error}")
        else:
            return
    raise ClusterError(
        f"Cluster '{cluster}' cannot be reached at {address} ({'; '.join(reasons)}): start it, or correct the "
        "address in its profile."
    )
