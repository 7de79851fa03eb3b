"""Imports modules by their names, in a worker."""

import importlib
import sys
from collections.abc import Iterable
from contextlib import suppress


def import_all(modules: Iterable[str]) -> tuple[str, ...]:
    """Imports modules by their names, in this order; returns the names of all that the process has imported.

    Skips modules that another module has made up at run time, which no import finds.
    """
    for name in modules:
        if name != "__main__":
            with suppress(Exception):
                importlib.import_module(name)
    return tuple(sys.modules)
