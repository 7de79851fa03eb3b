"""Signals that arrive at a bad moment."""

import os
import signal

import pytest
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
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as raised, interruptible():
        Interrupted(number=number).model_dump_json()
    assert isinstance(raised.value.__cause__, PydanticSerializationError)
    assert signal.getsignal(number) is before


def test_without_a_signal_an_error_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), interruptible():
        raise ZeroDivisionError
