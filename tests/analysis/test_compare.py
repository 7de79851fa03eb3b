"""Base against head, case by case: verdicts on records with a planted difference, and what is never dropped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparkscale.analysis import compare_sides
from sparkscale.analysis.blocks import Answer, Block, Grid, Warning
from sparkscale.analysis.compare import Compared, compare, refusals
from sparkscale.analysis.compare_report import report
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import CodeState, Outcome, RunRecord
from sparkscale.present import markdown
from sparkscale.store import archive
from sparkscale.store.store import Store
from tests.analysis.reading import printed
from tests.builders import Writer, case, invocation

ENGINES = ("sklearn", "xgboost", "mllib")
FRACTIONS = (1 / 4, 1.0)
ROUNDS = 8


@pytest.fixture
def two(store: Store) -> Store:
    """A store with two runs, which have no records yet."""
    store.begin(invocation("two", day=2))
    return store


def written(
    store: Store,
    of: str,
    factors: dict[str, float] | None = None,
    noise: float | None = None,
    rounds: int = ROUNDS,
    outcomes: dict[str, Outcome] | None = None,
    change: Callable[[RunRecord], dict[str, Any]] = lambda _: {},
) -> None:
    """Writes a run: each engine takes about 10 s times its factor, with a noise of 2 %."""
    generator = np.random.default_rng(list(of.encode()))
    write = Writer(store, of, lambda record: {"id": f"{of}-{record.id}", **change(record)})
    for number in range(1, rounds + 1):
        for engine in ENGINES:
            for fraction in FRACTIONS:
                outcome = (outcomes or {}).get(engine, "ok")
                factor = (factors or {}).get(engine, 1.0) * float(np.exp(generator.normal(0, 0.02)))
                write(
                    case(engine, fraction, seed=number),
                    number,
                    seconds=10 * fraction * factor if outcome == "ok" else None,
                    outcome=outcome,
                    noise=noise if outcome == "ok" else None,
                )


def compared(store: Store, base: str = "one", head: str = "two", wanted: list[str] | None = None) -> Compared:
    out = store.path.parent
    with compare_sides.opened(base, out) as own, compare_sides.opened(head, out) as its:
        return compare(own, its, wanted)


def verdicts(found: Compared, metric: str = "time_to_model") -> dict[str, set[str]]:
    """The verdicts on each engine."""
    return {
        engine: {row.change for row in found.rows if (row.subject.engine, row.metric) == (engine, metric)}
        for engine in ENGINES
    }


def blocks_of(found: Compared) -> list[Block]:
    return list(report(found))


def answer(found: Compared) -> Answer:
    return next(block for block in blocks_of(found) if isinstance(block, Answer))


def warnings(found: Compared) -> list[str]:
    return [block.text for block in blocks_of(found) if isinstance(block, Warning)]


def test_only_the_engine_that_became_slower_is_worse(two: Store) -> None:
    written(two, "one")
    written(two, "two", {"xgboost": 1.15, "mllib": 1 / 1.3})
    found = compared(two)
    assert verdicts(found) == {"sklearn": {"same"}, "xgboost": {"worse"}, "mllib": {"better"}}
    row = next(row for row in found.rows if row.subject.engine == "xgboost")
    assert row.found is not None
    assert row.found.ratio == pytest.approx(1.15, rel=0.03)
    said = answer(found)
    assert said.verdict == "yes"
    assert said.text.startswith(
        "2 comparisons worse: data_parallel.gradient_boosting xgboost flights 1/4 (time_to_model); "
        "data_parallel.gradient_boosting xgboost flights 1 (time_to_model). 2 comparisons better: "
    )


def test_equal_sides_are_the_same(two: Store) -> None:
    written(two, "one")
    written(two, "two")
    assert set.union(*verdicts(compared(two)).values()) == {"same"}
    assert answer(compared(two)).verdict == "no"


def test_three_rounds_resolve_nothing_and_say_so(two: Store) -> None:
    written(two, "one", rounds=3)
    written(two, "two", {"xgboost": 1.5}, rounds=3)
    found = compared(two)
    assert set.union(*verdicts(found).values()) == {"not resolved"}
    assert answer(found).verdict == "not resolved"
    text = printed(blocks_of(found), 220)
    assert "p cannot be below 0.1, n=3+3" in text
    assert "needs about 5 rounds" in text


def test_a_less_accurate_model_is_found_and_an_equal_one_is_exactly_the_same(two: Store) -> None:
    written(two, "one", noise=0.3)
    written(two, "two", noise=1.0)
    two.begin(invocation("three", day=3))
    written(two, "three", noise=0.3)
    assert set.union(*verdicts(compared(two), "AUC").values()) == {"worse"}
    assert set.union(*verdicts(compared(two, "two", "one"), "AUC").values()) == {"better"}
    equal = [row for row in compared(two, "one", "three").rows if row.metric == "AUC"]
    assert {(row.change, row.is_exact) for row in equal} == {("same", True)}


@pytest.mark.parametrize(("side", "expected"), [("two", "worse"), ("one", "better")])
def test_a_case_that_lost_or_won_its_result_is_a_finding(two: Store, side: str, expected: str) -> None:
    for of in ("one", "two"):
        written(two, of, outcomes={"mllib": "oom"} if of == side else None)
    found = compared(two)
    assert {(one.subject.engine, one.change) for one in found.findings} == {("mllib", expected)}
    assert "mllib" not in {row.subject.engine for row in found.rows}
    grid = next(block for block in blocks_of(found) if isinstance(block, Grid))
    assert grid.title == "Cases with a result on one side only"
    assert grid.rows[0][-1] == "because oom"
    assert (answer(found).verdict == "yes") == (expected == "worse")


def test_cases_of_one_side_and_without_any_result_are_named(two: Store) -> None:
    def of_another_sample(record: RunRecord) -> dict[str, Any]:
        return {"case": record.case.model_copy(update={"fraction": 1 / 2})} if record.case.fraction < 1 else {}

    written(two, "one", outcomes={"mllib": "timeout"})
    written(two, "two", outcomes={"mllib": "timeout"}, change=of_another_sample)
    only_base, only_head, neither = warnings(compared(two))
    assert only_base.startswith("Only the base has 3 cases: data_parallel.gradient_boosting")
    assert only_head.startswith("Only the head has 3 cases: ")
    assert neither == "Neither side has a result for 1 case: data_parallel.gradient_boosting mllib flights 1."


def test_a_metric_of_one_side_is_named(two: Store) -> None:
    written(two, "one")
    written(two, "two", change=lambda _: {"seconds": {"load": 1.0, "fit": 1.0}})
    (said,) = warnings(compared(two, wanted=["seconds_predict", "seconds_fit"]))
    assert said.startswith("Only one side has a value, so that nothing is compared: ")
    assert "(seconds_predict)" in said


def test_other_hosts_data_and_workloads_are_refused(two: Store) -> None:
    other = two.describe("host", {"cpu": "Another CPU", "usable_cores": 8, "memory_bytes": 2**35, "os": "Linux"})
    written(two, "one")
    written(
        two,
        "two",
        change=lambda record: {
            "host": other,
            "case": record.case.model_copy(update={"dataset_id": "other", "version": 2}),
        },
    )
    out = two.path.parent
    with compare_sides.opened("one", out) as base, compare_sides.opened("two", out) as head:
        found = refusals(base, head)
        assert refusals(base, base) == []
    assert found[0] == "flights: other data of the same name"
    assert "another host (Another CPU" in found[1]
    assert found[2].endswith("version 2 of the workload, not 1")


@pytest.fixture
def committed(two: Store) -> Path:
    """The folder of a store with a run of each of two commits."""
    written(two, "one", change=lambda _: {"code": CodeState(commit="abcdef12", dirty=False)})
    written(two, "two", {"xgboost": 1.3}, change=lambda _: {"code": CodeState(commit="abcdff34", dirty=False)})
    return two.path.parent


def test_sides_are_commits_runs_folders_and_archives(committed: Path, tmp_path: Path) -> None:
    with Store.existing(committed) as store:
        archive.pack(store, ["two"], tmp_path / "two.parquet")
    for base, head in (("abcde", "abcdf"), ("one", str(tmp_path / "two.parquet")), ("one", str(committed))):
        with compare_sides.opened(base, committed) as own, compare_sides.opened(head, committed) as its:
            found = compare(own, its)
            text = markdown.written(report(found))
        assert {row.subject.engine for row in found.rows if row.change == "worse"} == {"xgboost"}
        assert "The head has sparkscale at commit abcdff34, not commit abcdef12." in text


@pytest.mark.parametrize("name", ["abc", "0000000", "three"])
def test_a_side_that_is_not_there_names_the_nearest(committed: Path, name: str) -> None:
    message = f"no run and no commit '{name}' with records. It has run two at commit abcdff34"
    with pytest.raises(ConfigError, match=message), compare_sides.opened(name, committed):
        pass


def test_a_damaged_archive_is_one_sentence(committed: Path, tmp_path: Path) -> None:
    file = tmp_path / "broken.parquet"
    file.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ConfigError, match=r"broken\.parquet"), compare_sides.opened(str(file), committed):
        pass
