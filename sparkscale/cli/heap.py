"""`sparkscale heap`: finds how much heap a case of a Spark engine needs."""

from typing import Annotated

import typer

from sparkscale.cli.options import (
    EXIT_FAILED,
    OUT,
    Features,
    Group,
    Holdout,
    Label,
    Out,
    Rows,
    TaskOption,
    Time,
    settings,
    source,
)
from sparkscale.interrupt import EXIT_INTERRUPTED, interruptible
from sparkscale.output import console

app = typer.Typer()


@app.command()
def heap(
    case: Annotated[str, typer.Argument(metavar="CASE", help="Filter that selects one case of a Spark engine.")],
    suite: Annotated[str, typer.Option(help="A suite's name, or the path of a TOML file.")] = "quick",
    out: Out = OUT,
    cluster: Annotated[
        str | None, typer.Option(metavar="NAME", help="Profile of the cluster to measure on, instead of the suite's.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Data set to measure on, instead of the suite's: its name, or the path or URI of a table."),
    ] = None,
    rows: Rows = None,
    label: Label = None,
    group: Group = None,
    time: Time = None,
    features: Features = None,
    task: TaskOption = None,
    holdout: Holdout = None,
) -> None:
    """Find the smallest heap with which a case takes at most 1.2 times as long as with the profile's heap.

    The command measures the case with the heap of the cluster's profile, then bisects. Each probe is a fresh worker
    with another heap. The limit on total memory does not change. A search takes about twenty executions. Exits with 1
    if the case fails with the heap of the profile.

    Examples:

      sparkscale heap 'engine=mllib,workload=gradient_boosting,fraction=1'

      sparkscale heap 'engine=mllib,workload=logistic_regression,fraction=1/4' --cluster standalone-2x1

      sparkscale heap 'engine=xgboost-spark,fraction=1,workload=gradient_boosting' --data clicks.parquet
      --label clicked
    """
    from sparkscale.analysis.heap import Search, is_enough
    from sparkscale.analysis.heap_report import search as report
    from sparkscale.measure.run.heap import Request, search
    from sparkscale.measure.run.progress import observer
    from sparkscale.present.terminal import drawn
    from sparkscale.store.store import Store

    given = settings(rows=rows, label=label, group=group, time=time, features=features, task=task, holdout=holdout)
    data_source = source(data, given)
    try:
        with interruptible():
            invocation = search(Request(case, suite, out, cluster, data_source), observer, is_enough)
    except KeyboardInterrupt:
        typer.echo(
            "Interrupted. The records so far are kept, but a search cannot be resumed: run the command again.",
            err=True,
        )
        raise typer.Exit(EXIT_INTERRUPTED) from None
    with Store.existing(out) as store:
        records = store.records(invocation)
    console().print(drawn(report(records)))
    typer.echo(
        f"Records: {out / 'records.sqlite'} (run {invocation}). Show again: `sparkscale show --run {invocation}`."
    )
    result = Search.of(records)
    if result is None or result.needed is None:
        raise typer.Exit(EXIT_FAILED)
