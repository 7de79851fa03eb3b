"""What a phase may add to a record: declared figures that are finite."""

import math
from typing import Any

import pytest

from sparkscale.contract.context import Context
from tests.builders import CASE


def context(**fields: Any) -> Context:
    return Context(case=CASE, data=None, cores=1, slots=1, storage="", **fields)  # type: ignore[arg-type]


def test_a_declared_figure_is_kept() -> None:
    run = context(declared=frozenset({"iterations"}))
    run.figure("iterations", 3)
    assert run.figures == {"iterations": 3.0}


def test_a_figure_that_is_not_declared_is_an_error() -> None:
    with pytest.raises(ValueError, match="The figure iterations is not declared: add it to `figures` of"):
        context().figure("iterations", 3)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_must_be_finite(value: float) -> None:
    with pytest.raises(ValueError, match="The figure iterations is"):
        context(declared=frozenset({"iterations"})).figure("iterations", value)
