"""Suites: what they say, and what is said of a bad one."""

from pathlib import Path

import pytest

from sparkscale.contract.errors import ConfigError
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import count_executions, planned_cases
from workloads import registry
from workloads.data_parallel import gradient_boosting

BLOCK = '[[measure]]\nworkload = "data_parallel.gradient_boosting"\n'
TUNING = '[[measure]]\nworkload = "tuning.gradient_boosting"\n'


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", suite.names())
def test_every_suite_that_comes_along_is_sound(name: str) -> None:
    assert count_executions(planned_cases(suite.load(name)))


def test_quick_and_standard_are_what_they_promise() -> None:
    quick, standard = suite.load("quick"), suite.load("standard")
    assert (quick.rounds, standard.rounds) == (3, 8)

    def fractions(found: suite.Suite) -> set[float]:
        return {
            case.fraction for case in planned_cases(found) if case.parameter_set == "aligned" and not case.isolate
        }

    assert fractions(quick) == {1 / 64, 1 / 16, 1 / 4, 1}
    assert fractions(standard) == {2**-j for j in range(7)}
    engines = {(case.workload.name, case.engine.name) for case in planned_cases(quick)}
    assert len(engines) == 7


def test_tuned_is_for_workloads_that_grow(tmp_path: Path) -> None:
    found = suite.load(written(tmp_path, BLOCK + 'sets = ["tuned"]\ncapacity = [5, 40]\n'))
    (case, *_) = planned_cases(found)
    assert case.capacity is not None
    assert list(case.capacity.steps()) == [5, 10, 20, 40]
    for text, complaint in (
        ('[[measure]]\nworkload = "data_parallel.pca"\nsets = ["tuned"]\n', "no set 'tuned': choose from .*boosting"),
        (BLOCK + 'sets = ["tuned"]\ncapacity = [40, 5]\n', r"line 4: the capacity's range is not \[LEAST, MOST\]"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            suite.load(written(tmp_path, text))


def test_boosting_chooses_its_trees_on_a_users_table_only(tmp_path: Path) -> None:
    """The suite's own ten trees would be the whole answer for it."""
    quick = suite.load("quick")

    def tuned(found: suite.Suite) -> set[tuple[str, str, str]]:
        cases = [case for case in planned_cases(found) if case.parameter_set == "tuned"]
        return {(case.workload.name, case.engine.name, case.dataset) for case in cases}

    table = registry.source({"path": str(tmp_path / "clicks.parquet"), "label": "clicked"})
    name = "data_parallel.gradient_boosting"
    assert tuned(quick.on(table)) == {(name, "sklearn", table.title), (name, "xgboost", table.title)}
    assert tuned(quick) == set()
    assert tuned(quick.on(registry.source({"kind": "flights"}))) == set()
    placements = {case.engine.placement for case in planned_cases(quick.on(table)) if case.parameter_set == "tuned"}
    assert placements == {"node"}


def test_a_file_names_its_suite(tmp_path: Path) -> None:
    found = suite.load(written(tmp_path, BLOCK))
    assert found.name == "mine"
    assert {case.engine for case in planned_cases(found)} == set(gradient_boosting.WORKLOAD.engines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[measure]\n", r"mine\.toml is no valid TOML: .*line 1"),
        ("rounds = 3\n", r"'measure': Field required"),
        (f"ronds = 3\n{BLOCK}", r"line 1: 'ronds': Extra inputs"),
        (f"rounds = 0\n{BLOCK}", r"line 1: 'rounds': .*greater than or equal to 1"),
        (f'name = "other"\n{BLOCK}', r"line 1: .*remove `name`"),
        (f'clusters = ["moon"]\n{BLOCK}', r"line 1: unknown cluster 'moon': choose from connect, emulated-2x1"),
        ('[[measure]]\nworkload = "boosting"\n', r"line 2: unknown workload 'boosting': choose from data_parallel\."),
        (f'{BLOCK}engines = ["xgbost"]\n', r"line 3: unknown engine 'xgbost': choose from \*, sklearn, xgboost"),
        (f'{BLOCK}datasets = ["iris"]\n', r"line 3: unknown dataset 'iris': choose from flights"),
        (f'{BLOCK}fractions = ["1", "1/3"]\n', r"line 3: unknown fraction '1/3': choose from 1, 1/2"),
        (f'{BLOCK}sets = ["best"]\n', r"line 3: .*'aligned', 'defaults' or 'tuned'"),
        (f"{BLOCK}params = {{ tress = 5 }}\n", r"line 3: parameter 'tress' .*it has trees, depth"),
        (f'{BLOCK}params = {{ trees = "many" }}\n', r"line 3: parameter 'trees' .*valid integer"),
        (f'{BLOCK}sweep = {{ trees = [5, "many"] }}\n', r"line 3: parameter 'trees' .*valid integer"),
        (f"{BLOCK}threads = 0\n", r"line 3: 'measure.0.threads': .*greater than or equal to 1"),
        (f"{BLOCK}threads = 1.5\n", r"line 3: 'measure.0.threads': .*valid integer"),
        (
            f'{BLOCK}engines = ["xgboost", "mllib"]\nthreads = 1\n',
            r"line 4: `threads` limits engines on one node, but mllib runs on Spark: measure it in a block without",
        ),
        (f"{BLOCK}sweep = {{ trees = [] }}\n", r"line 3: 'measure.0.sweep.trees': .* at least 1 item"),
        (f"{TUNING}params = {{ trials = 0 }}\n", r"line 3: parameter 'trials' .*greater than or equal to 1"),
        (
            f"{TUNING}params.space.depth = {{ low = 3, high = 3 }}\n",
            r"line 3: parameter 'space.depth' .* is empty: `low`",
        ),
        (
            f'{TUNING}params.space.l2 = {{ low = 0, high = 1, scale = "log" }}\n',
            r"line 3: parameter 'space.l2' .*: a log scale does not reach 0: `low` must be above 0;",
        ),
        (
            f"{TUNING}params.space.colour = {{ low = 1, high = 2 }}\n",
            r"line 3: .* unknown parameter 'colour': choose",
        ),
        (
            f"{TUNING}params.space.bins = {{ choices = [32] }}\n",
            r"line 3: parameter 'space.bins.choices' .*at least 2",
        ),
    ],
)
def test_a_bad_suite_is_named_with_its_line_and_the_choices(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        suite.load(written(tmp_path, text))


def test_an_unknown_suite_names_the_choices() -> None:
    with pytest.raises(
        ConfigError,
        match=r"Unknown suite 'quik': choose from asv, capacity, ceiling, cost, crossover, data-parallel, ",
    ):
        suite.load("quik")


def test_a_sweep_makes_a_case_of_each_combination(tmp_path: Path) -> None:
    text = BLOCK + 'engines = ["xgboost"]\nparams = { bins = 32 }\nsweep = { trees = [5, 9], depth = [3, 4] }\n'
    found = planned_cases(suite.load(written(tmp_path, text)))
    params = [case.params.model_dump() for case in found]
    assert [(one["trees"], one["depth"]) for one in params] == [(5, 3), (5, 4), (9, 3), (9, 4)]
    assert {one["bins"] for one in params} == {32}


def test_with_threads_every_engine_is_every_engine_on_one_node(tmp_path: Path) -> None:
    found = planned_cases(suite.load(written(tmp_path, BLOCK + "threads = 1\n")))
    on_node = [engine for engine in gradient_boosting.WORKLOAD.engines if engine.placement == "node"]
    assert [case.engine for case in found] == on_node
    assert {case.threads for case in found} == {1}


def test_cost_compares_one_thread_with_spark() -> None:
    found = {(case.workload.name, case.engine.placement, case.threads) for case in planned_cases(suite.load("cost"))}
    workloads = ("data_parallel.gradient_boosting", "data_parallel.logistic_regression")
    assert found == {(name, *kind) for name in workloads for kind in (("node", 1), ("spark", None))}
