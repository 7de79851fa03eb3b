"""`sparkscale list`: what there is to choose from."""

from typing import Annotated, Literal

import typer

from sparkscale.contract.errors import ConfigError
from sparkscale.output import console

app = typer.Typer()


Topic = Literal["suites", "workloads", "engines", "datasets", "clusters", "metrics"]


@app.command("list")
def list_(
    topic: Annotated[Topic, typer.Argument(help="What to list.")],
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Of engines: which run on which kind of cluster and device.")
    ] = False,
) -> None:
    """List what there is to choose from.

    Examples:

      sparkscale list engines

      sparkscale list engines --matrix
    """
    from sparkscale.cli.catalogue_tables import catalogue, engine_matrix

    if matrix and topic != "engines":
        raise ConfigError("--matrix is of engines: `sparkscale list engines --matrix`.")
    console().print(engine_matrix() if matrix else catalogue(topic))
