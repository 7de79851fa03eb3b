"""Writes the page that lists all commands, from their help texts.

python docs/tools/commands.py [PAGE]        default: docs/cli.md
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from sparkscale.cli.main import app

PAGE = Path(__file__).resolve().parents[1] / "cli.md"
INTRODUCTION = (
    "# Commands\n\nThe commands live in `.venv/bin`. Each prints its help with `--help`. An error is one sentence; "
    "`sparkscale --debug …` shows the traceback.\n\n`make docs` writes this page from the commands.\n"
)


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yields each command that has no subcommands, with its full name."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, part in command.commands.items():
        yield from commands(part, f"{path} {name}")


def description(text: str) -> Iterator[str]:
    """Yields the paragraphs of a help text. All examples stand in one block of code at the end."""
    examples = []
    for paragraph in text.replace("\b", "").split("\n\n"):
        words = " ".join(paragraph.split())
        if words.startswith(("sparkscale ", ".venv/", "asv ")):
            examples.append(words)
        elif words not in ("Example:", "Examples:", ""):
            yield words
    if examples:
        yield "\n".join(["```", *examples, "```"])


def table(parameters: Sequence[Any]) -> Iterator[str]:
    """Yields the lines of a Markdown table with a row for each argument and option."""
    yield "| option | means | default |"
    yield "|---|---|---|"
    for one in parameters:
        if "--help" in one.opts:
            continue
        is_argument = not one.opts[0].startswith("-")
        names = one.metavar or one.name.upper() if is_argument else ", ".join([*one.opts, *one.secondary_opts])
        takes_value = not is_argument and not one.is_flag
        value = f" {one.metavar or one.opts[0].strip('-').upper().replace('-', '_')}" if takes_value else ""
        means = " ".join((one.help or "").split()).replace("|", "\\|")
        default = "" if one.default is None or one.default is False or callable(one.default) else f"`{one.default}`"
        yield f"| `{names}{value}` | {means} | {default} |"


def page() -> str:
    parts = [INTRODUCTION]
    for name, command in commands(typer.main.get_command(app), "sparkscale"):
        if not command.hidden:
            rows = list(table(command.params))
            parts += [f"## {name}\n", "\n\n".join(description(command.help or "")) + "\n"]
            parts += ["\n".join(rows) + "\n"] if len(rows) > 2 else []
    return "\n".join(parts)


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE).write_text(page())
