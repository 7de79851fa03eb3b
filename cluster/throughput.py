"""Measures the rate of the links between emulated hosts, by plain TCP transfers."""

import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from cluster.network import Network, enter
from sparkscale.contract.errors import ClusterError

SKIPPED_SECONDS, MEASURED_SECONDS = 0.3, 1.0
"""The beginning of a transfer is not measured: TCP is slow at first, and a burst passes at once."""
CHUNK = 64 * 1024
PATIENCE_SECONDS = 20.0
DRIVER_SECONDS = 5.0
NEAR, TOO_FAST = 0.9, 1.25
"""Below the share NEAR of the requested rate, a transfer is repeated. Above TOO_FAST, the rate is not limited."""
ATTEMPTS = 3


def measure(network: Network) -> tuple[float, float]:
    """Returns the bits per second from the first host to the second, and back.

    A transfer that is too slow is repeated, and the fastest counts: a busy CPU slows a transfer down, and nothing
    makes it faster than the link. Raises ClusterError if the link carries no data, or does not limit the rate.
    """
    forth, back = (_fastest(network, *pair) for pair in ((1, 2), (2, 1)))
    requested = network.link((forth, back)).bits_per_second
    if max(forth, back) > TOO_FAST * requested:
        raise ClusterError(
            f"The links of the emulated hosts do not limit the rate: {max(forth, back):.3g} bit/s were measured, but "
            f"{requested:.3g} are requested."
        )
    return forth, back


def _fastest(network: Network, sender: int, receiver: int) -> float:
    best = 0.0
    for _ in range(ATTEMPTS):
        best = max(best, transfer(network, sender, receiver))
        if best >= NEAR * network.link((0.0, 0.0)).bits_per_second:
            break
    return best


def transfer(network: Network, sender: int, receiver: int) -> float:
    """Returns the bits per second of a TCP transfer from one host to another. Raises ClusterError if it fails."""
    ports: Future[int] = Future()
    with ThreadPoolExecutor(2) as threads:  # a thread that entered a namespace stays there, so it is not used again
        received = threads.submit(_receive, network.namespace(receiver), network.address(receiver), ports)
        threads.submit(_send, network.namespace(sender), network.address(receiver), ports)
        try:
            return received.result()
        except OSError as error:
            raise ClusterError(f"The emulated hosts {sender} and {receiver} cannot connect: {error}.") from error


def _receive(namespace: Path, address: str, ports: "Future[int]") -> float:
    """Receives data for a while. Returns bits per second."""
    try:
        enter(namespace)
        listening = socket.create_server((address, 0))
    except BaseException as error:
        ports.set_exception(error)
        raise
    with listening:
        listening.settimeout(PATIENCE_SECONDS)
        ports.set_result(listening.getsockname()[1])
        connection, _ = listening.accept()
    buffer = bytearray(CHUNK)
    with connection:
        connection.settimeout(PATIENCE_SECONDS)
        connection.recv_into(buffer)
        skipped = time.perf_counter() + SKIPPED_SECONDS
        while time.perf_counter() < skipped:
            connection.recv_into(buffer)
        total, began = 0, time.perf_counter()
        while time.perf_counter() < began + MEASURED_SECONDS:
            total += connection.recv_into(buffer)
    if total == 0:
        raise ConnectionAbortedError("no data came")
    return 8 * total / (time.perf_counter() - began)


def check_driver(network: Network) -> None:
    """Raises ClusterError if an emulated host cannot connect to the driver, such as because of a firewall."""
    with socket.create_server((network.driver_address, 0)) as listening, ThreadPoolExecutor(1) as threads:
        port = listening.getsockname()[1]
        try:
            threads.submit(_connect, network.namespace(1), network.driver_address, port).result()
        except OSError as error:
            raise ClusterError(
                f"Emulated hosts cannot connect to the driver at {network.driver_address} ({error}): let the "
                "firewall of this machine accept packets from 198.18.0.0/16."
            ) from error


def _connect(namespace: Path, address: str, port: int) -> None:
    enter(namespace)
    socket.create_connection((address, port), DRIVER_SECONDS).close()


def _send(namespace: Path, address: str, ports: "Future[int]") -> None:
    """Sends data until the receiver closes the connection."""
    port = ports.result(PATIENCE_SECONDS)
    enter(namespace)
    with socket.create_connection((address, port), PATIENCE_SECONDS) as connection:
        try:
            while True:
                connection.sendall(bytes(CHUNK))
        except (ConnectionError, TimeoutError):
            return
