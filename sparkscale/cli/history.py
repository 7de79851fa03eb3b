"""`sparkscale history`: says at which commits a metric changed."""

from typing import Annotated

import typer

from sparkscale.cli.options import OUT, Out, ReportFormat, format_option, names, print_blocks

app = typer.Typer()


@app.command("history")
def history_(
    metric: Annotated[
        str, typer.Argument(help="Name of a metric, such as time_to_model. `sparkscale list metrics` lists them.")
    ],
    engine: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Look only at these engines, such as xgboost or 'xgboost*'.")
    ] = None,
    workload: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Look only at these workloads, such as gradient_boosting.")
    ] = None,
    cluster: Annotated[str | None, typer.Option(metavar="A,B,…", help="Look only at these clusters.")] = None,
    fraction: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Look only at these fractions, such as 1/4,1.")
    ] = None,
    form: Annotated[
        ReportFormat,
        format_option("documents"),
    ] = "text",
    out: Out = OUT,
) -> None:
    """Find the commits at which a metric changed, from all records of the store.

    A change needs 3 commits on each side, and must be larger than the noise between commits. Each change has its
    value before and after, its commits, and the package releases that changed with it. Records with uncommitted
    changes do not count.

    Examples:

      sparkscale history time_to_model

      sparkscale history time_to_model --engine 'xgboost*,mllib' --fraction 1

      sparkscale history memory_needed --workload gradient_boosting --format markdown
    """
    from sparkscale.history.changes import Request, changes
    from sparkscale.store.store import Store

    request = Request(metric, names(engine), names(workload), names(cluster), names(fraction))
    with Store.existing(out) as store:
        blocks = changes(store, request)
    print_blocks(blocks, form)
