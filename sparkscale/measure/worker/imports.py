"""Imports modules by their names, in a worker."""

import importlib
import sys
from collections.abc import Iterable
from contextlib import suppress


def import_all(modules: Iterable[str]) -> tuple[str, ...]:
    """Imports modules by their names, in this order. Returns the names of all modules that the process has imported.

    Modules that cannot be imported are skipped, such as modules that another module creates at run time.
    """
    for name in modules:
        if name != "__main__":
            with suppress(Exception):
                importlib.import_module(name)
    return tuple(sys.modules)
