"""Where all that a user reads is written: tables and progress, also where not every character can be spelled."""

import codecs
import sys
import unicodedata

from rich.console import Console

WIDTH = 118
"""Columns of what is no terminal: wide enough for the tables."""

PLAIN = {
    "–": "-",
    "•": "*",
    "—": "-",
    "−": "-",
    "×": "x",
    "·": "*",
    "≤": "<=",
    "≥": ">=",
    "…": "...",
    "√": "sqrt",
    "ρ": "rho",
}
"""What stands for characters of our own tables and messages."""


def console(stderr: bool = False) -> Console:
    """Writes text as it is: in names and messages of users, "[/min]" is no markup and ":key:" no emoji."""
    found = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not stderr and not found.is_terminal:
        found.width = WIDTH
    return found


def printable() -> None:
    """From now on stdout and stderr hold whatever is written: what they cannot spell is written in ASCII."""
    codecs.register_error("sparkscale", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="sparkscale")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    part = error.object[error.start : error.end]
    return "".join(PLAIN.get(char) or _ascii(char) for char in part), error.end


def _ascii(char: str) -> str:
    """A letter without its accent, the digit that a raised one shows; "?" for anything else."""
    return unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode() or "?"
