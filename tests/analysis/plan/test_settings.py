"""The settings that a plan prints: those of a session on the chosen cluster, as lines that a shell can read."""

import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cluster.budget import Budget, budget
from cluster.endpoint import Endpoint
from cluster.profile import PROFILE, ClusterProfile
from cluster.settings import session_settings
from sparkscale.analysis.blocks import Grid, Text
from sparkscale.analysis.questions.plan.basis import basis
from sparkscale.analysis.questions.plan.plan import Plan, plan
from sparkscale.analysis.questions.plan.wish import Offer, Wish
from sparkscale.cli import plan_settings
from sparkscale.store.store import Store
from tests.analysis.plan.measured import ROWS, Measured

KINDS: dict[str, dict[str, Any]] = {
    "local": {"kind": "local", "name": "own", "cores": 1, "memory": "2g"},
    "standalone": {"kind": "standalone", "name": "own", "workers": 1, "cores": 1, "memory": "2g"},
    "external": {"kind": "external", "name": "own", "master": "yarn", "executors": 1, "cores": 1, "memory": "2g"},
}


def planned(store: Store, profile: ClusterProfile, granted: Budget) -> tuple[Plan, Offer]:
    """A plan for MLlib on this profile, from records of the same kind."""
    Measured(engines=("mllib",), kind=profile.kind, cores=(1,)).into(store)
    offer = Offer(profile.model_dump(mode="json"), granted.model_dump(mode="json"))
    return plan(basis(store, "gradient_boosting"), Wish(ROWS), [offer]), offer


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_settings_are_those_of_a_session(store: Store, kind: str, tmp_path: Path) -> None:
    profile = PROFILE.validate_python(KINDS[kind])
    granted = budget(profile)
    made, offer = planned(store, profile, granted)
    option = next(one for one in made.options if one.place.placement == "spark")
    blocks = [*plan_settings.settings(option, [offer])]
    (code,) = (block.text for block in blocks if isinstance(block, Text) and block.is_code)
    words = shlex.split(code.replace("\\\n", ""))
    printed = dict(word.split("=", 1) for before, word in pairwise(words) if before == "--conf")

    address = "local" if kind == "local" else "spark://cluster:7077"
    session = session_settings(profile, granted, Endpoint(address=address), 1, "cpu", tmp_path)
    for key, value in printed.items():
        if key != "spark.executor.instances" or kind == "external":
            assert value == " ".join(part for part in session[key].split() if "java.io.tmpdir" not in part), key
    assert {"spark.task.cpus", "spark.sql.shuffle.partitions", "spark.driver.defaultJavaOptions"} <= printed.keys()
    assert ("--master" in words) == (kind == "local")
    (grid,) = (block for block in blocks if isinstance(block, Grid))
    heap = "spark.driver.memory" if kind == "local" else "spark.executor.memory"
    assert printed[heap] in [row[1] for row in grid.rows if row[2] == heap]


def test_an_engine_on_one_node_gets_threads_and_memory(store: Store) -> None:
    Measured(engines=("xgboost",)).into(store)
    made = plan(basis(store, "gradient_boosting"), Wish(ROWS))
    blocks = [*plan_settings.settings(made.answer, made.basis.offers)]
    (grid,) = (block for block in blocks if isinstance(block, Grid))
    assert [row[:2] for row in grid.rows][:2] == [("threads", "2"), ("memory", "16.0 GiB")]
