"""Options and exit codes that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sparkscale.contract.errors import ConfigError

if TYPE_CHECKING:
    from workloads.registry import AnySource

EXIT_FAILED = 1
EXIT_USAGE = 2

Out = Annotated[Path, typer.Option("--out", help="Directory of the records.")]
OUT = Path("results")

Rows = Annotated[str | None, typer.Option(help="Rows of a synthetic data set: 1e6, 10_000_000, 100M.")]
Label = Annotated[str | None, typer.Option(metavar="COLUMN", help="Of a table: what is to be predicted.")]
Group = Annotated[str | None, typer.Option(metavar="COLUMN", help="Of a table: whose rows belong together.")]
Time = Annotated[str | None, typer.Option(metavar="COLUMN", help="Of a table: when a row was made.")]
Features = Annotated[
    str | None, typer.Option(metavar="A,B,…", help="Of a table: its features (default: every other column).")
]
TaskOption = Annotated[
    Literal["classification", "regression"] | None, typer.Option(help="Of a table (default: what fits its label).")
]
Holdout = Annotated[
    Literal["random", "group", "time"] | None,
    typer.Option(help="Of a table: rows, whole groups, or the latest (default: time, else group, else random)."),
]


def names(text: str | None) -> tuple[str, ...] | None:
    """The names of a list such as "a,b"; None if there is no list."""
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


def settings(features: str | None = None, **said: str | None) -> dict[str, Any]:
    """The settings of a data set that the user gave."""
    found: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if features is not None:
        found["features"] = [name.strip() for name in features.split(",") if name.strip()]
    return found


def source(data: str | None, said: dict[str, Any]) -> "AnySource | None":
    """The data set of `--data` with the `settings` that were given; None without it.

    Raises ConfigError for settings without a data set, and for what is no data set.
    """
    from sparkscale.measure.run.data import source_of

    if said and data is None:
        raise ConfigError(f"--{next(iter(said))} needs --data.")
    return None if data is None else source_of(data, said)
