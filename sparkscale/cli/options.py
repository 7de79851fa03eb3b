"""Options and exit codes that several commands share."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sparkscale.contract.errors import ConfigError

if TYPE_CHECKING:
    from sparkscale.analysis.blocks import Block
    from workloads.registry import AnySource

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_TOO_LITTLE = 3
"""Too little was measured to say whether something is worse."""

Out = Annotated[Path, typer.Option("--out", help="Directory that holds the records.")]
OUT = Path("results")

ReportFormat = Literal["text", "markdown", "json"]


def format_option(markdown_for: str) -> Any:
    """Returns the option for a ReportFormat. `markdown_for` says what Markdown is good for, such as "documents"."""
    return typer.Option("--format", help=f"text for a terminal, markdown for {markdown_for}, json for programs.")


Rows = Annotated[
    str | None, typer.Option(help="Number of rows of a synthetic data set, such as 1e6, 10_000_000 or 100M.")
]
Label = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column to predict. Only for a table.")]
Group = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", help="Column of the user, device or other key that rows belong to. Only for a table."
    ),
]
Time = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column with the date or time of each row. Only for a table.")
]
Features = Annotated[
    str | None,
    typer.Option(metavar="A,B,…", help="Columns to predict from. Only for a table (default: every other column)."),
]
TaskOption = Annotated[
    Literal["classification", "regression"] | None,
    typer.Option(help="What kind of prediction to learn. Only for a table (default: what fits the label column)."),
]
Holdout = Annotated[
    Literal["random", "group", "time"] | None,
    typer.Option(
        help="Rows to hold out: random rows, whole groups, or the latest rows. Only for a table (default: time if "
        "--time is given, else group if --group is given, else random)."
    ),
]


def names(text: str | None) -> tuple[str, ...] | None:
    """Splits a list of names such as "a,b". Returns None if the option was not given."""
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def duration(text: str, option: str) -> float:
    """Returns the seconds of a duration such as "90s", "20m" or "1h30m".

    Raises ConfigError, which names the option, if the text is no duration, or if the duration is zero.
    """
    match = DURATION.fullmatch(text.strip().lower())
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    total = hours * 3600 + minutes * 60 + seconds
    if not total:
        raise ConfigError(f"{option} {text} is no duration: write it like 90s, 20m or 1h30m.")
    return total


def settings(features: str | None = None, **options: str | None) -> dict[str, Any]:
    """Returns the settings that the user gave for a data set. Options that were not given (None) are left out."""
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if features is not None:
        given["features"] = [name.strip() for name in features.split(",") if name.strip()]
    return given


def source(data: str | None, given: dict[str, Any]) -> "AnySource | None":
    """Returns the data set that `--data` names, with the settings that the user gave. None without `--data`.

    Raises ConfigError if settings were given without `--data`, or if `data` names no data set.
    """
    from sparkscale.measure.run.data import source_of

    if given and data is None:
        raise ConfigError(f"--{next(iter(given))} needs --data.")
    return None if data is None else source_of(data, given)


def described_by(source: "AnySource") -> Callable[[dict[str, Any]], bool]:
    """Returns a function that says whether a stored description of a data set is that of `source`.

    Name and settings must be equal, as far as the user gave them.
    """
    given = source.model_dump(mode="json", include=source.model_fields_set - {"name", "path"})

    def is_same(content: dict[str, Any]) -> bool:
        definition = content["definition"]
        return content["name"] == source.title and all(
            definition.get(name) == value for name, value in given.items() if name in definition
        )

    return is_same


def print_blocks(blocks: "Sequence[Block]", form: ReportFormat) -> None:
    """Prints the blocks of a report on stdout."""
    from sparkscale.output import console
    from sparkscale.present import markdown, structured, terminal

    if form == "text":
        console().print(terminal.drawn(blocks))
    else:
        text = markdown.written(blocks) if form == "markdown" else structured.as_json(blocks)
        typer.echo(text.encode(), nl=form == "json")
