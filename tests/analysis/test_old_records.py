"""Stores of earlier releases stay readable: `release-0.1.json` is what commit d128d01 stored of one execution."""

import json
from pathlib import Path

from sparkscale.analysis import problems
from sparkscale.contract.record import RunRecord
from sparkscale.contract.seeds import Seeds
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store
from tests.analysis.reading import shown

STORED = json.loads((Path(__file__).parent / "release-0.1.json").read_text(encoding="utf-8"))


def test_an_invocation_without_seeds_repeated_its_own() -> None:
    invocation = Invocation.model_validate(STORED["invocation"])
    assert invocation.drawn == Seeds(sample=0, model=0, fixed=True)
    assert not invocation.cold_cache


def test_a_record_of_before_is_shown(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.begin(Invocation.model_validate(STORED["invocation"]))
        described = {name: store.describe(name, STORED[name]) for name in ("host", "data")}
        record = RunRecord.model_validate(STORED["record"]).model_copy(update=described)
        store.add(record, {})
        assert problems.problems(store.records()) == []
        text = shown(store)
    assert "data_parallel.gradient_boosting on flights" in text
    assert f"{record.seconds['load'] + record.seconds['fit']:.2f}" in text
    assert "first run" not in text
