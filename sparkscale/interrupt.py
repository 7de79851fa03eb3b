"""Ends a command in the same way on Ctrl-C, SIGTERM (batch systems) and SIGHUP (a closed terminal)."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EXIT_INTERRUPTED = 130
"""The exit code of an interrupted command. A shell reports the same code for SIGINT."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """If SIGINT, SIGTERM or SIGHUP arrives, the `with` block ends with KeyboardInterrupt.

    This holds even if a library turns KeyboardInterrupt into its own exception. For example, pydantic raises
    PydanticSerializationError, and click exits with 1. Under nohup, SIGHUP stays ignored.
    """
    interrupted = False

    def interrupt(*_: Any) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    # nohup makes this process ignore SIGHUP, and a handler would undo that
    ignores_hangup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    handled = [number for number in SIGNALS if not (ignores_hangup and number == signal.SIGHUP)]
    previous = {number: signal.signal(number, interrupt) for number in handled}
    try:
        yield
    except (Exception, SystemExit) as error:
        if interrupted:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
