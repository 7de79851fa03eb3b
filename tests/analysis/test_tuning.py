"""What is said of searches, from a store of records with known trials."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkscale.analysis.patterns.tuning import comparison as tuning
from sparkscale.contract.case import Case
from sparkscale.contract.record import TRIALS, RunRecord
from sparkscale.store.store import Store
from tests.analysis.reading import said, shown
from tests.builders import Writer, case_of, invocation, record, stored
from workloads.tuning.gradient_boosting import TuningBoostingParams
from workloads.tuning.trials import Trial, TrialResult, table_of, trial_of

LOAD = 1.0


def case(engine: str, seed: int, count: int = 24) -> Case:
    params = TuningBoostingParams(target_loss=0.5, sampler_seed=seed, trials=count).model_dump(mode="json")
    return case_of(
        workload="tuning.gradient_boosting",
        pattern="tuning",
        engine=engine,
        placement="spark" if engine.endswith("spark") else "node",
        dataset="flights",
        dataset_id="d",
        rows=8000,
        fraction=1.0,
        params={"set": "aligned", **params, "arguments": {"of": engine}},
    )


def trials(losses: list[float], seconds: float) -> list[Trial]:
    """One after the other, each so long; an infinite loss is a timeout."""
    found = []
    for number, loss in enumerate(losses):
        failed = math.isinf(loss)
        answer = TrialResult(
            loss,
            "timeout" if failed else "ok",
            f"trial {number}: no model within 9 s" if failed else None,
            number * seconds,
            (number + 1) * seconds,
            "here/1",
            "",
            None,
        )
        found.append(trial_of(number, {"depth": number + 2}, answer, number * seconds, (number + 1) * seconds, 0.0))
    return found


class Searches:
    """Adds records of engines on the same space."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.write = Writer(store)
        self.records: list[RunRecord] = []

    def __call__(
        self, engine: str, *searches: list[float], seconds: float = 2.0, count: int = 24, threads: int = 2
    ) -> None:
        for seed, losses in enumerate(searches):
            self.write.count += 1
            if not losses:
                self._failed(engine, seed, count)
                continue
            found = trials(losses, seconds)
            ended = found[-1].told
            observed = {
                "case": case(engine, seed, count).model_copy(update={"threads": threads}),
                "host": self.write.host,
                "seconds": {"load": LOAD, "tune": ended + 3.0, "predict": 0.1},
                "figures": {
                    "trials": len(losses),
                    "search_seconds": ended,
                    "trials_per_second": len(losses) / ended,
                    "bytes_shipped": 123.0 * 2**20,
                },
                "quality": {"log_loss": 0.45, "auc": 0.8},
            }
            kept = record(f"t{self.write.count}").model_copy(update=observed)
            self.store.add(kept, {TRIALS: stored(table_of(found))})
            self.records.append(kept)

    def _failed(self, engine: str, seed: int, count: int) -> None:
        """A search that ran out of time."""
        ended = {"case": case(engine, seed, count), "host": self.write.host, "outcome": "timeout", "seconds": {}}
        kept = record(f"t{self.write.count}").model_copy(update={**ended, "quality": {}})
        self.store.add(kept, {})
        self.records.append(kept)

    def comparison(self) -> tuning.Searches:
        (found,) = tuning.comparisons(self.store, self.records)
        return found


@pytest.fixture
def searches(tmp_path: Path) -> Iterator[Searches]:
    with Store.open(tmp_path) as store:
        store.begin(invocation(suite="tuning"))
        yield Searches(store)


def test_times_count_the_load_and_losses_the_best_so_far(searches: Searches) -> None:
    searches("hyperopt", [0.9, 0.4, 0.6])
    (search,) = searches.comparison().searches
    (course,) = search.courses
    assert course.seconds.tolist() == [3.0, 5.0, 7.0]
    assert [course.best_at(moment) for moment in (2.9, 3.0, 5.0, 99.0)] == [math.inf, 0.9, 0.4, 0.4]
    assert [course.best_after(number) for number in (0, 1, 3)] == [math.inf, 0.9, 0.4]
    assert course.reached(0.5) == 5.0
    assert course.reached(0.3) == math.inf


def test_losses_are_compared_after_a_quarter_a_half_and_all_of_the_trials(searches: Searches) -> None:
    searches("hyperopt", [0.95, 0.85, 0.75, 0.65, 0.55, 0.45, 0.35, 0.25])
    (search,) = searches.comparison().searches
    spreads = [search.best_after(share) for share in tuning.SHARES]
    assert [spread and spread.median for spread in spreads] == [0.85, 0.65, 0.25]


def test_the_searched_space_and_the_shipped_bytes_are_shown(searches: Searches) -> None:
    """Only a dimension on a logarithmic scale is said to be on one."""
    searches("hyperopt", [0.9, 0.4])
    text = " ".join(shown(searches.store).split())
    assert "learning_rate 0.01 to 0.5, log;" in text
    assert "depth 2 to 8 in whole numbers;" in text
    assert "│ 123.0 │" in text


def test_the_slowest_end_is_told_once_where_it_is_the_quickest_too(searches: Searches) -> None:
    searches("hyperopt", [0.9, 0.4, 0.6])
    assert searches.comparison().moments == [1.75, 3.5, 7.0]
    searches("optuna-joblib", [0.9, 0.4, 0.6], seconds=4.0)
    assert searches.comparison().moments == [1.75, 3.5, 7.0, 13.0]


def test_a_search_that_never_reached_the_target_is_censored_and_not_dropped(searches: Searches) -> None:
    searches("hyperopt", [0.9, 0.4], [0.9, 0.6], [0.9, 0.45])
    searches("optuna-joblib", [0.9, 0.6], [0.9, 0.7], [0.4, 0.4])
    found = searches.comparison()
    first, second = found.searches
    times = first.to_target(0.5)
    assert times is not None
    assert (times.median, times.low, times.high, times.count) == (5.0, 5.0, math.inf, 3)
    assert (first.reached(0.5), second.reached(0.5)) == (2, 1)
    ranked = [(search.engine, times.median) for search, times in found.ranking]
    assert ranked == [("hyperopt", 5.0), ("optuna-joblib", math.inf)]
    text = shown(searches.store)
    assert "5.0 (5.0–never)" in text
    assert "never (3.0–never)" in text
    assert "2 of 3" in text
    assert (
        "It is not resolved whether that is sooner than optuna-joblib (most searches missed the target)"
        in " ".join(text.split())
    )


def test_the_advice_says_when_it_is_not_resolved(searches: Searches) -> None:
    searches("hyperopt", *[[0.9, 0.4], [0.4, 0.4]] * 3)
    searches("optuna-joblib", *[[0.4, 0.4], [0.9, 0.4]] * 3, seconds=1.9)
    searches("grid", *[[0.9, 0.9, 0.4]] * 6, seconds=9.0)
    told = said(tuning.advice(searches.comparison()))
    assert "It is not resolved whether that is sooner than hyperopt (" in told
    assert "sampler seeds are needed" not in told
    searches("random-joblib", *[[0.4]] * 6, seconds=0.1)
    told = said(tuning.advice(searches.comparison()))
    assert told.endswith("in 1.1 s. Every other engine needed longer. The next is optuna-joblib (3.8 s).")


def test_one_search_resolves_nothing(searches: Searches) -> None:
    """It said "sooner than every other engine every time (5.0 s against 5.0 s)"."""
    searches("hyperopt", [0.9, 0.4])
    searches("optuna-joblib", [0.9, 0.4], seconds=2.0)
    told = said(tuning.advice(searches.comparison()))
    assert told.endswith(
        "it reached a validation loss of 0.5 in 5.0 s. It is not resolved whether that is sooner than optuna-joblib "
        "(5.0 s): at least 5 sampler seeds are needed, and there is 1."
    )


def test_the_only_engine_that_reaches_the_target_is_said_to_be(searches: Searches) -> None:
    searches("hyperopt", *[[0.9, 0.4]] * 6)
    searches("optuna-joblib", *[[0.9, 0.6]] * 6)
    assert said(tuning.advice(searches.comparison())).endswith(
        "in 5.0 s. No other engine reached it in most searches."
    )


def test_a_search_that_failed_never_came_there(searches: Searches) -> None:
    """Four of five timed out, and the fifth was recommended: "reached by 1 of 1"."""
    searches("hyperopt", *[[0.9, 0.4]] * 5)
    searches("optuna-joblib", [0.4], *[[]] * 4, seconds=0.1)
    found = searches.comparison()
    fast = found.searches[-1]
    assert (fast.engine, fast.reached(0.5), len(fast.attempts)) == ("optuna-joblib", 1, 5)
    times = fast.to_target(0.5)
    assert times is not None
    assert (times.low, times.median) == (1.1, math.inf)
    assert said(tuning.advice(found)).startswith("Use hyperopt: ")
    text = shown(searches.store)
    assert "1 of 5" in text
    assert "0.8000 [1 of 5]" in text


def test_only_equal_attempts_are_ranked(searches: Searches) -> None:
    searches("hyperopt", *[[0.9, 0.4]] * 3)
    searches("optuna-joblib", [0.4], seconds=0.1)
    told = said(tuning.advice(searches.comparison()))
    assert told == (
        "Use hyperopt: it reached a validation loss of 0.5 in 5.0 s. No other engine was ranked. Not ranked: "
        "optuna-joblib (it began only 1 of the 3 searches that other engines made)."
    )


def test_a_search_of_fewer_trials_that_ended_too_soon_is_not_ranked(searches: Searches) -> None:
    searches("hyperopt", *[[0.9, 0.4]] * 3)
    searches("hyperopt-mllib", *[[0.9]] * 3, count=4)
    found = searches.comparison()
    assert found.unranked == [
        "hyperopt-mllib (some of its searches ended after 4 trials, and other engines were given 24)"
    ]
    searches("optuna-joblib", *[[0.4]] * 3, count=4)
    assert [search.engine for search, _ in searches.comparison().ranking] == ["optuna-joblib", "hyperopt"]


@pytest.mark.parametrize(
    ("second", "verdicts", "sooner"),
    [
        ([2.0] * 5, 1, True),
        ([1.1, 1.3, 1.2, 1.2, 1.3], 1, True),
        ([1.1, 1.3, 1.2, 1.2, 1.3], 50, False),
        ([0.9, 1.6, 1.2, 1.5, 1.1], 1, False),
        ([2.0] * 4, 1, False),
        ([math.inf] * 5, 1, False),
        ([math.inf] * 6, 1, True),
        ([math.inf] * 6, 5, False),
        ([math.inf] * 8, 5, True),
        ([math.inf] * 7 + [0.5], 1, False),
    ],
)
def test_one_comes_sooner_than_another_only_where_it_is_resolved(
    second: list[float], verdicts: int, sooner: bool
) -> None:
    seeds = range(len(second))
    assert tuning.is_sooner(dict.fromkeys(seeds, 1.0), dict(zip(seeds, second, strict=True)), verdicts) is sooner


def test_only_seeds_of_both_engines_are_compared() -> None:
    first, second = dict.fromkeys(range(5), 1.0), dict.fromkeys(range(8), 2.0)
    assert tuning.is_sooner(first, second, 1) is True
    assert tuning.is_sooner(second, first, 1) is False
    assert tuning.is_sooner(first, {**dict.fromkeys(range(4), 2.0), 9: 2.0}, 1) is False, "four seeds are too few"


def test_an_engine_that_is_not_ranked_is_named_also_where_none_reached_the_target(searches: Searches) -> None:
    searches("hyperopt", *[[0.9, 0.6]] * 3)
    searches("optuna-joblib", [0.9])
    assert said(tuning.advice(searches.comparison())) == (
        "No engine reached the target of 0.5 in most searches: give them more trials, or another target. Not ranked: "
        "optuna-joblib (it began only 1 of the 3 searches that other engines made)."
    )


def test_more_attempts_than_others_made_are_said(searches: Searches) -> None:
    searches("grid", *[[0.9, 0.4]] * 3)
    searches("hyperopt", *[[0.9, 0.4]] * 3)
    searches("optuna-joblib", *[[0.4]] * 5)
    assert searches.comparison().unranked == ["optuna-joblib (other engines did not make 2 of its searches)"]


def test_fewer_trials_are_no_reason_where_a_search_failed(searches: Searches) -> None:
    """It never came there, whatever the trials it was given."""
    searches("hyperopt", *[[0.9, 0.4]] * 3)
    searches("optuna-joblib", [0.4], [0.4], [], count=4)
    assert searches.comparison().unranked == []


def test_where_some_never_came_there_more_seeds_are_needed(searches: Searches) -> None:
    searches("hyperopt", *[[0.9, 0.4]] * 5)
    searches("optuna-joblib", *[[0.9, 0.6]] * 5)
    told = said(tuning.advice(searches.comparison()))
    assert told.endswith(
        "optuna-joblib (most searches missed the target): at least 6 sampler seeds are needed, and there are 5."
    )


def test_rounds_of_one_seed_are_one_replicate(searches: Searches) -> None:
    """They search alike: five of them know no more of the sampler than one."""
    searches("hyperopt", [0.9, 0.4])
    first = searches.records[0]
    again = [first.model_copy(update={"round": number}) for number in range(1, 6)]
    search = tuning.Search(first.case, again, searches.store)
    assert search.by_seed(0.5) == {0: 5.0}


def test_failed_trials_are_told_with_what_the_first_says(searches: Searches) -> None:
    searches("hyperopt", [0.9, math.inf, 0.4, math.inf])
    (failures,) = searches.comparison().failures
    assert (failures.outcome, failures.trials, failures.parameters) == ("timeout", 2, '{"depth": 3}')
    assert failures.error == "trial 1: no model within 9 s"
    assert "no model within 9 s" in shown(searches.store)


def test_losses_of_other_rows_are_not_compared(searches: Searches) -> None:
    searches("hyperopt", [0.9, 0.4])
    searches("mllib-crossvalidator", [0.1, 0.1])
    found = searches.comparison()
    assert [search.engine for search, _ in found.ranking] == ["hyperopt"]
    (row,) = [line for line in shown(searches.store).splitlines() if line.startswith("│ mllib-crossvalidator")][:1]
    assert "0.1000" not in row


def test_searches_of_different_lengths_are_told_apart(searches: Searches) -> None:
    searches("optuna-spark", [0.9, 0.4], count=2)
    searches("optuna-spark", [0.9, 0.9, 0.4], count=3)
    searches("hyperopt", [0.9, 0.4])
    labels = {search.label for search in searches.comparison().searches}
    assert labels == {"hyperopt", "optuna-spark, 2 trials", "optuna-spark, 3 trials"}


def test_a_search_with_one_thread_is_shown_and_not_ranked(searches: Searches) -> None:
    searches("optuna-joblib", *[[0.6, 0.4]] * 5, seconds=2.0)
    searches("optuna-joblib", *[[0.4, 0.6]] * 5, seconds=1.0, threads=1)
    searches("optuna-spark", *[[0.6, 0.4]] * 5, seconds=3.0)
    found = searches.comparison()
    assert [search.label for search in found.searches] == ["optuna-joblib, 1 thread", "optuna-joblib", "optuna-spark"]
    assert [search.label for search, _ in found.ranking] == ["optuna-joblib", "optuna-spark"]
    assert found.unranked == []
    assert said(tuning.advice(found)).startswith("Use optuna-joblib: ")
