"""`sparkscale cluster`: keep clusters up between runs, list them and stop them."""

from typing import Annotated

import typer

from sparkscale.contract.phrases import count
from sparkscale.output import console

app = typer.Typer(
    no_args_is_help=True, help="Keep a cluster on this machine up between runs, list the clusters, stop one."
)

Profile = Annotated[str, typer.Argument(metavar="PROFILE", help="Name of a profile, or path of its TOML file.")]


@app.command()
def up(profile: Profile) -> None:
    """Start the daemons of a profile and keep them up. Runs on this profile then use them.

    All daemons listen on free ports of the loopback interface, or on the addresses of emulated hosts. A new secret
    protects them.

    Examples:

      sparkscale cluster up standalone-2x1

      sparkscale cluster up connect

      sparkscale cluster up emulated-2x1
    """
    from sparkscale.cli.cluster_tables import started
    from sparkscale.measure.run import clusters
    from sparkscale.measure.run.progress import observer

    for sentence in started(clusters.up(profile, observer)):
        typer.echo(sentence)


@app.command()
def down(profile: Profile) -> None:
    """Stop a cluster that `up` started, and everything that runs on it.

    Example: sparkscale cluster down standalone-2x1
    """
    from sparkscale.measure.run import clusters

    state = clusters.down(profile)
    typer.echo(f"Cluster {state.profile.name} is down: {count(len(state.daemons), 'daemon')} ended.")


@app.command()
def status(
    profile: Annotated[
        str | None, typer.Argument(metavar="[PROFILE]", help="Name of a profile (default: all clusters that are up).")
    ] = None,
) -> None:
    """Show which clusters are up on this machine, and which of their daemons are alive.

    Exits with 1 if PROFILE is given and its cluster is not up, or one of its daemons has ended.

    Example: sparkscale cluster status
    """
    from sparkscale.cli.cluster_tables import cluster_table
    from sparkscale.measure.run import clusters

    states = clusters.cluster_states(profile)
    console().print(cluster_table(states))
    if profile is not None and not all(state.whole for state in states):
        raise typer.Exit(1)
