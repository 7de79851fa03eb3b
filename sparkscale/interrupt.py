"""Ctrl-C, the SIGTERM of a batch system, and the SIGHUP of a terminal that is closed end a command in one way."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

EXIT_INTERRUPTED = 130
"""What a command ends with then, as a shell has it of SIGINT."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """A signal raises KeyboardInterrupt out of this block, whatever it was that the signal hit.

    A library may turn the exception into one of its own: pydantic, in the middle of serializing, raises
    PydanticSerializationError; click prints "Aborted!" and exits with 1.
    """
    asked = False

    def interrupt(*_: Any) -> None:
        nonlocal asked
        asked = True
        raise KeyboardInterrupt

    # under nohup SIGHUP is ignored, and stays so
    deaf = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    heard = [number for number in SIGNALS if not (deaf and number == signal.SIGHUP)]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    except (Exception, SystemExit) as error:
        if asked:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
