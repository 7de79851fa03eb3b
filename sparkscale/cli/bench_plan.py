"""`sparkscale bench-plan`: tests forecasts of the run time on published runs."""

from pathlib import Path
from typing import Annotated

import typer

from sparkscale.cli.options import ReportFormat, format_option, print_blocks
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
    form: Annotated[ReportFormat, format_option("documents")] = "text",
) -> None:
    """Test how well the run time is forecast, on published runs that the model did not see.

    Larger sizes and more nodes are held out and predicted. The tables have the errors, how many runs lie within
    their interval, and the errors of simpler forecasts. The command takes about a minute.

    Examples:

      sparkscale bench-plan

      sparkscale bench-plan --data ~/runtimes --format markdown
    """
    from sparkscale.evidence import show_plan
    from sparkscale.evidence.plan_bench import Outcome, outcomes
    from sparkscale.evidence.public_runtimes import data_sets, default_folder

    read = data_sets(data or default_folder())
    results: list[Outcome] = []
    with console(stderr=True).status("starting") as status:
        for each in read:
            status.update(each.name)
            results.extend(outcomes(each))
    print_blocks(show_plan.bench(read, results), form)
