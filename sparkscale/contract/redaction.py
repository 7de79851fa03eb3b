"""Keeps secrets out of what is stored or printed: by their values where these are known, else by name and look."""

import logging
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

REDACTED = "*** redacted ***"

WORDS = (
    r"secret|passw(?:or)?d|passphrase|token|credential|authorization|signature|"
    r"(?:access|private|account|encryption|api|shared|client|sas)[._-]?key|account\.key|"
    r"(?<![a-z])sas(?![a-z])|(?<![a-z])sig(?![a-z])"
)
"""What the name of a setting, of a variable or of an option holds whose value nobody else may know."""
NAME = re.compile(WORDS, re.IGNORECASE)
INSIDE = re.compile(rf"(?<![\w])([\w.-]*(?:{WORDS})[\w.-]*)=([^\s;&,\"']+)", re.IGNORECASE)
LOOKS = re.compile(r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b|\beyJ[\w-]+\.[\w-]+\.[\w-]+")
"""An access key of AWS; a JSON web token."""
URL_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
SHORTEST = 6
"""Values with fewer characters are not looked for: they would be found in words that are no secret."""

_known: set[str] = set()


def remember(values: Iterable[str]) -> None:
    """From now on this process redacts these values wherever they stand."""
    _known.update(value for value in values if len(value) >= SHORTEST)


def remember_settings(settings: Mapping[str, str]) -> None:
    """Remembers the values of settings, or of variables, whose names say that they are secret."""
    remember(value for name, value in settings.items() if is_secret(name))


def is_secret(name: str) -> bool:
    """Whether a setting, a variable or an option of this name holds a secret."""
    return NAME.search(name) is not None


def setting(name: str, value: str) -> str:
    """A setting's value as it may be stored."""
    return REDACTED if is_secret(name) else text(value)


def text(said: str) -> str:
    """A text as it may be stored or printed: without known values, credentials of URLs, and what looks like a key."""
    said = _without(said, _values())
    said = URL_CREDENTIALS.sub(REDACTED, said)
    said = INSIDE.sub(rf"\1={REDACTED}", said)
    return LOOKS.sub(REDACTED, said)


class Redacting(logging.Formatter):
    """Formats what is logged without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return text(super().format(record))


def values(said: Any) -> Any:
    """The same of every text in lists and dictionaries, whose keys stay; known values only, for the rest is data."""
    return _inside(said, _values())


def _inside(said: Any, known: list[str]) -> Any:
    if isinstance(said, str):
        return _without(said, known)
    if isinstance(said, Mapping):
        return {key: _inside(value, known) for key, value in said.items()}
    if isinstance(said, list | tuple):
        return [_inside(value, known) for value in said]
    return said


def _without(said: str, known: list[str]) -> str:
    for value in known:
        said = said.replace(value, REDACTED)
    return said


def scrub(path: Path) -> None:
    """Takes known values out of a log that nobody writes to any more. A file that is gone, or not ours, is left."""
    try:
        before = path.read_bytes()
        after = before
        for value in _values():
            after = after.replace(value.encode(), REDACTED.encode())
        if after != before:
            path.write_bytes(after)
    except OSError:
        return


def _values() -> list[str]:
    """Those that were remembered, and those of the variables by whose names they are secret; the longest first."""
    found = {value for name, value in os.environ.items() if is_secret(name) and len(value) >= SHORTEST}
    secret = [value for value in _known | found if not os.path.exists(value)]  # noqa: PTH110 - which never raises
    return sorted(secret, key=len, reverse=True)
