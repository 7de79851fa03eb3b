"""`sparkscale cluster`: keep a cluster up between runs, and see what is up."""

from typing import Annotated

import typer

from sparkscale.contract.phrases import count
from sparkscale.output import console

app = typer.Typer(
    no_args_is_help=True, help="Keep a cluster on this machine up between runs; see what is up; end it."
)

Profile = Annotated[str, typer.Argument(metavar="PROFILE", help="A profile's name, or the path of its TOML file.")]


@app.command()
def up(profile: Profile) -> None:
    """Start a profile's daemons, and keep them up: runs on this profile use them.

    Everything listens on free ports of the loopback interface, behind a fresh secret.

    Examples:

      sparkscale cluster up standalone-2x1

      sparkscale cluster up connect
    """
    from sparkscale.measure.run import clusters
    from sparkscale.measure.run.progress import observer

    found = clusters.up(profile, observer)
    name = found.profile.name
    typer.echo(
        f"Cluster {name} is up at {found.address}: {count(len(found.daemons), 'daemon')}, logs in {found.logs}."
    )
    if found.web:
        typer.echo(f"The master's page: {found.web}")
    typer.echo(f"Measure on it with `sparkscale run --cluster {name}`, end it with `sparkscale cluster down {name}`.")


@app.command()
def down(profile: Profile) -> None:
    """End a cluster that `up` started, and everything that runs on it.

    Example: sparkscale cluster down standalone-2x1
    """
    from sparkscale.measure.run import clusters

    found = clusters.down(profile)
    typer.echo(f"Cluster {found.profile.name} is down: {count(len(found.daemons), 'daemon')} ended.")


@app.command()
def status(
    profile: Annotated[
        str | None, typer.Argument(metavar="[PROFILE]", help="One profile (default: all that are up).")
    ] = None,
) -> None:
    """Show which clusters are up on this machine, and whether each of their daemons lives.

    Exits with 1 when the profile that was asked for is not up, or a daemon of it has ended.

    Example: sparkscale cluster status
    """
    from sparkscale.cli.cluster_tables import cluster_table
    from sparkscale.measure.run import clusters

    found = clusters.known(profile)
    console().print(cluster_table(found))
    if profile is not None and not all(state.whole for state in found):
        raise typer.Exit(1)
