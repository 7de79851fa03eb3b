"""Qualities of base and head: paired on seeds and on the hold-out, judged by the tolerance."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sparkscale.analysis.blocks import Grid
from sparkscale.analysis.conditions import Reader
from sparkscale.analysis.questions.compare.compare import compare
from sparkscale.analysis.questions.compare.report import report
from sparkscale.analysis.questions.compare.side import Side
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store
from tests.analysis.compare.reading import Change, Compares, Written, answer, not_compared, rows, text, verdicts
from tests.builders import Writer, case_of, invocation


def test_a_less_accurate_model_is_worse_and_an_equal_one_is_exactly_the_same(
    two: Store, written: Written, compared: Compares
) -> None:
    written("one", noise=0.3)
    written("two", noise=1.0)
    two.begin(invocation("three", day=3))
    written("three", noise=0.3)
    assert set.union(*verdicts(compared(), "AUC").values()) == {"worse"}
    assert set.union(*verdicts(compared("two", "one"), "AUC").values()) == {"better"}
    equal = compared("one", "three")
    assert {(row.change, bool(row.exact)) for row in rows(equal, "AUC")} == {("same", True)}
    grids = [block for block in report(compared()) if isinstance(block, Grid)]
    effects = [row[5] for row in grids[0].rows if row[2] == "AUC"]
    assert all(str(effect).startswith("-0.") for effect in effects)  # the head minus the base


def test_quality_counts_among_the_tests(written: Written, compared: Compares) -> None:
    written("one", noise=0.3)
    written("two", noise=0.35)
    of = compared()
    assert of.tests == 12
    assert compared(wanted=["time_to_model"]).tests == 6
    assert all(row.adjusted_p is not None for row in of.rows)


def test_seeds_that_the_sides_do_not_share_are_said(written: Written, compared: Compares) -> None:
    written("one", noise=0.3)
    written(
        "two",
        noise=0.3,
        change=lambda record: {"case": record.case.model_copy(update={"sample_seed": record.case.sample_seed + 100})},
    )
    of = compared()
    assert rows(of, "AUC") == []
    assert not_compared(of)[0][1:] == ("AUC", "the sides have no seeds in common")
    assert of.is_incomplete
    assert answer(of).verdict == "not resolved"


def test_a_quality_can_be_the_only_metric(written: Written, compared: Compares) -> None:
    written("one", noise=0.3)
    written("two", noise=1.0)
    for name in ("auc", "auc_loss"):
        of = compared(wanted=[name, name])
        assert {row.metric for row in of.rows} == {"AUC"}
        assert len(of.rows) == 6
        assert {row.change for row in of.rows} == {"worse"}


def test_a_judged_quality_needs_stored_scores_unless_it_is_equal(written: Written, compared: Compares) -> None:
    written("one", change=lambda _: {"quality": {"auc": 0.7}})
    written("two", change=lambda record: {"quality": {"auc": 0.6 if record.case.engine == "mllib" else 0.7}})
    of = compared()
    assert verdicts(of, "AUC") == {"sklearn": {"same"}, "xgboost": {"same"}, "mllib": {"not resolved"}}
    assert {row.needs for row in rows(of, "AUC")} == {"", "stored scores"}
    assert of.is_incomplete


def test_a_quality_without_stored_scores_is_paired_on_its_seeds(written: Written, compared: Compares) -> None:
    def of_run(shift: float) -> Callable[[RunRecord], dict[str, Any]]:
        generator = np.random.default_rng(1 + int(100 * shift))
        return lambda record: {"quality": {"log_loss": 0.5 + record.round / 10 + shift + generator.normal(0, 0.002)}}

    written("one", change=of_run(0))
    written("two", change=of_run(0.1))
    of = compared(wanted=["log_loss"])
    assert {row.change for row in of.rows} == {"worse"}  # although rounds differ more than sides
    assert {row.rounds for row in of.rows} == {(8, 8)}


def test_figures_that_depend_on_seeds_alone_need_no_test(two: Store) -> None:
    """Three rounds could never show a difference by ranks."""
    inference = case_of(workload="inference.boosting", pattern="inference", engine="single-process")
    sides = {}
    for of, size in (("one", 1000.0), ("two", 1200.0)):
        write = Writer(
            two,
            of,
            lambda record, of=of, size=size: {  # type: ignore[misc]
                "id": f"{of}-{record.id}",
                "seconds": {"load": 1.0, "predict": 1.0 + record.round / 100},
                "figures": {"model_bytes": size, "bytes_read": 5.0 * size},
            },
        )
        for number in (1, 2, 3):
            write(inference.model_copy(update={"sample_seed": number}), number, seconds=1)
        sides[of] = Side(of, tuple(two.records(of)), Reader(two, {of: two.invocation(identity=of)}))
    made = compare(sides["one"], sides["two"], ["model_bytes", "bytes_read"])
    assert [(row.metric, row.change) for row in made.rows] == [
        ("model_bytes", "worse"),
        ("bytes_read", "different"),  # nobody declared whether fewer are better
    ]
    assert made.tests == 0
    assert "exactly" in text(report(made))


def test_repeated_seeds_all_count(written: Written, compared: Compares) -> None:
    """All rounds have the same seeds, and one round of the head happens to be as good as the base."""

    def of_run(values: list[float]) -> Callable[[RunRecord], dict[str, Any]]:
        return lambda record: {
            "quality": {"log_loss": values[record.round - 1]},
            "case": record.case.model_copy(update={"sample_seed": 1, "model_seed": 1, "rows": 7}),
        }

    written("one", change=of_run([0.5] * 8))
    written("two", change=of_run([0.9] * 7 + [0.5]))
    of_loss = rows(compared(wanted=["log_loss"]), "log-loss")
    assert {row.change for row in of_loss} == {"worse"}
    assert {row.rounds for row in of_loss} == {(8, 8)}


@pytest.mark.parametrize(
    ("base", "head", "expected"), [(-0.1, -0.5, "worse"), (-0.5, -0.1, "better"), (0, 0.4, "better")]
)
def test_a_quality_that_is_zero_or_negative_keeps_its_direction(
    written: Written, compared: Compares, base: float, head: float, expected: str
) -> None:
    def of_run(value: float) -> Change:
        return lambda record: {"quality": {"skill": value + (record.round - 4) / 1000}}

    written("one", change=of_run(base))
    written("two", change=of_run(head))
    assert {row.change for row in compared(wanted=["skill"]).rows} == {expected}


def test_a_quality_that_may_have_lost_far_more_than_is_tolerated_says_too_little(
    written: Written, compared: Compares
) -> None:
    """The log-loss of each pair of seeds differs by 5 % in either direction, and 5 % are tolerated."""
    written("one", change=lambda _: {"quality": {"log_loss": 0.5}})
    written("two", change=lambda record: {"quality": {"log_loss": 0.5 * (1 + 0.15 * (-1) ** record.round)}})
    made = compared(wanted=["log_loss"])
    assert {row.change for row in made.rows} == {"not resolved"}
    assert made.is_incomplete
    assert "too noisy to say (log-loss may lose 0.1" in answer(made).text


def test_a_quality_that_is_not_a_number_is_a_gap(written: Written, compared: Compares) -> None:
    written("one", change=lambda _: {"quality": {"log_loss": 0.5}})
    written("two", change=lambda _: {"quality": {"log_loss": float("nan")}})
    of = compared(wanted=["log_loss"])
    assert of.rows == ()
    assert {why for *_, why in not_compared(of)} == {"only the base has a value"}
    assert of.is_incomplete


def test_two_seeds_are_too_few_for_a_verdict_on_a_quality(written: Written, compared: Compares) -> None:
    written("one", noise=0.3, rounds=2)
    written("two", noise=2.0, rounds=2)
    of_auc = rows(compared(), "AUC")
    assert {(row.change, row.needs) for row in of_auc} == {("not resolved", "3 rounds or more")}
