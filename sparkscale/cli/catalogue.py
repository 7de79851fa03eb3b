"""`sparkscale list`: lists suites, workloads, engines, data sets, clusters and metrics."""

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
        bool,
        typer.Option(
            "--matrix", help="Show which engines run on which kinds of cluster and devices. Only for engines."
        ),
    ] = False,
) -> None:
    """List the suites, workloads, engines, data sets, clusters or metrics.

    Examples:

      sparkscale list engines

      sparkscale list engines --matrix
    """
    from sparkscale.cli.catalogue_tables import catalogue, engine_matrix

    if matrix and topic != "engines":
        raise ConfigError(f"--matrix shows engines, not {topic}: use `sparkscale list engines --matrix`.")
    console().print(engine_matrix() if matrix else catalogue(topic))
