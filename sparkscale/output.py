"""The consoles that print to the user. They also work with encodings that lack some characters."""

import codecs
import sys
import unicodedata

from rich.console import Console

WIDTH = 118
"""The width of output that does not go to a terminal, in columns. It is wide enough for the tables."""

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
"""ASCII replacements for characters in our tables and messages."""


def console(stderr: bool = False) -> Console:
    """Returns a console that writes text unchanged.

    "[/min]" in a name is not read as markup, and ":key:" not as an emoji.
    """
    user_console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not stderr and not user_console.is_terminal:
        user_console.width = WIDTH
    return user_console


def printable() -> None:
    """Makes stdout and stderr accept every text. Characters that they cannot encode are written in ASCII."""
    codecs.register_error("sparkscale", _replacement)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="sparkscale")


def _replacement(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    part = error.object[error.start : error.end]
    return "".join(PLAIN.get(char) or _ascii(char) for char in part), error.end


def _ascii(char: str) -> str:
    """Returns a character in ASCII: a letter without accent, a raised digit as a plain digit, otherwise "?"."""
    return unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode() or "?"
