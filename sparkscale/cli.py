"""The command line. Commands only: what they do stands in the packages below."""

import logging
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from sparkscale import __version__, places
from sparkscale.cli_bench import OUT, Out
from sparkscale.cli_bench import app as bench_app
from sparkscale.cli_cluster import app as cluster_app
from sparkscale.cli_data import Features, Group, Holdout, Label, Rows, TaskOption, Time, settings
from sparkscale.cli_data import app as data_app
from sparkscale.cli_evidence import app as evidence_app
from sparkscale.cli_heap import app as heap_app
from sparkscale.contract import private, redaction
from sparkscale.contract.errors import ConfigError, SparkscaleError
from sparkscale.interrupt import EXIT_INTERRUPTED, interruptible
from sparkscale.output import console, printable

EXIT_FAILED = 1
EXIT_USAGE = 2

app = typer.Typer(
    name="sparkscale",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(bench_app)
app.add_typer(heap_app)
app.add_typer(data_app, name="data")
app.add_typer(cluster_app, name="cluster")
app.add_typer(evidence_app, name="evidence")

Topic = Literal["suites", "workloads", "engines", "datasets", "clusters", "metrics"]
ExportFormat = Literal["json", "csv", "parquet"]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,  # noqa: ARG001 - see main
) -> None:
    """What each way of scaling machine learning with Apache Spark costs and what it buys.

    Measure:   sparkscale run --suite quick

    Read:      sparkscale show

    Clusters:  sparkscale run --cluster local,standalone-2x1

    Data:      sparkscale data prepare classification --rows 2e6

    Check:     sparkscale doctor
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(redaction.Redacting("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if version:
        typer.echo(f"sparkscale {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(EXIT_USAGE)


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
    from sparkscale.analysis.per_group import Models
    from sparkscale.analysis.show import breakdown, show
    from sparkscale.analysis.tradeoff import failed
    from sparkscale.measure.run.data import source_of
    from sparkscale.measure.run.ledger import Ledger
    from sparkscale.measure.run.progress import observer
    from sparkscale.measure.run.run import Request, measure
    from sparkscale.store.store import Store

    ledger = Ledger()
    said = settings(rows=rows, label=label, group=group, time=time, features=features, task=task, holdout=holdout)
    if said and data is None:
        raise ConfigError(f"--{next(iter(said))} says something of a data set: name it with --data.")
    source = source_of(data, said) if data is not None else None
    clusters = None if cluster is None else tuple(name.strip() for name in cluster.split(",") if name.strip())
    request = Request(
        suite,
        out,
        filter_,
        seed,
        rounds,
        clusters,
        resume,
        retry_failed,
        source,
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
        console().print(show(store, store.invocation(identity=finished.invocation)))
    console().print(breakdown(ledger.wall(), ledger.spent.items()))
    typer.echo(f"Records: {out / 'records.sqlite'} (run {finished.invocation}); logs: {finished.logs}")
    models = Models.of(finished.records)
    if models is not None:
        typer.echo(models.text)
    if failed(finished.records, finished.added) or (models is not None and models.least_share < least_models):
        raise typer.Exit(EXIT_FAILED)


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
    from sparkscale.catalogue import catalogue, engine_matrix

    if matrix and topic != "engines":
        raise ConfigError("--matrix is of engines: `sparkscale list engines --matrix`.")
    console().print(engine_matrix() if matrix else catalogue(topic))


@app.command("show")
def show_(
    suite: Annotated[str | None, typer.Option(help="The last run of this suite (default: of any).")] = None,
    run_: Annotated[str | None, typer.Option("--run", help="A run by its id.")] = None,
    out: Out = OUT,
) -> None:
    """Print what the last run measured: cost, quality, and whether a sample is enough.

    Examples:

      sparkscale show

      sparkscale show --suite standard --out results/nightly
    """
    from sparkscale.analysis.show import show
    from sparkscale.store.store import Store

    with Store.existing(out) as store:
        console().print(show(store, store.invocation(suite, run_)))


@app.command("export")
def export_(
    form: Annotated[ExportFormat, typer.Option("--format", help="json prints whole records.")] = "json",
    to: Annotated[Path | None, typer.Option(help="File to write (default: stdout; parquet needs one).")] = None,
    suite: Annotated[str | None, typer.Option(help="The last run of this suite (default: of any).")] = None,
    run_: Annotated[str | None, typer.Option("--run", help="A run by its id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="The records of all runs.")] = False,
    out: Out = OUT,
) -> None:
    """Print or write the last run's records.

    Examples:

      sparkscale export --format json | jq '.[].seconds'

      sparkscale export --format parquet --to records.parquet --all
    """
    from sparkscale.analysis.export import export
    from sparkscale.store.store import Store

    with Store.existing(out) as store:
        records = store.records(None if every else store.invocation(suite, run_).id)
    with private.as_the_user_has_it():
        text = export(records, form, to)
    if text is not None:
        typer.echo(text.encode())  # data, which no terminal's encoding changes


@app.command("bench-data")
def bench_data(
    rows: Annotated[str, typer.Option(help="Rows of each table: 1e6, 10_000_000, 100M.")] = "2e6",
    columns: Annotated[int, typer.Option(min=2, help="float32 columns of each table.")] = 50,
    rounds: Annotated[
        int, typer.Option(min=1, help="Each with fresh processes, the contenders in random order.")
    ] = 3,
    memory_rows: Annotated[
        str, typer.Option(help="Rows of one more table, for which a task's peak memory is shown; 0: none.")
    ] = "4e6",
) -> None:
    """Measure how fast synthetic data is made, beside Spark SQL's randn() and scikit-learn's make_classification.

    Everything is written to a temporary folder, and deleted.

    Examples:

      sparkscale bench-data

      sparkscale bench-data --rows 500k --rounds 5 --memory-rows 0
    """
    from sparkscale.measure.run.bench_data import measure_generation, report
    from sparkscale.measure.run.progress import observer

    found = measure_generation(rows, columns, rounds, memory_rows, observer)
    console().print(report(found))


@app.command()
def doctor(
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Check the GPUs instead: NVML, CUDA, Spark's scheduler, measured cases.")
    ] = False,
) -> None:
    """Check that this machine can measure: Java, Spark, BLAS, cores, memory, disk, GPUs.

    Exits with 1 when something that is needed is missing.

    Examples:

      sparkscale doctor

      sparkscale doctor --gpu
    """
    from sparkscale.measure.doctor.doctor import examine, report
    from sparkscale.measure.doctor.gpu import examine_gpus
    from sparkscale.measure.run.lock import machine_lock
    from sparkscale.measure.run.progress import observer

    if gpu:
        checks = examine_gpus(observer)
    else:
        with machine_lock():
            checks = examine()
    console().print(report(checks))
    if any(check.needed and not check.ok for check in checks):
        raise typer.Exit(EXIT_FAILED)


def main() -> None:
    """Runs a command; a SparkscaleError is one sentence on stderr, unless --debug."""
    printable()
    private.begin()
    try:
        with interruptible():
            app()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except SparkscaleError as error:
        if "--debug" in sys.argv:
            raise
        typer.echo(f"Error: {redaction.text(str(error))}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        said = places.sentence(error)
        if said is None or "--debug" in sys.argv:
            raise
        typer.echo(f"Error: {redaction.text(said)}", err=True)
        sys.exit(EXIT_USAGE)
