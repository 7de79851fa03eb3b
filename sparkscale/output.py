"""Output for streams that cannot spell every character, as in the locale C."""

import codecs
import sys
import unicodedata

PLAIN = {"–": "-", "—": "-", "−": "-", "×": "x", "·": "*", "≤": "<=", "≥": ">=", "…": "...", "√": "sqrt", "ρ": "rho"}
"""What stands for characters of our own tables and messages."""


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
