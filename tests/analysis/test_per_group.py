"""What is said of one model per group, from a store of records with known times and groups."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sparkscale.analysis.blocks import Column
from sparkscale.analysis.every_metric import metrics
from sparkscale.analysis.patterns.data_parallel import comparison as tradeoff
from sparkscale.analysis.patterns.per_group import comparison as per_group
from sparkscale.contract.case import Case
from sparkscale.contract.record import GROUPS, RunRecord
from sparkscale.present import cells
from sparkscale.store.store import Store
from tests.analysis.reading import said, shown
from tests.builders import Writer, case_of, invocation, stored
from workloads import registry

Seconds = tuple[float, float, float]
"""Of layout, load and fit."""


RATE = Column("a second", ",.0f", beyond="timeout", counts=True)


def case(engine: str, fraction: float = 1.0) -> Case:
    return case_of(
        workload="per_group.ridge",
        pattern="per_group",
        task="regression",
        engine=engine,
        placement="node" if engine in ("joblib", "pandas-loop") else "spark",
        dataset="devices",
        dataset_id="d",
        rows=int(8000 * fraction),
        fraction=fraction,
        params={"set": "aligned", "by": "device", "alpha": 1.0, "arguments": {"alpha": 1.0}},
    )


def groups_table() -> bytes:
    rows = [
        {"key": "a", "outcome": "ok", "error": None},
        {"key": "b", "outcome": "timeout", "error": "no model within 2 s"},
        {"key": "c", "outcome": "too small", "error": "7 rows; at least 100 are needed"},
        {"key": "d", "outcome": "too small", "error": "9 rows; at least 100 are needed"},
    ]
    return stored(pa.Table.from_pylist(rows))


class Groups:
    """Adds records of engines on the same hundred groups, of which 90 have a model."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.write = Writer(store)
        self.records: list[RunRecord] = []

    def __call__(
        self,
        engine: str,
        *rounds: Seconds,
        models: float = 90,
        fraction: float = 1.0,
        busy: float = 0.4,
        threads: int = 2,
        of_a_group: tuple[float, float] = (2e-5, 4e-4),
    ) -> None:
        """`of_a_group` are the median and the largest seconds of a group's fit."""
        for number, (layout, load, fit) in enumerate(rounds, start=1):
            self.write.count += 1
            made = self.write_record(case(engine, fraction).model_copy(update={"threads": threads}), number)
            figures = {
                "groups": 100.0,
                "models": models,
                "group_rows_least": 7.0,
                "group_rows_median": 80.0,
                "group_rows_most": 900.0,
                "group_seconds_median": of_a_group[0],
                "group_seconds_most": of_a_group[1],
                "training_seconds": 0.2,
                "busy_seconds": busy,
                "tasks": 4.0,
                "task_skew": 1.25,
            }
            seconds = {"layout": layout, "load": load, "fit": fit}
            quality = {"group_rmse": 1.5, "group_r2": 0.5}
            kept = made.model_copy(update={"seconds": seconds, "figures": figures, "quality": quality})
            self.store.add(kept, {GROUPS: groups_table()})
            self.records.append(kept)

    def write_record(self, measured: Case, number: int) -> RunRecord:
        from tests.builders import record

        made = record(f"g{self.write.count}")
        return made.model_copy(update={"case": measured, "round": number, "host": self.write.host})

    def comparison(self) -> per_group.Trainings:
        (found,) = [one for one in per_group.comparisons(self.store, self.records) if one.is_largest]
        return found


@pytest.fixture
def groups(tmp_path: Path) -> Iterator[Groups]:
    with Store.open(tmp_path) as store:
        store.begin(invocation(suite="per-group"))
        yield Groups(store)


def rounds(layout: float, *fits: float) -> list[Seconds]:
    return [(layout, 0.5, fit) for fit in fits]


def test_a_layout_is_counted_by_its_uses(groups: Groups) -> None:
    groups("joblib", *rounds(0, 3.5, 3.5, 3.5, 3.5, 3.5))
    groups("parquet-groups", *rounds(4.0, 1.5, 1.5, 1.5, 1.5, 1.6))
    found = groups.comparison()
    laid_out, joblib = found.variant("parquet-groups"), found.variant("joblib")
    assert laid_out and joblib
    assert [laid_out.spread(uses).median for uses in per_group.USES] == [6.0, 4.0, pytest.approx(2 + 4 / 11)]  # type: ignore[union-attr]
    assert [joblib.spread(uses).median for uses in per_group.USES] == [4.0, 4.0, 4.0]  # type: ignore[union-attr]
    assert laid_out.speed_up(joblib)[:4] == [2.0] * 4
    assert laid_out.speed_up(joblib, uses=1)[0] == pytest.approx(4 / 6)
    assert metrics(registry.descriptions())["time_with_layout"].samples(laid_out.records)[0] == 6.0
    assert metrics(registry.descriptions())["models_per_second"].samples(laid_out.records)[0] == 45.0
    text = said(per_group.advice(found))
    assert text.startswith(
        "Use joblib to train once, while all rows fit on one node. It is 1.50 (1.50–1.52) times as fast as "
    )
    assert "Use parquet-groups if its layout serves 2 trainings or more. Over 11 trainings it is " in text
    assert "A fit takes 0.02 ms. Work on groups is 10% of parquet-groups's core time" in text


def test_a_timeout_is_slower_than_any_rate_and_leaves_no_speed_up(groups: Groups) -> None:
    """90 models in 2 s and two timeouts were printed as 45 models a second, twice as fast as joblib."""
    groups("joblib", *rounds(0, 3.5, 3.5, 3.5))
    groups("parquet-groups", *rounds(0, 1.5))
    for number in (2, 3):
        groups.write(case("parquet-groups"), number, outcome="timeout", phase="fit")
    (found,) = per_group.comparisons(groups.store, groups.store.records())
    laid_out, joblib = found.variant("parquet-groups"), found.variant("joblib")
    assert laid_out and joblib
    assert cells.text(laid_out.models_per_second, RATE) == "timeout (timeout–45) [1 of 3]"
    assert laid_out.speed_up(joblib) == joblib.speed_up(laid_out) == []


def test_one_engine_that_is_always_the_fastest(groups: Groups) -> None:
    groups("pandas-loop", *rounds(0, 9.5, 9.5, 9.5, 9.5, 9.5))
    groups("apply-in-pandas", *rounds(0, 0.5, 20, 20, 20, 20))
    groups("parquet-groups", *rounds(1.0, 1.5, 1.5, 1.5, 1.5, 1.5))
    text = said(per_group.advice(groups.comparison()))
    assert text.startswith(
        "Use parquet-groups. With its layout counted, it is 3.33 (3.33–3.33) times as fast as pandas-loop."
    )


def test_a_margin_that_rounds_do_not_decide_is_not_resolved(groups: Groups) -> None:
    groups("pandas-loop", *rounds(0, 1.4, 0.6, 1.4))
    groups("joblib", *rounds(0, 1.0, 1.0, 1.0))
    assert "times as fast as pandas-loop (not resolved)." in said(per_group.advice(groups.comparison()))


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([], "not measured"),
        ([0.7], "not resolved"),
        ([0.7, 0.8, 0.9], "not resolved"),
        ([1.01, 0.99, 1.02], "not resolved"),
        ([1.01, 0.99, 1.02, 1.04, 1.03, 1.02], "same"),
        ([1.2, 0.9, 1.3, 1.1, 0.8], "not resolved"),
        ([1.2, 1.3, 1.2, 1.4, 1.3], "different"),
        ([0.8, 0.78, 0.82, 0.81, 0.79], "different"),
    ],
)
def test_the_control(ratios: list[float], verdict: str) -> None:
    """Two names of one code: few rounds call them neither different nor the same."""
    assert per_group.same(ratios) == verdict


def test_less_work_is_no_speed(groups: Groups) -> None:
    """An engine that made fewer models, or has fewer rounds, is neither recommended nor compared."""
    groups("joblib", *rounds(0, 3.5, 3.5))
    groups("pandas-loop", *rounds(0, 9.5, 9.5))
    groups("apply-in-arrow", *rounds(0, 0.5, 0.5), models=40)
    groups("parquet-groups", *rounds(0.1, 0.1))
    groups("grouped-map", *rounds(0, 0.2, 0.2))
    assert said(per_group.advice(groups.comparison())).startswith(
        "Use joblib, while all rows fit on one node. It is 2.50 (2.50–2.50) times as fast as pandas-loop"
    )


def test_a_layout_pays_against_another_by_what_it_costs_more(groups: Groups) -> None:
    groups("apply-in-pandas-bucketed", *rounds(5.0, 9.5, 9.5))
    groups("parquet-groups", *rounds(14.0, 8.5, 8.5))
    assert "parquet-groups if its layout serves 9 trainings or more" in said(per_group.advice(groups.comparison()))


def test_a_layout_pays_against_none_by_all_that_it_costs(groups: Groups) -> None:
    """6 s of layout save 1.5 s in each training."""
    groups("joblib", *rounds(0.0, 3.5, 3.5))
    groups("parquet-groups", *rounds(6.0, 2.0, 2.0))
    assert "parquet-groups if its layout serves 4 trainings or more" in said(per_group.advice(groups.comparison()))


def test_a_layout_that_saves_nothing_in_the_median_pays_as_late_as_it_was_compared(groups: Groups) -> None:
    """Rounds with unlike layouts: the medians differ with a share of the layout, and are equal without it."""
    groups("apply-in-pandas-bucketed", (0.22, 0.5, 0.5), (0.0, 0.5, 0.6), (0.3, 0.25, 0.25))
    groups("parquet-groups", *rounds(0.2, 0.5, 0.5, 0.5))
    text = said(per_group.advice(groups.comparison()))
    assert text.startswith("Use apply-in-pandas-bucketed to train once.")
    assert "Use parquet-groups if its layout serves 11 trainings or more" in text


def test_two_recommendations_need_more_certainty_than_one(groups: Groups) -> None:
    """The same ratios resolve one verdict, and not two that are made together."""
    ratios = (1.1, 1.1, 1.3, 1.05, 1.3)
    groups("joblib", *rounds(0.0, *[0.5] * 5))
    groups("parquet-groups", *((0.8, 0.1, ratio - 0.9) for ratio in ratios))
    text = said(per_group.advice(groups.comparison()))
    assert "It is 1.10 (1.05–1.30) times as fast as parquet-groups (not resolved). Use parquet-groups if" in text


def test_one_recommendation_needs_one_verdict(groups: Groups) -> None:
    ratios = (1.1, 1.1, 1.3, 1.05, 1.3)
    groups("joblib", *rounds(0.0, *[0.5] * 5))
    groups("apply-in-pandas", *rounds(0.0, *(ratio - 0.5 for ratio in ratios)))
    text = said(per_group.advice(groups.comparison()))
    assert "It is 1.10 (1.05–1.30) times as fast as apply-in-pandas." in text


def test_everything_is_shown(groups: Groups) -> None:
    groups("pandas-loop", *rounds(0, 9.5, 9.5, 9.5))
    groups("joblib", *rounds(0, 3.5, 3.5, 3.5))
    groups("apply-in-pandas", *rounds(0, 39.5, 39.5, 39.5))
    groups("grouped-map", *rounds(0, 39.5, 40.5, 38.5))
    groups("parquet-groups", *rounds(3.0, 1.5, 1.5, 1.5))
    groups("joblib", *rounds(0, 0.5), fraction=1 / 8)
    text = shown(groups.store)
    assert "per_group.ridge on devices by device, all groups, cluster local" in text
    assert "1/8 of the groups" in text
    assert "100 groups of 7 to 900 rows, median 80, hold-outs included; 90 have a model" in text
    assert "Control: grouped-map takes 1.00 (0.97–1.02) of apply-in-pandas's time: not resolved." in text
    assert "a fit takes 0.02 ms, at most 0.4 ms" in text
    assert "no model within 2 s" in text
    assert "7 rows; at least 100 are needed" in text
    assert "Use parquet-groups to train once" not in text
    assert re.search(r"parquet-groups .* 2\.00 ", text), "over joblib"
    assert "RMSE" in text
    assert text.count("Seconds of a training") == 1, "a smaller sample is told in brief"
    assert not tradeoff.comparisons(groups.store, groups.records)


@pytest.mark.parametrize(
    ("seconds", "text"), [(2e-5, "0.02 ms"), (0.0123, "12 ms"), (0.25, "250 ms"), (2.5, "2,500 ms")]
)
def test_a_fit_is_told_in_milliseconds(groups: Groups, seconds: float, text: str) -> None:
    for engine in ("joblib", "parquet-groups"):
        groups(engine, *rounds(0.0, 1.5, 1.5), of_a_group=(seconds, seconds))
    assert f"A fit takes {text}." in said(per_group.advice(groups.comparison()))


def test_engines_that_disagree_on_the_models_are_named(groups: Groups) -> None:
    groups("joblib", *rounds(0, 3.5))
    groups("parquet-groups", *rounds(0, 3.5), models=89)
    found: dict[str, Any] = groups.comparison().disagreeing
    assert found == {"joblib": (90.0,), "parquet-groups": (89.0,)}
    assert "do not agree on which groups have a model: joblib 90; parquet-groups 89" in shown(groups.store)


def test_the_way_matters_little_only_where_every_way_is_mostly_work(groups: Groups) -> None:
    groups("joblib", *rounds(0.0, 1.5, 1.5), busy=2.8)
    groups("parquet-groups", *rounds(0.1, 1.6, 1.6), busy=2.8)
    assert said(per_group.advice(groups.comparison())).endswith("so it matters little how rows reach the groups.")
    groups("apply-in-pandas", *rounds(0.0, 39.5, 39.5), busy=2.8)
    told = said(per_group.advice(groups.comparison()))
    assert (
        "Work on groups is 70% of joblib's core time and 3.5% of apply-in-pandas's. The rest is moving rows" in told
    )


def test_a_baseline_that_made_fewer_models_is_compared_with_nothing(groups: Groups) -> None:
    """Its 45 of 90 models took half the time, so every other engine seemed slow."""
    groups("joblib", *rounds(0, 1.5, 1.5), models=45)
    groups("parquet-groups", *rounds(0.1, 3.5, 3.5))
    groups("pandas-loop", *rounds(0, 7.5, 7.5))
    found = groups.comparison()
    assert found.variant("joblib")
    assert found.comparable_variant("joblib") is None
    row = next(line for line in shown(groups.store).splitlines() if line.startswith("│ parquet-groups"))
    assert "0.50" not in row, "over joblib"
    assert "2.00" in row, "over the loop"


def test_a_run_says_how_many_groups_have_a_model(groups: Groups) -> None:
    assert per_group.Models.of([]) is None
    groups("joblib", *rounds(0, 1.5, 1.5), models=100)
    every = per_group.Models.of(groups.records)
    assert every is not None
    assert every.text == "200 of 200 groups have a model, over all executions."
    groups("parquet-groups", *rounds(0.1, 3.5), models=45)
    some = per_group.Models.of(groups.records)
    assert some is not None
    assert (some.groups, some.models, some.least_share) == (300, 245, 0.45)
    assert some.text.startswith("245 of 300 groups have a model, over all executions; the fewest in per_group.ridge")
    assert some.text.endswith(": 45 of 100.")


def test_the_loop_uses_one_core_and_says_nothing_of_the_others(groups: Groups) -> None:
    """It took ten times as long, and the advice said that the way to the groups mattered little."""
    groups("joblib", *rounds(0.0, 1.5, 1.5), busy=2.8)
    groups("parquet-groups", *rounds(0.1, 1.6, 1.6), busy=2.8)
    groups("pandas-loop", *rounds(0.0, 19.5, 19.5), busy=2.8)
    told = said(per_group.advice(groups.comparison()))
    assert told.endswith("so it matters little how rows reach the groups for engines that use all cores.")


def test_the_way_matters_by_the_same_count_of_layouts_on_both_sides(groups: Groups) -> None:
    """Without its layout one engine was twice as fast, and with it slower: both were called alike."""
    groups("joblib", *rounds(0.0, 9.5, 9.5), busy=15.0)
    groups("apply-in-arrow", *rounds(0.0, 10.5, 10.5), busy=15.0)
    groups("parquet-groups", *rounds(100.0, 4.5, 4.5), busy=2.0)
    told = said(per_group.advice(groups.comparison()))
    assert "matters little" not in told
    assert "20.0% of parquet-groups's. The rest is moving rows and starting tasks" in told


def test_groups_without_a_model_are_a_metric_that_rises(groups: Groups) -> None:
    groups("joblib", *rounds(0, 1.5, 1.5), models=90)
    groups("joblib", *rounds(0, 1.5), models=40)
    assert metrics(registry.descriptions())["groups_without_model"].samples(groups.records) == [10.0, 10.0, 60.0]


def test_an_engine_with_one_thread_is_shown_and_not_recommended(groups: Groups) -> None:
    groups("joblib", *rounds(0, 3.5, 3.5, 3.5, 3.5, 3.5))
    groups("joblib", *rounds(0, 0.5, 0.5, 0.5, 0.5, 0.5), threads=1)
    groups("apply-in-pandas", *rounds(0, 4.5, 4.5, 4.5, 4.5, 4.5))
    found = groups.comparison()
    assert {variant.engine for variant in found.variants} == {"joblib", "joblib, 1 thread", "apply-in-pandas"}
    joblib = found.comparable_variant("joblib")
    assert joblib and joblib.spread()
    assert [variant.engine for variant in found.fastest(1)] == ["joblib", "apply-in-pandas"]
    assert said(per_group.advice(found)).startswith("Use joblib, while all rows fit on one node. It is 1.25 ")
