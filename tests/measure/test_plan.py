"""Filters, and which executions a plan holds in which order."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from cluster import profile
from cluster.budget import Budget, budget
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.seeds import Seeds
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import count_executions, planned_cases, within_budgets
from sparkscale.measure.plan.filter import select_cases
from sparkscale.measure.plan.rounds import Execution, planned_executions, worker_queues
from workloads.io.filesystem import files_below

QUICK = planned_cases(suite.load("quick"))


@pytest.mark.parametrize(
    ("expression", "engines", "fractions"),
    [
        ("engine=xgboost*,fraction=1/4", {"xgboost", "xgboost-spark"}, {0.25}),
        ("workload=logistic_regression,placement=spark", {"mllib", "sklearn-driver"}, {1 / 64, 1 / 16, 0.25, 1}),
        ("workload=data_parallel.logistic_regression,engine=sklearn,fraction=1,fraction=1/4", {"sklearn"}, {0.25, 1}),
        (
            "set=aligned",
            {"sklearn", "xgboost", "xgboost-spark", "mllib", "sklearn-driver"},
            {1 / 64, 1 / 16, 0.25, 1},
        ),
    ],
)
def test_a_filter_selects(expression: str, engines: set[str], fractions: set[float]) -> None:
    chosen = select_cases(QUICK, expression)
    assert {case.engine.name for case in chosen} == engines
    assert {case.fraction for case in chosen} == fractions


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("motor=xgboost", r"Unknown filter key 'motor': choose from workload, engine"),
        ("engine=xgbost", r"engine=xgbost matches nothing: this suite has mllib, sklearn, sklearn-driver, xgboost"),
        ("fraction=1/3", r"fraction=1/3 matches nothing: this suite has 1, 1/16, 1/4, 1/64"),
        ("engine", r"'engine' is not KEY=VALUE"),
        ("engine=", r"'engine=' is not KEY=VALUE"),
        ("", r"'' is not KEY=VALUE"),
        ("workload=logistic_regression,engine=xgboost", r"matches none of the suite's \d+ cases"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        select_cases(QUICK, expression)


@pytest.fixture
def executions(data: PreparedDataset) -> list[Execution]:
    return planned_executions(QUICK, {"flights": data}, budget(profile.load("local")), Seeds(), rounds=3)


def test_every_case_is_executed_once_in_each_of_its_rounds(executions: list[Execution]) -> None:
    assert len({execution.key for execution in executions}) == len(executions)
    aligned = [e for e in executions if e.case.parameter_set == "aligned" and not e.isolated]
    assert len(aligned) == 7 * 4 * 3
    assert len([e for e in executions if e.isolated]) == 4


def test_isolated_executions_begin_workers_that_others_share(data: PreparedDataset) -> None:
    """Counted together, two of Spark's fell into one round, and a further JVM was started for the second. Here four
    share three rounds, so one is alone.
    """
    shared = [case for case in QUICK if not case.isolate]
    alone = [replace(case, isolate=True, rounds=1) for case in shared if case.fraction == 1]
    found = planned_executions([*shared, *alone], {"flights": data}, budget(profile.load("local")), Seeds(), rounds=3)
    isolated = [e for e in found if e.isolated]
    assert len(isolated) == 7
    for placement in ("node", "spark"):
        assert {e.round for e in isolated if e.case.placement == placement} == {1, 2, 3}
    assert sum(len(group) == 1 for group in worker_queues(found, seed=0)) == 1


def test_each_round_draws_seeds_of_its_own_the_same_for_all_engines(executions: list[Execution]) -> None:
    """Rounds repeated one sample and one model seed, so a verdict hung on one draw."""
    for execution in executions:
        assert execution.case.seeds == (execution.round, execution.round)
        assert {case.seeds for case in execution.warmups} <= {execution.case.seeds}
    assert len({e.case.experiment for e in executions if not e.isolated}) < len({e.case.id for e in executions})


def test_seeds_can_be_said_and_fixed(data: PreparedDataset) -> None:
    granted = budget(profile.load("local"))
    said, fixed = (
        {e.round: e.case.seeds for e in planned_executions(QUICK[:1], {"flights": data}, granted, seeds, rounds=3)}
        for seeds in (Seeds(sample=10, model=7), Seeds(sample=10, model=7, fixed=True))
    )
    assert said == {1: (11, 8), 2: (12, 9), 3: (13, 10)}
    assert fixed == dict.fromkeys((1, 2, 3), (10, 7))


@pytest.mark.parametrize("name", ["inference", "tuning"])
def test_what_is_judged_by_one_draw_keeps_it(data: PreparedDataset, name: str) -> None:
    planned = [case for case in planned_cases(suite.load(name), rounds=3) if case.dataset == "flights"][:4]
    found = planned_executions(planned, {"flights": data}, budget(profile.load("local")), Seeds(sample=5), rounds=3)
    assert {e.case.sample_seed for e in found} == {5}


def test_rows_and_arguments_are_those_of_the_fraction(executions: list[Execution], data: PreparedDataset) -> None:
    for execution in executions:
        case = execution.case
        assert case.rows == data.rows(case.fraction, case.sample_seed)
        if case.engine == "mllib" and "regParam" in case.arguments and case.parameter_set == "aligned":
            assert case.arguments["regParam"] == pytest.approx(1 / case.rows)


def test_a_worker_never_mixes_node_and_spark_and_nothing_runs_before_an_isolated_case(
    executions: list[Execution],
) -> None:
    found = list(worker_queues(executions, seed=0))
    assert sorted(e.key for group in found for e in group) == sorted(e.key for e in executions)
    for group in found:
        assert len({(e.case.placement, e.case.device) for e in group}) == 1
        sessions = [e.session for e in group if not e.isolated]
        assert sum(before != after for before, after in pairwise(sessions)) == len(set(sessions)) - 1
        assert not any(e.isolated for e in group[1:])
        assert len({e.round for e in group}) == 1


def test_sessions_of_one_jvm_take_turns_in_being_the_first(data: PreparedDataset) -> None:
    """The second finds a JVM that is warmer: with one order drawn for each round, one session may always be it."""
    planned = planned_cases(suite.load("quick"), rounds=4)
    executions = planned_executions(planned, {"flights": data}, budget(profile.load("local")), Seeds(), rounds=4)
    spark = [group for group in worker_queues(executions, seed=0) if group[-1].case.placement == "spark"]
    first = [next(e for e in group if not e.isolated).session for group in sorted(spark, key=lambda g: g[0].round)]
    assert len(spark) == 4
    assert first[0] != first[1]
    assert first == [*first[:2], *first[:2]]


def test_a_round_that_is_planned_alone_has_the_same_order(executions: list[Execution]) -> None:
    def order(planned: list[Execution]) -> list[str]:
        return [e.case.id for group in worker_queues(planned, 0) for e in group if e.round == 2]

    assert order(executions) == order([execution for execution in executions if execution.round == 2])


def test_rounds_have_different_orders_and_a_seed_fixes_them(executions: list[Execution]) -> None:
    def orders(seed: int) -> list[list[str]]:
        shared = (group for group in worker_queues(executions, seed) if len(group) > 1)
        return [[e.case.id for e in group if not e.isolated] for group in shared]

    assert orders(0) == orders(0)
    assert orders(0) != orders(1)
    spark = [order for order in orders(0) if len(order) >= 16]
    assert len({tuple(order) for order in spark}) == len(spark)


def test_a_warm_up_is_the_same_small_sample_whatever_was_selected(
    executions: list[Execution], data: PreparedDataset
) -> None:
    """With a filter on fraction=1 it was the whole case."""
    everything = select_cases(QUICK, "fraction=1")
    alone = planned_executions(everything, {"flights": data}, budget(profile.load("local")), Seeds(), rounds=3)
    warmups = {execution.key: execution.warmups for execution in executions}
    assert alone
    for execution in alone:
        assert execution.warmups == warmups[execution.key]
        assert [case.fraction for case in execution.warmups] == [2.0**-j for j in range(6, -1, -1)]
        assert execution.warmups[-1] == execution.case
        assert execution.warmups[0].rows == data.rows(1 / 64, execution.case.sample_seed)
    logistic = [e for e in alone if "regParam" in e.case.arguments and e.case.parameter_set == "aligned"]
    assert logistic
    for execution in logistic:
        for case in execution.warmups:
            assert case.arguments["regParam"] == pytest.approx(1 / case.rows)


def test_a_warm_up_of_groups_is_a_sample_of_groups_whatever_was_selected(data: PreparedDataset) -> None:
    planned = select_cases(planned_cases(suite.load("per-group")), "dataset=flights,fraction=1")
    found = planned_executions(planned, {"flights": data}, budget(profile.load("local")), Seeds(), rounds=1)
    supported = [execution for execution in found if execution.unsupported is None]
    assert supported
    assert {execution.warmups[0].fraction for execution in supported} == {1 / 64}


def test_a_sample_that_no_engine_can_train_on_is_no_warm_up(data: PreparedDataset) -> None:
    """The smallest has 20 rows, of which none is trained on."""
    few = data.model_copy(update={"slice_rows": (20,) * 64, "merged": {}})
    found = planned_executions(QUICK, {"flights": few}, budget(profile.load("local")), Seeds(), rounds=1)
    for execution in found:
        if execution.case.fraction == 1 / 64:
            assert execution.unsupported == "the sample has 20 rows, too few to train on: measure a larger fraction"
        else:
            assert execution.warmups[0].fraction == 1 / 32


def test_cases_share_a_warm_up_where_only_their_samples_differ(executions: list[Execution]) -> None:
    keys = {(e.round, e.case.workload, e.case.engine, e.case.parameter_set, e.warmup_key) for e in executions}
    assert len(keys) == len({key[:4] for key in keys}) == len({key[4] for key in keys})
    assert len(keys) < len({execution.case.id for execution in executions})


@pytest.mark.parametrize(
    ("merged", "cores", "slices"),
    [(False, 1, 1), (False, 2, 2), (False, 5, 8), (False, 100, 64), (True, 1, 1), (True, 2, 2), (True, 5, 16)],
)
def test_a_warm_up_of_inference_has_a_file_for_each_slot(
    data: PreparedDataset, merged: bool, cores: int, slices: int
) -> None:
    assert data.merged
    data = data if merged else data.model_copy(update={"merged": {}})
    planned = select_cases(planned_cases(suite.load("inference")), "workload=inference.boosting")
    granted = budget(profile.load("local")).model_copy(update={"cores": cores})
    for execution in planned_executions(planned, {"flights": data}, granted, Seeds(), rounds=1):
        (warmup,) = execution.warmups  # each further one would need reference predictions of its own
        assert warmup.fraction == slices / 64
        assert warmup.rows == data.rows(slices / 64, execution.case.sample_seed)
        paths = data.train_paths(warmup.fraction, execution.case.sample_seed)
        assert min(cores, 64) <= sum(len(files_below(path, ".parquet")) for path in paths)


@pytest.mark.parametrize(
    ("cluster", "threads"), [("local", {"core": 1, "executor": 2}), ("standalone-2x1", {"core": 1, "executor": 1})]
)
def test_a_task_has_the_cores_that_its_engine_asks_for(
    data: PreparedDataset, tmp_path: Path, cluster: str, threads: dict[str, int]
) -> None:
    """A worker of xgboost.spark for each core, or for each executor: other sessions, and warm-ups of their own."""
    path = tmp_path / "workers.toml"
    path.write_text(
        'rounds = 1\n[[measure]]\nworkload = "data_parallel.gradient_boosting"\n'
        'engines = ["xgboost-spark", "mllib"]\n'
        'fractions = ["1/4", "1"]\nsweep = { spark_workers = ["core", "executor"] }\n'
    )
    where = profile.load(cluster)
    granted = budget(profile.load("local")).model_copy(update={"cores": 2})
    planned = planned_cases(suite.load(str(path)), clusters=(cluster,))
    assert {case.cluster for case in planned} == {where}
    found = planned_executions(planned, {"flights": data}, granted, Seeds(), rounds=1)
    for execution in found:
        wanted = threads[execution.case.params["spark_workers"]] if execution.case.engine == "xgboost-spark" else 1
        assert (execution.case.threads, execution.session.threads) == (wanted, wanted)
        assert {case.threads for case in execution.warmups} <= {execution.case.threads}
    assert len(list(worker_queues(found, seed=0))) == (1 if where.kind == "local" else len(set(threads.values())))


ONE_AND_ALL = """
rounds = 1
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost"]
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost"]
threads = 1
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["mllib"]
"""


def node_of(cpus: tuple[int, ...]) -> Budget:
    """The budget of `local` on a host with these CPUs."""
    granted = budget(profile.load("local"))
    return granted.model_copy(update={"node": granted.node.model_copy(update={"cpus": cpus})})


def test_a_case_of_one_thread_is_a_case_of_its_own_and_has_its_own_worker(
    data: PreparedDataset, tmp_path: Path
) -> None:
    path = tmp_path / "threads.toml"
    path.write_text(ONE_AND_ALL)
    granted = node_of((3, 4, 5))
    planned = within_budgets(planned_cases(suite.load(str(path))), {profile.load("local"): granted})
    assert [case.threads for case in planned] == [None, 1, None]
    found = planned_executions(planned, {"flights": data}, granted, Seeds(), rounds=1)
    assert [execution.case.threads for execution in found] == [3, 1, 1]
    assert len({execution.case.id for execution in found}) == len({execution.worker for execution in found}) == 3
    for execution in found:
        assert {case.threads for case in execution.warmups} == {execution.case.threads}
    assert all(len(queue) == 1 for queue in worker_queues(found, seed=0))


def test_on_one_core_a_limit_of_one_thread_plans_nothing_more(data: PreparedDataset, tmp_path: Path) -> None:
    path = tmp_path / "threads.toml"
    path.write_text(ONE_AND_ALL)
    planned = within_budgets(planned_cases(suite.load(str(path))), {profile.load("local"): node_of((3,))})
    assert [case.threads for case in planned] == [None, None, None]
    found = planned_executions(planned, {"flights": data}, node_of((3,)), Seeds(), rounds=1)
    assert count_executions(planned) == len(found) == 2


def test_more_threads_than_the_node_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "threads.toml"
    path.write_text(ONE_AND_ALL.replace("threads = 1", "threads = 5"))
    with pytest.raises(
        ConfigError,
        match=r"gives data_parallel\.gradient_boosting xgboost 5 threads, but cluster 'local' grants 3 cores to an ",
    ):
        within_budgets(planned_cases(suite.load(str(path))), {profile.load("local"): node_of((3, 4, 5))})
