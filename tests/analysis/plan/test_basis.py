"""The records of a plan: which of them may join one model, and which data set gives the quality."""

from typing import Any

import pytest

from sparkscale.analysis.questions.plan.basis import Basis, basis
from sparkscale.analysis.questions.plan.plan import plan
from sparkscale.analysis.questions.plan.wish import Wish
from sparkscale.contract.case import PUBLISHED
from sparkscale.contract.errors import ConfigError
from sparkscale.store.store import Store
from tests.analysis.plan.measured import ROWS, Measured, measured
from tests.builders import invocation

SYNTHETIC = {"kind": "classification", "rows": 80_000, "features": 10, "seed": 0}


def clusters(found: Basis, engine: str = "mllib") -> set[str]:
    """The clusters of the records of an engine."""
    return {record.case.cluster for record in found.records if record.case.engine == engine}


def test_published_measurements_never_join(store: Store) -> None:
    with pytest.raises(ConfigError, match="has no records of gradient_boosting"):
        measured(store, command="import", kind=PUBLISHED)
    before = measured_again(store, "own", 1)
    Measured(command="import", kind=PUBLISHED).into(store, "theirs", 5)
    after = basis(store, "gradient_boosting")
    assert clusters(after, "xgboost") == clusters(before, "xgboost") == {"own2"}
    assert after.notes == before.notes


def measured_again(store: Store, name: str, day: int, **fields: Any) -> Basis:
    """The basis after these records were added."""
    Measured(**fields).into(store, name, day)
    return basis(store, "gradient_boosting")


def test_records_of_decide_count(store: Store) -> None:
    assert clusters(measured(store, command="decide")) == {"c2"}


def test_a_larger_data_set_does_not_take_the_quality_away(store: Store) -> None:
    """Proposed runs measure one size of a larger data set, and are the newest records."""
    noise: Any = lambda _engine, fraction: 0.3 * fraction**-0.4  # noqa: E731
    fields: dict[str, Any] = {"noise": noise, "dataset": "made", "definition": SYNTHETIC}
    before = plan(measured(store, **fields), Wish(2 * ROWS))
    larger = {"dataset": "made-x4", "definition": {**SYNTHETIC, "rows": 320_000}, "scale": 4, "fractions": (1.0,)}
    after = plan(measured_again(store, "larger", 5, noise=noise, **larger), Wish(2 * ROWS))
    assert after.basis.dataset == "made"
    assert after.answer.given == before.answer.given != before.options[-1].given
    assert max(size for times in after.times for size in times.sizes) > 2 * ROWS, "times of both join"


def test_two_existing_clusters_are_two_machines(store: Store) -> None:
    measured(store, kind="external", master="spark://old:7077", cores=(1,))
    found = measured_again(store, "new", 5, kind="external", master="spark://new:7077", cores=(2,))
    assert clusters(found) == {"new2"}
    assert clusters(found, "xgboost") == {"c1", "new2"}, "engines on one node ran on this host"
    assert "21 records are not used" in found.notes[0]


def test_workers_that_share_cores_are_left_out(store: Store) -> None:
    measured(store, cores=(2,))
    found = measured_again(store, "shared", 5, cores=(4,), shares_cores=True)
    assert clusters(found) == {"c2"}
    assert "because their Spark workers share cores" in found.notes[0]


def test_a_search_of_an_earlier_version_gives_no_heap(store: Store) -> None:
    found = measured(store, cores=(1,), rounds=1)
    (job,) = (one for one in found.jobs if one.engine == "mllib")
    store.begin(invocation("search").model_copy(update={"command": "heap"}))
    for version in (0, job.records[0].case.version):
        case = job.records[0].case.model_copy(update={"version": version})
        store.add(job.records[0].model_copy(update={"id": f"h{version}", "invocation": "search", "case": case}), {})
    (searched,) = (one.searches for one in basis(store, "gradient_boosting").jobs if one.engine == "mllib")
    assert [record.id for search in searched for record in search.records] == ["h1"]
    assert searched[0].columns == 10
