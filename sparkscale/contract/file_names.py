"""Names that become the names of files and folders."""

import re

from sparkscale.contract.errors import ConfigError

LONGEST = 100
"""Bytes of a name: a file system takes 255, and what is made of a name is longer than it."""


def checked(kind: str, name: str) -> str:
    """The name, if a file can be called so and lies where it should. `kind` says what it names.

    Raises ConfigError for an empty name, one that begins with a dot, holds a slash or a control character, or is too
    long: a profile called `..` would have its files beside the folder that is theirs.
    """
    if not name or name.startswith(".") or re.search(r"[/\x00-\x1f\x7f]", name):
        raise ConfigError(
            f"{name!r} cannot be the name of a {kind}: a name holds a character or more, no slash, and does not "
            "begin with a dot."
        )
    if len(name.encode()) > LONGEST:
        raise ConfigError(f"The name of the {kind} '{name[:20]}…' is longer than {LONGEST} bytes: shorten it.")
    return name


def folder_name(text: str) -> str:
    """A folder's name that is like the text: in ASCII, for a JVM may not spell more, and cut where it is long. What
    must not share a folder needs more than this in its name.
    """
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)[:LONGEST].lstrip(".") or "unnamed"
