"""`sparkscale run`: measure a suite."""

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
    names,
    settings,
    source,
)
from sparkscale.interrupt import EXIT_INTERRUPTED, interruptible
from sparkscale.output import console

app = typer.Typer()


@app.command()
def run(
    suite: Annotated[str, typer.Option(help="A suite's name, or the path of a TOML file.")] = "quick",
    filter_: Annotated[
        str | None,
        typer.Option("--filter", help="Only the cases that match, such as 'engine=xgboost*,fraction=1/4'."),
    ] = None,
    out: Out = OUT,
    resume: Annotated[
        bool, typer.Option(help="Go on with the suite's last run as it was begun: measure what is missing.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option(help="Go on likewise, and repeat what is not ok.")] = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="First seed of samples and models, and of the order (0).")
    ] = None,
    sample_seed: Annotated[
        int | None, typer.Option(min=0, help="Round r draws its sample with this seed + r (--seed).")
    ] = None,
    model_seed: Annotated[
        int | None, typer.Option(min=0, help="Round r trains its models with this seed + r (--seed).")
    ] = None,
    fixed_seeds: Annotated[
        bool, typer.Option("--fixed-seeds", help="All rounds have the same sample and the same model seed.")
    ] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds, instead of the suite's number.")] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Clusters to visit, each once, instead of the suite's: profiles, TOML files, or the address of one "
            "that is up.",
        ),
    ] = None,
    cold_cache: Annotated[
        bool,
        typer.Option(
            "--cold-cache",
            help="Empty the page cache of the data's files before each execution. Without it, phases find the data "
            "in memory, where earlier executions left it.",
        ),
    ] = False,
    least_models: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Exit with 1 when groups have fewer models than this share of them; 0.9: nine of ten."
        ),
    ] = 0.0,
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
    """Measure a suite and print what a sample saves and what it costs.

    Exits with 0 when every case is ok or unsupported, with 1 when one is not or groups have too few models
    (--least-models), with 2 when the request is wrong.

    Examples:

      sparkscale run

      sparkscale run --suite standard --out results/nightly

      sparkscale run --filter 'workload=gradient_boosting,engine=xgboost*,fraction=1/4,fraction=1'

      sparkscale run --cluster local,standalone-1x1,standalone-2x1

      sparkscale run --rounds 8 --sample-seed 100

      sparkscale run --data clicks.parquet --label clicked --group user

      sparkscale run --suite per-group --least-models 0.9

      sparkscale run --data classification --rows 4e6

      sparkscale run --resume
    """
    from sparkscale.analysis.patterns.per_group.comparison import Models
    from sparkscale.analysis.problems import failed
    from sparkscale.analysis.report import breakdown, report
    from sparkscale.measure.run.ledger import Ledger
    from sparkscale.measure.run.progress import observer
    from sparkscale.measure.run.run import Request, measure
    from sparkscale.present.terminal import drawn
    from sparkscale.store.store import Store

    ledger = Ledger()
    said = settings(rows=rows, label=label, group=group, time=time, features=features, task=task, holdout=holdout)
    request = Request(
        suite,
        out,
        filter_,
        seed,
        rounds,
        names(cluster),
        resume,
        retry_failed,
        source(data, said),
        sample_seed=sample_seed,
        model_seed=model_seed,
        fixed_seeds=fixed_seeds,
        cold_cache=cold_cache,
    )
    try:
        with interruptible():
            finished = measure(request, observer, ledger)
    except KeyboardInterrupt:
        again = f"sparkscale run --suite {suite} --out {out} --resume"
        typer.echo(f"Interrupted. What was measured is kept: go on with `{again}`.", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    with Store.existing(out) as store:
        found = report(store, store.invocation(identity=finished.invocation))
    console().print(drawn([*found, breakdown(ledger.wall(), ledger.spent.items())]))
    typer.echo(f"Records: {out / 'records.sqlite'} (run {finished.invocation}); logs: {finished.logs}")
    models = Models.of(finished.records)
    if models is not None:
        typer.echo(models.text)
    if failed(finished.records, finished.added) or (models is not None and models.least_share < least_models):
        raise typer.Exit(EXIT_FAILED)
