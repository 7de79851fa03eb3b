"""`sparkscale run`: measure a suite."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from sparkscale.cli.report import NAME
from sparkscale.contract.errors import ConfigError
from sparkscale.interrupt import EXIT_INTERRUPTED, interruptible
from sparkscale.output import console

if TYPE_CHECKING:
    from sparkscale.analysis.blocks import Block

app = typer.Typer()


@app.command()
def run(
    suite: Annotated[str, typer.Option(help="A suite's name, or the path of a TOML file.")] = "quick",
    filter_: Annotated[
        str | None,
        typer.Option("--filter", help="Measure only the cases that match, such as 'engine=xgboost*,fraction=1/4'."),
    ] = None,
    out: Out = OUT,
    resume: Annotated[
        bool,
        typer.Option(help="Continue the suite's last run, with its options: measure only what is missing."),
    ] = False,
    retry_failed: Annotated[bool, typer.Option(help="Like --resume, and also repeat cases that are not ok.")] = False,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed for samples, models and the order of executions (default: 0)."),
    ] = None,
    sample_seed: Annotated[
        int | None,
        typer.Option(min=0, help="Round r draws its sample with this seed + r (default: the value of --seed)."),
    ] = None,
    model_seed: Annotated[
        int | None,
        typer.Option(min=0, help="Round r trains its models with this seed + r (default: the value of --seed)."),
    ] = None,
    fixed_seeds: Annotated[
        bool, typer.Option("--fixed-seeds", help="Use the same sample and the same model seed in all rounds.")
    ] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="Number of rounds (default: the suite's).")] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Clusters to measure on, each once, instead of the suite's: names of profiles, paths of TOML files, "
            "or the address of a cluster that is up.",
        ),
    ] = None,
    cold_cache: Annotated[
        bool,
        typer.Option(
            "--cold-cache",
            help="Empty the page cache of the data's files before each execution. Without this option, phases read "
            "from memory what earlier executions left there.",
        ),
    ] = False,
    least_models: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Exit with 1 if a smaller share of the groups than this got a model; 0.9 means nine of ten.",
        ),
    ] = 0.0,
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
    has_report: Annotated[
        bool, typer.Option("--report/--no-report", help=f"Write the report as {NAME} into the directory of --out.")
    ] = True,
) -> None:
    """Measure a suite and print its report.

    Exits with 0 if every case is ok or unsupported. Exits with 1 if a case has another outcome, or if too few groups
    got a model (--least-models). Exits with 2 if the request is wrong.

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
    from sparkscale.analysis.price import prices
    from sparkscale.analysis.problems import failed
    from sparkscale.analysis.report import breakdown, report
    from sparkscale.measure.run.ledger import Ledger
    from sparkscale.measure.run.progress import observer
    from sparkscale.measure.run.run import Request, measure
    from sparkscale.present.terminal import drawn
    from sparkscale.store.discreet import DiscreetStore
    from sparkscale.store.store import Store

    ledger = Ledger()
    given = settings(rows=rows, label=label, group=group, time=time, features=features, task=task, holdout=holdout)
    request = Request(
        suite,
        out,
        filter_,
        seed,
        rounds,
        names(cluster),
        resume,
        retry_failed,
        source(data, given),
        sample_seed=sample_seed,
        model_seed=model_seed,
        fixed_seeds=fixed_seeds,
        cold_cache=cold_cache,
    )
    try:
        with interruptible():
            finished = measure(request, observer, ledger)
    except KeyboardInterrupt:
        resume_command = f"sparkscale run --suite {suite} --out {out} --resume"
        typer.echo(f"Interrupted. The records so far are kept: continue with `{resume_command}`.", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    with Store.existing(out) as store:
        invocation = store.invocation(identity=finished.invocation)
        spent = breakdown(ledger.wall(), ledger.spent.items(), prices(store, invocation))
        console().print(drawn([*report(store, invocation), spent]))
        if has_report:
            _write_report([*report(DiscreetStore(store), invocation, has_charts=True), spent], out / NAME)
    typer.echo(f"Records: {out / 'records.sqlite'} (run {finished.invocation}); logs: {finished.logs}")
    models = Models.of(finished.records)
    if models is not None:
        typer.echo(models.text)
    if failed(finished.records, finished.added) or (models is not None and models.least_share < least_models):
        raise typer.Exit(EXIT_FAILED)


def _write_report(blocks: "Sequence[Block]", file: Path) -> None:
    """Writes the page of the report, and says where it lies. If it cannot be written, the run ends as without it."""
    from sparkscale.present import page

    try:
        typer.echo(f"Report: {page.write(blocks, file)}")
    except ConfigError as error:
        typer.echo(f"Warning: the report was not written. {error}", err=True)
