"""`sparkscale heap`: how much heap a case of a Spark engine needs."""

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
    case: Annotated[str, typer.Argument(metavar="CASE", help="A filter that selects one case of a Spark engine.")],
    suite: Annotated[str, typer.Option(help="A suite's name, or the path of a TOML file.")] = "quick",
    out: Out = OUT,
    cluster: Annotated[
        str | None, typer.Option(metavar="NAME", help="A cluster profile instead of the suite's.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Measure on this instead of the suite's data: a data set's name, or a table's path or URI."
        ),
    ] = None,
    rows: Rows = None,
    label: Label = None,
    group: Group = None,
    time: Time = None,
    features: Features = None,
    task: TaskOption = None,
    holdout: Holdout = None,
) -> None:
    """Find the smallest heap with which a case still ends within 1.2 × its time.

    Measures the case under the cluster's own heap, then bisects. Each probe is a fresh worker with another heap; the
    limit on all memory stays. Takes some twenty executions. Exits with 1 when the case fails under the own heap.

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

    said = settings(rows=rows, label=label, group=group, time=time, features=features, task=task, holdout=holdout)
    wanted = source(data, said)
    try:
        with interruptible():
            invocation = search(Request(case, suite, out, cluster, wanted), observer, is_enough)
    except KeyboardInterrupt:
        typer.echo("Interrupted. The records are kept, and a new search starts anew.", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    with Store.existing(out) as store:
        records = store.records(invocation)
    console().print(drawn(report(records)))
    typer.echo(f"Records: {out / 'records.sqlite'} (run {invocation}); again: sparkscale show --run {invocation}")
    found = Search.of(records)
    if found is None or found.needed is None:
        raise typer.Exit(EXIT_FAILED)
