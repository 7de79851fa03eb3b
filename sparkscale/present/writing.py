"""Writes a file as a whole, so that an interrupted command leaves the old file or the new one."""

import os
from contextlib import suppress
from pathlib import Path

from sparkscale.contract.errors import ConfigError


def write_whole(text: str, file: Path) -> None:
    """Writes a text to a file. An existing file is replaced when the text is complete.

    A pipe or a device, such as /dev/stdout, is written to. Raises ConfigError if the file cannot be written.
    """
    if file.is_dir():
        raise ConfigError(f"{file} cannot be written: Is a directory.")
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        if file.exists() and not file.is_file():
            file.write_text(text, "utf-8")
            return
        aside.write_text(text, "utf-8")
        aside.replace(file)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise ConfigError(f"{file} cannot be written: {error.strerror}.") from error
