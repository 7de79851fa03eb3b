"""The root command: it collects all commands, and turns errors and signals into messages and exit codes."""

import logging
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from sparkscale import __version__, places
from sparkscale.cli import (
    answer,
    bench,
    bench_plan,
    catalogue,
    cluster,
    compare,
    data,
    decide,
    emulate,
    evidence,
    gate,
    heap,
    history,
    machine,
    plan,
    report,
    run,
    show,
)
from sparkscale.cli.options import EXIT_USAGE
from sparkscale.contract import private, redaction
from sparkscale.contract.errors import ConfigError, SparkscaleError
from sparkscale.interrupt import EXIT_INTERRUPTED, interruptible
from sparkscale.output import printable

app = typer.Typer(
    name="sparkscale",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

groups = (
    run,
    decide,
    answer,
    plan,
    show,
    report,
    compare,
    gate,
    history,
    catalogue,
    bench,
    bench_plan,
    heap,
    machine,
    emulate,
)
for group in groups:
    app.add_typer(group.app)
for name, group in (("data", data), ("cluster", cluster), ("evidence", evidence)):
    app.add_typer(group.app, name=name)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,  # noqa: ARG001 - see main
) -> None:
    """Measure the costs and the benefits of each way of scaling machine learning with Apache Spark.

    Measure:   sparkscale run --suite quick

    Decide:    sparkscale decide --data clicks.parquet --label clicked

    Answers:   sparkscale answer

    Plan:      sparkscale plan --workload gradient_boosting --rows 50e6

    Read:      sparkscale show

    Share:     sparkscale report

    Compare:   sparkscale compare HEAD~1 HEAD

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


def _check_repeated(arguments: Sequence[str]) -> None:
    """Raises ConfigError if an option that takes one value is given twice: the first would be lost silently."""
    command: Any = typer.main.get_command(app)
    for argument in arguments:
        if argument.startswith("-") or argument not in getattr(command, "commands", {}):
            break
        command = command.commands[argument]
    given = [argument.partition("=")[0] for argument in arguments[: _end_of_options(arguments)]]
    for option in command.params:
        names = [name for name in getattr(option, "opts", ()) if name.startswith("-")]
        is_single = names and not option.multiple and not option.is_flag and option.nargs == 1
        if is_single and sum(given.count(name) for name in names) > 1:
            raise ConfigError(f"{names[0]} is given twice: give it once. Most lists are written with commas: A,B.")


def _end_of_options(arguments: Sequence[str]) -> int:
    """Returns the position of "--", after which there are no options."""
    return arguments.index("--") if "--" in arguments else len(arguments)


def main() -> None:
    """Runs a command. A SparkscaleError becomes one sentence on stderr; --debug shows its traceback instead."""
    printable()
    try:
        with private.for_the_user_only(), interruptible():
            _check_repeated(sys.argv[1:])
            app()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except SparkscaleError as error:
        if "--debug" in sys.argv:
            raise
        typer.echo(f"Error: {redaction.text(str(error))}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        sentence = places.sentence(error)
        if sentence is None or "--debug" in sys.argv:
            raise
        typer.echo(f"Error: {redaction.text(sentence)}", err=True)
        sys.exit(EXIT_USAGE)
