"""Plans: what is chosen, in which order, at which price, and what is refused."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from sparkscale.analysis.blocks import Answer, Grid, Text
from sparkscale.analysis.questions.plan.basis import Basis, Job, basis
from sparkscale.analysis.questions.plan.options import spans
from sparkscale.analysis.questions.plan.plan import Plan, plan
from sparkscale.analysis.questions.plan.report import report
from sparkscale.analysis.questions.plan.wish import Offer, Wish, doubling
from sparkscale.analysis.statistics import Interval
from sparkscale.contract.errors import ConfigError
from sparkscale.store.store import Store
from tests.analysis.plan.measured import GIB, PRICE, ROWS, Measured, measured, node_seconds, spark_seconds

Noise = Callable[[str, float], float]


def noise(engine: str, fraction: float) -> float:
    return float(0.3 * fraction**-0.4 + (0.02 if engine == "mllib" else 0.0))


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Basis]:
    """Records of XGBoost on one node and MLlib on Spark, on two cores, with scores."""
    with Store.open(tmp_path_factory.mktemp("usual")) as store:
        yield measured(store, noise=noise)


def planned(store: Store, wish: Wish, offers: tuple[Offer, ...] = (), executors: Any = None, **fields: Any) -> Plan:
    return plan(measured(store, **{"noise": noise, **fields}), wish, offers, executors)


def offered(name: str, executors: int, price: dict[str, Any] | None = None, kind: str = "standalone") -> Offer:
    """A profile with executors of one core and 16 GiB, and a node of as many cores."""
    grant = {"cpus": list(range(executors)), "memory_bytes": 16 * GIB, "heap_bytes": 8 * GIB, "gpus": []}
    budget = {"cores": executors, "node": grant, "driver": grant}
    memory = {"executor_memory_bytes": 16 * GIB, "executor_heap_bytes": 8 * GIB}
    shape = {"workers": executors} if kind == "standalone" else {"executors": executors}
    return Offer({"name": name, "kind": kind, **shape, "cores": 1, "price": price}, {**budget, **memory})


def words(found: Plan) -> str:
    return next(block.text for block in report(found) if isinstance(block, Answer))


def test_the_fastest_that_keeps_the_loss_is_chosen(usual: Basis) -> None:
    made = plan(usual, Wish(ROWS, max_loss=0.02))
    chosen = made.chosen
    assert chosen is not None
    assert (chosen.job.engine, chosen.place.placement) == ("xgboost", "node")
    assert chosen.fraction < 1
    assert chosen.given.interval is not None and chosen.given.interval.high <= 0.02
    smaller = [one for one in made.options if one.job is chosen.job and one.fraction < chosen.fraction]
    assert all("loses up to" in one.reasons[0] for one in smaller)
    assert words(made).startswith(
        f"Use xgboost on one node (2 cores) with 1/{round(1 / chosen.fraction)} of the rows ("
    )


def test_no_loss_takes_the_best_engine_with_all_rows(usual: Basis) -> None:
    chosen = plan(usual, Wish(ROWS, max_loss=0.0)).chosen
    assert chosen is not None
    assert (chosen.job.engine, chosen.fraction) == ("xgboost", 1.0)
    assert chosen.time.seconds == pytest.approx(node_seconds(ROWS, 2), rel=0.05)


def test_the_upper_end_must_meet_the_deadline(usual: Basis) -> None:
    """The predicted time itself meets the deadline, the upper end of its interval does not."""
    made = plan(usual, Wish(ROWS, max_loss=0.0, deadline=node_seconds(ROWS, 2) * 1.001))
    assert made.chosen is None
    best = made.answer
    assert best.time.interval is not None and best.time.seconds is not None
    assert best.time.seconds < made.wish.deadline * 1.01 < best.time.interval.high * 1.01  # type: ignore[operator]
    assert "too slow" in words(made)


def test_nothing_fits_shows_the_nearest_and_by_how_much_it_misses(usual: Basis) -> None:
    made = plan(usual, Wish(10 * ROWS, deadline=2.0, max_loss=0.0001))
    assert made.chosen is None
    text = words(made)
    assert text.startswith("Nothing meets the wish. The nearest is xgboost on one node (2 cores) with ")
    assert "Why not: " in text
    assert "× the deadline" in text or "loses up to" in text
    excesses = [one.excess for one in made.options if one.verdict == "misses"]
    assert excesses == sorted(excesses)


def test_the_cheapest_comes_first_if_there_are_prices(store: Store) -> None:
    """The small cluster is slower than the big one, but costs less; all executors are needed for neither."""
    small, big = offered("small", 1, PRICE), offered("big", 8, {**PRICE, "per_hour": 36.0})
    fields: dict[str, Any] = {"cores": (1, 2, 4, 8), "engines": ("mllib",)}
    made = planned(store, Wish(ROWS, max_loss=0.01, budget=1.0), (small, big), **fields)
    chosen = made.chosen
    assert chosen is not None
    assert chosen.place.cluster == "small"
    costs = [one.cost for one in made.options if one.verdict == "meets"]
    assert costs == sorted(costs, key=lambda cost: cost or 0)
    hurried = plan(made.basis, Wish(ROWS, max_loss=0.0, deadline=4.5, budget=1.0), (small, big)).chosen
    assert hurried is not None
    assert (hurried.place.cluster, hurried.place.executors) == ("big", 8)
    assert hurried.cost == pytest.approx(spark_seconds(ROWS, 8) * 36 / 3600, rel=0.1)


def test_fewer_executors_cost_in_proportion_and_a_node_pays_all(store: Store) -> None:
    big = offered("big", 8, PRICE)
    made = planned(store, Wish(ROWS), (big,), cores=(1, 2, 4, 8))
    by_executors = {one.place.executors: one for one in made.options if one.place.placement == "spark"}
    assert sorted(by_executors) == [1, 2, 4, 8]
    for executors, one in by_executors.items():
        assert one.cost == pytest.approx((one.time.seconds or 0) / 3600 * 3.6 * executors / 8)
    node = next(one for one in made.options if one.place.placement == "node")
    assert node.cost == pytest.approx((node.time.seconds or 0) / 3600 * 3.6)


def test_executors_can_be_chosen(store: Store) -> None:
    made = planned(store, Wish(ROWS), (offered("big", 8),), [3, 6], cores=(1, 2, 4, 8))
    assert {one.place.executors for one in made.options if one.place.placement == "spark"} == {3, 6}
    assert doubling(6) == [1, 2, 4, 6]


def test_more_cores_than_few_measured_ones_are_refused_in_the_table(store: Store) -> None:
    made = planned(store, Wish(ROWS), (offered("big", 8),), cores=(1, 2))
    refused = [one for one in made.options if one.place.cores == 8]
    assert refused
    assert all("this needs 4 numbers of cores, and 2 were measured" in one.reasons[0] for one in refused)
    (grid,) = (one for one in report(made) if isinstance(one, Grid) and one.title == "Options without a time")
    assert ("mllib", "8 × 1 core,\nbig", "1/64 to 1") in {row[:3] for row in grid.rows}


def test_another_kind_of_cluster_has_no_time(usual: Basis) -> None:
    made = plan(usual, Wish(ROWS), (offered("cloud", 2, kind="external"),))
    spark = [one for one in made.options if one.place.placement == "spark"]
    assert {one.time.why_none for one in spark} == {"measured on clusters of kind standalone, and cloud is external"}


def test_unknown_memory_is_said_and_ranks_last(usual: Basis) -> None:
    made = plan(usual, Wish(2 * ROWS, max_loss=0.0))
    assert made.chosen is not None
    assert made.chosen.verdict == "meets, if it fits"
    assert words(made).endswith("Check its memory first: memory not known: no isolated executions.")


def test_what_does_not_fit_is_not_chosen(store: Store) -> None:
    made = planned(store, Wish(8 * ROWS, max_loss=0.0), peak=lambda rows: 4 * GIB + 50_000 * rows)
    wholes = [one for one in made.options if one.fraction == 1 and one.job.engine == "xgboost"]
    assert [one.verdict for one in wholes] == ["does not fit"]
    assert wholes[0].reasons[-1].startswith("does not fit: needs 27")


def test_without_scores_only_all_rows_count(store: Store) -> None:
    made = planned(store, Wish(ROWS), noise=None)
    assert made.chosen is not None and made.chosen.fraction == 1
    assert "loss not known (no scores are stored)" in words(made)
    strict = plan(made.basis, Wish(ROWS, max_loss=0.1))
    assert strict.chosen is None
    assert strict.answer.reasons[0] == "loss not known: no scores are stored"


def test_coverage_terms_and_assumptions_are_printed(usual: Basis) -> None:
    made = plan(usual, Wish(ROWS, columns=20))
    text = " ".join(block.text for block in report(made) if isinstance(block, Text))
    assert "14 measured configurations of this workload were predicted without their own runs: " in text
    assert "of the runs lie within their 90% intervals" in text
    assert "xgboost was measured on 2 cores: with fewer than 4 numbers of cores, nothing is predicted" in text
    assert "The model of xgboost has no term in s/m, log m, m, 1/m" in text
    assert "Only 10 columns were measured, and 20 are planned" in text
    assert "Quality is given up against xgboost with all rows" in text


def test_few_configurations_are_said_to_make_wide_intervals(store: Store) -> None:
    made = planned(store, Wish(ROWS, max_loss=0.0), fractions=(1 / 16, 1 / 8, 1 / 4, 1 / 2, 1))
    text = " ".join(block.text for block in report(made) if isinstance(block, Text))
    assert "xgboost: the interval is wide: 5 of 7 configurations it needs." in text


def test_a_cliff_is_named(store: Store) -> None:
    """On one core, all rows take four times as long as the model says: they are beyond memory."""
    found = measured(store, cores=(1, 2, 4, 8), engines=("mllib",), noise=None)
    (job,) = found.jobs
    slow = next(one for one in job.configurations if one.cores == 1 and one.rows > ROWS / 1.5)
    for record in slow.records:
        seconds = {phase: 4 * value for phase, value in record.seconds.items()}
        store.add(record.model_copy(update={"id": f"slow-{record.id}", "seconds": seconds}), {})
    made = plan(basis(store, "gradient_boosting"), Wish(ROWS))
    text = " ".join(block.text for block in report(made) if isinstance(block, Text))
    assert "mllib was beyond memory with 64,00" in text


def test_tables_say_how_many_options_they_leave_out(store: Store) -> None:
    made = planned(store, Wish(ROWS, max_loss=1.0), cores=(1, 2, 4, 8))
    short, whole = list(report(made)), list(report(made, shows_all=True))
    more = [block.text for block in short if isinstance(block, Text) and "--all shows them" in block.text]
    rows = [len(next(one for one in of if isinstance(one, Grid)).rows) for of in (short, whole)]
    assert more == [f"{rows[1] - rows[0]} more: --all shows them."]


def test_equal_nodes_of_several_profiles_count_once(usual: Basis) -> None:
    made = plan(usual, Wish(ROWS), (offered("a", 2, PRICE), offered("b", 2, {**PRICE, "per_hour": 1.0})))
    nodes = {one.place.cluster for one in made.options if one.place.placement == "node"}
    assert nodes == {"b"}, "the cheaper one"


@pytest.mark.parametrize(
    ("fields", "wish", "message"),
    [
        (
            {"fractions": (1.0,)},
            {},
            "Every engine of data_parallel.gradient_boosting was measured with one size only",
        ),
        ({"outcome": lambda *_: "failed"}, {}, "No execution of data_parallel.gradient_boosting has a time"),
        (
            {},
            {"deadline": 0.1},
            "--deadline 0.1 s is shorter than what even a tiny sample takes: xgboost is the fast",
        ),
        ({}, {"budget": 5.0}, r"--budget needs a price: add \[price\] with per_hour, .* to the profile c2"),
    ],
)
def test_a_wish_that_records_cannot_answer_is_one_sentence(
    store: Store, fields: dict[str, Any], wish: dict[str, Any], message: str
) -> None:
    found = measured(store, **fields)
    with pytest.raises(ConfigError, match=message):
        plan(found, Wish(ROWS, **wish))


def test_prices_in_two_currencies_have_no_common_budget(usual: Basis) -> None:
    offers = (offered("a", 2, PRICE), offered("b", 2, {**PRICE, "currency": "USD"}))
    with pytest.raises(ConfigError, match="prices in EUR, USD, so costs cannot be compared"):
        plan(usual, Wish(ROWS, budget=1.0), offers)


def test_a_deadline_that_a_run_has_met_is_not_refused(store: Store) -> None:
    """XGBoost has no model, because it was measured with one size. MLlib needs two seconds at least."""
    measured(store, engines=("mllib",))
    Measured(engines=("xgboost",), fractions=(1 / 64,)).into(store, "d", 2)
    found = basis(store, "gradient_boosting")
    assert plan(found, Wish(ROWS, deadline=1.0)).chosen is None
    with pytest.raises(ConfigError, match="shorter than what even a tiny sample takes"):
        plan(found, Wish(ROWS, deadline=0.1))


def test_two_profiles_with_one_name_are_refused(usual: Basis) -> None:
    with pytest.raises(ConfigError, match="two profiles with the name a: rename one of the files"):
        plan(usual, Wish(ROWS), (offered("a", 2), offered("a", 1)))


def test_a_place_without_price_is_never_cheaper_than_one_with_a_price(store: Store) -> None:
    """At 3,600 an hour, a second costs 1, so costs and seconds are of one size."""
    dear = offered("dear", 2, {**PRICE, "per_hour": 36_000.0})
    made = planned(store, Wish(ROWS, max_loss=0.05), (dear, offered("free", 2)), engines=("mllib",))
    met = [one for one in made.options if one.verdict.startswith("meets")]
    assert {one.place.cluster for one in met} == {"dear", "free"}
    assert [one.cost is None for one in met] == sorted(one.cost is None for one in met)
    titles = [block.title for block in report(made) if isinstance(block, Grid)]
    assert titles[0] == "Options that meet the wish, the cheapest first, those without a price last"


def test_a_profile_without_price_is_refused_beside_one_that_has_one(usual: Basis) -> None:
    made = plan(usual, Wish(ROWS, budget=1.0), (offered("a", 2, PRICE), offered("b", 2)))
    unpriced = [one for one in made.options if one.place.cluster == "b" and one.time.seconds is not None]
    assert unpriced
    assert all("cost not known: its profile has no [price]" in one.reasons for one in unpriced)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": 0}, "--rows 0 is impossible: plan for 1 or more"),
        ({"rows": 1, "columns": 0}, "--columns 0 is impossible"),
        ({"rows": 1, "budget": -1.0}, "--budget -1 is impossible: give a number above 0"),
        ({"rows": 1, "max_loss": -0.1}, "--max-loss -0.1 is impossible: give 0 or more"),
    ],
)
def test_an_impossible_wish_is_one_sentence(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Wish(**fields)


def test_no_records_of_a_workload_names_those_that_exist(store: Store) -> None:
    Measured(rounds=1).into(store)
    with pytest.raises(ConfigError, match=r"has no records of pca: it has data_parallel.gradient_boosting\. Measure"):
        basis(store, "pca")


def test_records_of_another_data_set_are_named(store: Store) -> None:
    Measured(rounds=1, dataset="old").into(store, "old", day=1)
    Measured(rounds=1).into(store, "new", day=2)
    found = basis(store, "gradient_boosting")
    assert found.dataset == "flights"
    assert found.notes == ("Records of other data sets are not used: old. Choose one with --data.",)
    assert basis(store, "gradient_boosting", lambda content: content["name"] == "old").dataset == "old"
    with pytest.raises(
        ConfigError, match=r"no records of gradient_boosting on this data set.*records of flights, old"
    ):
        basis(store, "gradient_boosting", lambda _: False)


@pytest.mark.parametrize(
    ("seconds", "interval", "text"),
    [
        (0.416, Interval(0.3, 0.512), "0.42 s (0.3–0.51)"),
        (41.2, Interval(33.0, 52.0), "41 s (33–52)"),
        (754.0, Interval(600.0, 1250.0), "13 min (10–21)"),
        (9000.0, None, "2.5 h"),
    ],
)
def test_durations_have_one_unit(seconds: float, interval: Interval | None, text: str) -> None:
    assert spans(seconds, interval) == text


def test_records_without_a_described_cluster_need_an_offer(usual: Basis) -> None:
    undescribed = replace(usual, offers=())
    with pytest.raises(ConfigError, match="do not describe their cluster: name the profiles with --cluster"):
        plan(undescribed, Wish(ROWS))
    assert plan(undescribed, Wish(ROWS), (offered("a", 2),)).chosen is not None


def test_a_place_without_any_measured_engine_is_one_sentence(store: Store) -> None:
    """Only Spark was measured on a GPU, and the offered cluster has none."""
    found = measured(store, engines=("mllib",), noise=None)
    on_gpu = replace(found, jobs=tuple(Job(j.engine, "spark", "gpu", j.kind, j.configurations) for j in found.jobs))
    with pytest.raises(ConfigError, match=r"No engine of data_parallel\.gradient_boosting that was measured can run"):
        plan(on_gpu, Wish(ROWS))


def test_without_any_time_nothing_is_called_the_nearest(store: Store) -> None:
    made = planned(store, Wish(ROWS), (offered("cloud", 2, kind="external"),), engines=("mllib",), noise=None)
    assert words(made) == (
        "Nothing can be planned: no offered option has a known time. mllib on 1 executor of 1 core, cluster cloud: "
        "measured on clusters of kind standalone, and cloud is external."
    )


def test_the_best_engine_with_all_rows_gives_nothing_up(usual: Basis) -> None:
    assert ", nothing given up, " in words(plan(usual, Wish(ROWS, max_loss=0.0)))
