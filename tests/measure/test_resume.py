"""Requests that differ from the run that they resume."""

from pathlib import Path

import pytest

from sparkscale.contract.seeds import Seeds
from sparkscale.store.store import Store
from tests.builders import invocation
from tests.conftest import Call


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--seed", "3"], "The run to resume has seed 0, not 3: leave --seed out, or start a new run."),
        (["--rounds", "5"], "The run to resume has rounds 3, not 5: leave --rounds out, or start a new run."),
        (["--fixed-seeds"], "leave --fixed-seeds out, or start a new run."),
        (
            ["--cluster", "local,connect"],
            "The run to resume has cluster local, not local,connect: leave --cluster out, or start a new run.",
        ),
        (
            ["--filter", "engine=sklearn"],
            "The run to resume has filter (none), not engine=sklearn: leave --filter out, or start a new run.",
        ),
    ],
)
def test_an_option_that_differs_is_named(sparkscale: Call, tmp_path: Path, arguments: list[str], reason: str) -> None:
    with Store.open(tmp_path) as store:
        store.begin(invocation().model_copy(update={"clusters": ("local",), "seeds": Seeds()}))
    done = sparkscale("run", "--resume", "--out", str(tmp_path), *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: The run to resume ")
    assert done.stderr.strip().endswith(reason)
