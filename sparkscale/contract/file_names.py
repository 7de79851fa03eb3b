"""Checks names that become the names of files and folders."""

import re

from sparkscale.contract.errors import ConfigError

LONGEST = 100
"""The largest number of bytes in a name. File systems allow 255, and file names add more to a name."""


def checked(kind: str, name: str) -> str:
    """Returns the name if it can be the name of a file. `kind` says what the name is for; messages use it.

    Raises ConfigError if the name is empty or too long, begins with a dot, or has a slash or a control character.
    Without this check, a profile called `..` would have files outside of its folder.
    """
    if not name or name.startswith(".") or re.search(r"[/\x00-\x1f\x7f]", name):
        raise ConfigError(
            f"{name!r} cannot be the name of a {kind}: a name has at least one character, has no slash, and "
            "does not begin with a dot."
        )
    if len(name.encode()) > LONGEST:
        raise ConfigError(f"The name of the {kind} '{name[:20]}…' is longer than {LONGEST} bytes: shorten it.")
    return name


def folder_name(text: str) -> str:
    """Returns a folder name that resembles the text.

    The name is ASCII, because a JVM may be unable to write other characters. A long name is cut. Different texts
    can get the same name, so callers that must not share a folder add a unique part.
    """
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)[:LONGEST].lstrip(".") or "unnamed"
