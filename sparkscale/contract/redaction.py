"""Removes secrets from stored and printed texts.

Secrets are known values, values after a secret's name, and texts that look like a key.
"""

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
"""A regular expression for the names of settings, variables and options that have a secret value."""
NAME = re.compile(WORDS, re.IGNORECASE)
INSIDE = re.compile(rf"(?<![\w])([\w.-]*(?:{WORDS})[\w.-]*)=([^\s;&,\"']+)", re.IGNORECASE)
LOOKS = re.compile(r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b|\beyJ[\w-]+\.[\w-]+\.[\w-]+")
"""The shapes of an AWS access key and of a JSON web token."""
URL_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
SHORTEST = 6
"""The fewest characters of a value that is searched for. Shorter values also occur in normal words."""

_remembered: set[str] = set()


def remember(values: Iterable[str]) -> None:
    """Makes this process redact these values everywhere from now on."""
    _remembered.update(value for value in values if len(value) >= SHORTEST)


def remember_settings(settings: Mapping[str, str]) -> None:
    """Makes this process redact the value of each setting or variable with a secret's name, such as "password"."""
    remember(value for name, value in settings.items() if is_secret(name))


def is_secret(name: str) -> bool:
    """Returns true if a setting, variable or option of this name has a secret value."""
    return NAME.search(name) is not None


def setting(name: str, value: str) -> str:
    """Returns the value of a setting in a form that may be stored."""
    return REDACTED if is_secret(name) else text(value)


def text(redacted: str) -> str:
    """Returns a text in a form that may be stored or printed.

    It redacts known secret values, credentials in URLs, values after a secret's name and "=", and texts that look
    like a key.
    """
    redacted = _without_values(redacted, _secret_values())
    redacted = URL_CREDENTIALS.sub(REDACTED, redacted)
    redacted = INSIDE.sub(rf"\1={REDACTED}", redacted)
    return LOOKS.sub(REDACTED, redacted)


class Redacting(logging.Formatter):
    """Formats log messages without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return text(super().format(record))


def values(content: Any) -> Any:
    """Returns the content with known secret values redacted in all texts, also inside of lists and dictionaries.

    The keys of dictionaries stay, and so do texts that only look like a secret, because they are data.
    """
    return _redact_nested(content, _secret_values())


def _redact_nested(content: Any, known: list[str]) -> Any:
    if isinstance(content, str):
        return _without_values(content, known)
    if isinstance(content, Mapping):
        return {key: _redact_nested(value, known) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_redact_nested(value, known) for value in content]
    return content


def _without_values(content: str, known: list[str]) -> str:
    for value in known:
        content = content.replace(value, REDACTED)
    return content


def scrub(path: Path) -> None:
    """Redacts known secret values in a log that nobody writes to any more. Ignores a file that it cannot read."""
    try:
        before = path.read_bytes()
        after = before
        for value in _secret_values():
            after = after.replace(value.encode(), REDACTED.encode())
        if after != before:
            path.write_bytes(after)
    except OSError:
        return


def _secret_values() -> list[str]:
    """Returns the remembered values, and the values of environment variables with a secret's name.

    The longest value comes first. A value that is the path of an existing file is no secret, and is left out.
    """
    candidates = {value for name, value in os.environ.items() if is_secret(name) and len(value) >= SHORTEST}
    secrets = [value for value in _remembered | candidates if not os.path.exists(value)]  # noqa: PTH110 - it never raises
    return sorted(secrets, key=len, reverse=True)
