"""The sentences of `sparkscale cluster up` and the table of `sparkscale cluster status`."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cluster.network import Link
from cluster.state import ClusterState
from cluster.throughput import NEAR
from sparkscale.contract.phrases import bit_rate, count, number


def started(state: ClusterState) -> Iterator[str]:
    """Yields sentences about a cluster that was just started: where it is, its links, and how to use it."""
    name = state.profile.name
    yield f"Cluster {name} is up at {state.address}: {count(len(state.daemons), 'daemon')}, logs in {state.logs}."
    if state.web:
        yield f"The master's page: {state.web}"
    if state.link:
        yield f"Its hosts are emulated. {link_words(state.link)}"
        slowest = min(state.link.measured)
        if slowest < NEAR * state.link.bits_per_second:
            yield (
                "The links are slower than requested, because this machine carries no more or its CPUs are busy. "
                "Reports use the measured rates."
            )
    yield f"Measure on it with `sparkscale run --cluster {name}`. Stop it with `sparkscale cluster down {name}`."


def link_words(link: Link) -> str:
    """Returns a sentence with the requested and the measured rates of the links of emulated hosts."""
    forth, back = (bit_rate(rate) for rate in link.measured)
    delay = f" and {number(1e3 * link.delay_seconds)} ms of delay" if link.delay_seconds else ""
    return (
        f"Each link: {bit_rate(link.bits_per_second)}{delay} requested; measured from host 1 to host 2 {forth}, "
        f"back {back}."
    )


def cluster_table(states: list[ClusterState]) -> RenderableType:
    """Returns a table of the clusters on this machine, with a row for each daemon."""
    if not states:
        return Text("No cluster is up. Start one with `sparkscale cluster up standalone-2x1`.")
    table = Table(header_style="bold")
    for name in ("cluster", "address", "state", "daemon", "process", "log"):
        table.add_column(name, overflow="fold")
    for state in states:
        price = [state.profile.price.text] if state.profile.price else []
        condition = (
            "up" if state.whole else "stale: the next start ends it" if state.stale else "damaged: a run restores it"
        )
        for position, daemon in enumerate(state.daemons or [None]):
            cluster_cells = (
                "\n".join([state.profile.name, *price]),
                "\n".join([state.address, *([link_words(state.link)] if state.link else [])]),
                condition if state.ready or state.stale else "starting",
            )
            table.add_row(
                *(cluster_cells if position == 0 else ("", "", "")),
                *(
                    (daemon.name, f"{daemon.pid}{'' if daemon.alive else ' (ended)'}", str(daemon.log))
                    if daemon
                    else ("", "", "")
                ),
            )
    return table
