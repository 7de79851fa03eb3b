"""`sparkscale report`: writes the report of one or more runs as one file that a team can read."""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sparkscale.cli.options import OUT, Out
from sparkscale.contract import private
from sparkscale.contract.errors import ConfigError

if TYPE_CHECKING:
    from sparkscale.analysis.blocks import Block

app = typer.Typer()

NAME = "report.html"
"""The name of the report below the directory of the records."""

Form = Literal["html", "markdown"]


@app.command("report")
def report_(
    runs: Annotated[
        list[str] | None,
        typer.Option("--run", help="Take the run with this id. Repeat the option to compare several runs."),
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="Take the last run of this suite (default: of any suite).")
    ] = None,
    form: Annotated[
        Form,
        typer.Option("--format", help="html for one file with everything; markdown for a pull request or a wiki."),
    ] = "html",
    to: Annotated[
        Path | None,
        typer.Option(help=f"File to write (default: {NAME}, or report.md, in the directory of --out)."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write each figure as SVG, PNG and CSV into this directory, too (default for markdown: a directory "
            "beside the file).",
        ),
    ] = None,
    is_anonymous: Annotated[
        bool,
        typer.Option(
            "--anonymous",
            help="Replace the names of hosts, the user, paths, and your own tables, columns and groups.",
        ),
    ] = False,
    out: Out = OUT,
) -> None:
    """Write the report of a run as one file: answers, figures and tables. An HTML file needs no network.

    Several runs are put side by side where they are comparable. Where they are not, the report says why.

    Examples:

      sparkscale report

      sparkscale report --suite standard --to standard.html

      sparkscale report --run 20260102-030405-ab12 --run 20260103-030405-cd34

      sparkscale report --format markdown --to docs/measured.md

      sparkscale report --anonymous --figures figures
    """
    from sparkscale.analysis.report import report_of_runs
    from sparkscale.store.discreet import DiscreetStore
    from sparkscale.store.store import Store

    if suite and runs:
        raise ConfigError("--suite and --run exclude each other: the id of a run is enough.")
    with Store.existing(out) as store:
        view = DiscreetStore(store, is_anonymous)
        chosen = [view.invocation(identity=run) for run in dict.fromkeys(runs)] if runs else [view.invocation(suite)]
        blocks = report_of_runs(view, chosen, has_charts=True)
    # a file that the user names by its path gets the user's permissions; other files are as private as the records
    with private.with_users_umask() if to else nullcontext():
        file = _write(blocks, form, to or out / {"html": NAME, "markdown": "report.md"}[form], figures)
    typer.echo(f"Report: {file}")


def _write(blocks: "Sequence[Block]", form: Form, file: Path, figures: Path | None) -> Path:
    """Writes the report and its figures. Returns the path of the report."""
    from sparkscale.present import figures as files
    from sparkscale.present import markdown, page
    from sparkscale.present.writing import write_whole

    if form == "html":
        page.write(blocks, file)
        if figures:
            typer.echo(f"Figures: {len(files.write(blocks, figures))} in {figures}")
        return file
    folder = figures or file.with_name(f"{file.stem}-figures")
    drawn = files.write(blocks, folder)
    links = {position: os.path.relpath(path, file.parent) for position, path in drawn.items()}
    write_whole(markdown.written(blocks, links), file)
    typer.echo(f"Figures: {len(drawn)} in {folder}")
    return file
