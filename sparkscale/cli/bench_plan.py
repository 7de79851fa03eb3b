"""`sparkscale bench-plan`: tests forecasts of the run time on published runs."""

from pathlib import Path
from typing import Annotated

import typer

from sparkscale.cli.options import ReportFormat, format_option, print_blocks
from sparkscale.contract.errors import ConfigError
from sparkscale.output import console

app = typer.Typer()


@app.command("bench-plan")
def bench_plan(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder with the published runs: c3o/*.tsv and enel/*.csv (default: ../shared/data/runtimes beside "
            "the project).",
        ),
    ] = None,
    records: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Archive or folder with your own records, to be forecast, too. May be given several times.",
        ),
    ] = None,
    form: Annotated[ReportFormat, format_option("documents")] = "text",
) -> None:
    """Test how well the run time is forecast, on published runs that the model did not see.

    Larger sizes and more nodes are held out and predicted. The tables have the errors, how many runs lie within
    their interval, and the errors of simpler forecasts. With --records, the largest size and the most cores of these
    records are held out, too. The command takes about a minute.

    Examples:

      sparkscale bench-plan

      sparkscale bench-plan --data ~/runtimes --format markdown

      sparkscale bench-plan --records results --records docs/results/records/quick.parquet
    """
    from sparkscale.evidence import show_plan
    from sparkscale.evidence.own_forecasts import of_records
    from sparkscale.evidence.plan_bench import Outcome, outcomes
    from sparkscale.evidence.public_runtimes import data_sets, default_folder

    for path in records or ():
        if not path.exists():
            raise ConfigError(f"--records {path} does not exist: name an archive or a folder with records.")
    read = data_sets(data or default_folder())
    results: list[Outcome] = []
    with console(stderr=True).status("starting") as status:
        for each in read:
            status.update(each.name)
            results.extend(outcomes(each))
        status.update("own records")
        own = {path.name: of_records(path) for path in records or ()}
    print_blocks([*show_plan.bench(read, results), *show_plan.own_records(own)], form)
