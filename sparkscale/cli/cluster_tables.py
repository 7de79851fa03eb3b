"""The table of `sparkscale cluster status`."""

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cluster.state import ClusterState


def cluster_table(found: list[ClusterState]) -> RenderableType:
    """What is up on this machine."""
    if not found:
        return Text("No cluster is up: `sparkscale cluster up standalone-2x1` starts one.")
    table = Table(header_style="bold")
    for name in ("cluster", "address", "state", "daemon", "process", "log"):
        table.add_column(name, overflow="fold")
    for one in found:
        word = "up" if one.whole else "stale: the next start ends it" if one.stale else "damaged: a run restores it"
        for number, daemon in enumerate(one.daemons or [None]):
            first = (one.profile.name, one.address, word if one.ready or one.stale else "starting")
            table.add_row(
                *(first if number == 0 else ("", "", "")),
                *(
                    (daemon.name, f"{daemon.pid}{'' if daemon.alive else ' (ended)'}", str(daemon.log))
                    if daemon
                    else ("", "", "")
                ),
            )
    return table
