"""`sparkscale doctor` and `sparkscale bench-data`: check this machine, and measure how fast it makes data."""

from typing import Annotated

import typer

from sparkscale.cli.options import EXIT_FAILED
from sparkscale.output import console

app = typer.Typer()


@app.command("bench-data")
def bench_data(
    rows: Annotated[str, typer.Option(help="Number of rows of each table, such as 1e6, 10_000_000 or 100M.")] = "2e6",
    columns: Annotated[int, typer.Option(min=2, help="Number of float32 columns of each table.")] = 50,
    rounds: Annotated[
        int,
        typer.Option(
            min=1, help="Number of rounds. Each runs all four generators in fresh processes, in random order."
        ),
    ] = 3,
    memory_rows: Annotated[
        str, typer.Option(help="Rows of one more table, to measure the peak memory of a task. 0 leaves it out.")
    ] = "4e6",
) -> None:
    """Compare how fast sparkscale, Spark SQL's randn() and scikit-learn's make_classification make synthetic data.

    The four generators are sparkscale on Spark, sparkscale without Spark, Spark SQL and scikit-learn. All tables are
    written to a temporary folder, which is deleted at the end.

    Examples:

      sparkscale bench-data

      sparkscale bench-data --rows 500k --rounds 5 --memory-rows 0
    """
    from sparkscale.measure.run.bench_data import measure_generation, report
    from sparkscale.measure.run.progress import observer

    measured = measure_generation(rows, columns, rounds, memory_rows, observer)
    console().print(report(measured))


@app.command()
def doctor(
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Check only the GPUs: NVML, CUDA, Spark's scheduler, and measured cases.")
    ] = False,
) -> None:
    """Check that this machine can measure: Java, Spark, BLAS, cores, memory, disk, GPUs.

    Exits with 1 if a needed part is missing.

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
