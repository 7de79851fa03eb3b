"""The table of `sparkscale cluster status`."""

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cluster.state import ClusterState


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
        for number, daemon in enumerate(state.daemons or [None]):
            cluster_cells = (
                "\n".join([state.profile.name, *price]),
                state.address,
                condition if state.ready or state.stale else "starting",
            )
            table.add_row(
                *(cluster_cells if number == 0 else ("", "", "")),
                *(
                    (daemon.name, f"{daemon.pid}{'' if daemon.alive else ' (ended)'}", str(daemon.log))
                    if daemon
                    else ("", "", "")
                ),
            )
    return table
