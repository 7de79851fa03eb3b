"""Signals that arrive at a bad moment."""

import os
import signal

import pytest
import typer
from pydantic import BaseModel, field_serializer
from pydantic_core import PydanticSerializationError

from sparkscale.interrupt import SIGNALS, interruptible


class Interrupted(BaseModel):
    number: int

    @field_serializer("number")
    def _serialize(self, number: int) -> int:
        os.kill(os.getpid(), number)
        return number


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_hits_pydantic_is_still_an_interrupt(number: int) -> None:
    outside = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt) as raised, interruptible():
            Interrupted(number=number).model_dump_json()
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, outside)
    assert isinstance(raised.value.__cause__, PydanticSerializationError)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_hits_a_command_outside_of_its_run_is_still_an_interrupt(number: int) -> None:
    """While a table is drawn, say: click catches the exception, and exits with 1."""
    app = typer.Typer()

    @app.command()
    def draw() -> None:
        os.kill(os.getpid(), number)

    outside = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt), interruptible():
            app([])
    finally:
        signal.signal(number, outside)


def test_under_nohup_a_closed_terminal_is_no_interrupt() -> None:
    outside = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, outside)


def test_without_a_signal_an_error_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), interruptible():
        raise ZeroDivisionError
