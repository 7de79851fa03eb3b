"""Writes a file as a whole, so that an interrupted command leaves the old file or the new one."""

import os
from contextlib import suppress
from pathlib import Path

from sparkscale.contract.errors import ConfigError


def write_whole(text: str, file: Path) -> None:
    """Writes a text to a file. An existing file is replaced when the text is complete.

    Raises ConfigError if the file cannot be written.
    """
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        aside.write_text(text, "utf-8")
        aside.replace(file)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise ConfigError(f"{file} cannot be written: {error.strerror}.") from error
