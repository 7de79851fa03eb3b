"""`sparkscale answer`: the answers that a store's records give for one data set."""

from typing import Annotated

import typer

from sparkscale.cli.options import (
    OUT,
    Features,
    Group,
    Holdout,
    Label,
    Out,
    ReportFormat,
    Rows,
    TaskOption,
    Time,
    described_by,
    print_blocks,
    settings,
    source,
)
from sparkscale.contract.errors import ConfigError

app = typer.Typer()


@app.command()
def answer(
    data: Annotated[
        str | None,
        typer.Option(help="Data set to answer for: its name, or the path or URI of a table (default: the last one)."),
    ] = None,
    run_: Annotated[str | None, typer.Option("--run", help="Use only the run with this id.")] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Say only which model is best for this time to model, in seconds."),
    ] = None,
    cost: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Say only which model is best for this amount of money, at the price of the cluster's profile.",
        ),
    ] = None,
    form: Annotated[
        ReportFormat,
        typer.Option(
            "--format",
            help="text for a terminal, markdown for documents, json for programs. json lists the records behind "
            "each answer.",
        ),
    ] = "text",
    rows: Rows = None,
    label: Label = None,
    group: Group = None,
    time: Time = None,
    features: Features = None,
    task: TaskOption = None,
    holdout: Holdout = None,
    out: Out = OUT,
) -> None:
    """Answer for one data set: is a sample enough, which engine on one node, does Spark pay and from which size.

    The answers rest on all comparable records of the data set: those of the same host, package versions and cluster
    profile. So further rounds with other seeds (`sparkscale run --sample-seed 100 --model-seed 100`) make them surer.

    Examples:

      sparkscale answer

      sparkscale answer --data flights --out results/nightly

      sparkscale answer --data clicks.parquet --label clicked --group user

      sparkscale answer --run aac623f62672 --format json

      sparkscale answer --seconds 10
    """
    from sparkscale.analysis import known
    from sparkscale.analysis.report import answers
    from sparkscale.store.store import Store

    given = settings(rows=rows, label=label, group=group, time=time, features=features, task=task, holdout=holdout)
    wanted = source(data, given)
    if wanted and run_:
        raise ConfigError("--run and --data exclude each other: a run has its own data sets.")
    if seconds is not None and cost is not None:
        raise ConfigError("--seconds and --cost exclude each other: give one budget.")
    with Store.existing(out) as store:
        matches = described_by(wanted) if wanted else None
        found = known.of_run(store, run_) if run_ else known.known(store, matches)
        blocks = answers(store, found, seconds, cost)
    print_blocks(blocks, form)
