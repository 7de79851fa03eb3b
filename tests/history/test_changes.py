"""`sparkscale history`: which commits changed a metric, and what the report says about it."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparkscale.analysis.blocks import Answer, Block, Grid, Text, Warning
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import CodeState, RunRecord
from sparkscale.contract.seeds import Seeds
from sparkscale.history.changes import Request, changes, positions
from sparkscale.store.store import Store
from tests.builders import NOW, Writer, case, invocation

Call = Callable[..., "subprocess.CompletedProcess[str]"]

COMMITS = 12
OLD = {"python": "3.11.7", "packages": {"altair": "6.2.0", "xgboost": "3.1.1"}, "java_release": None}
NEW = {"python": "3.11.8", "packages": {"altair": "6.2.0", "xgboost": "3.2.0"}, "java_release": None}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with COMMITS commits that are measured, and one commit before each that is not."""
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    for number in range(2 * COMMITS):
        who = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
        git(folder, *who, "commit", "--quiet", "--allow-empty", "--message", f"number {number}")
    return folder


@pytest.fixture(scope="module")
def commits(root: Path) -> list[str]:
    """The commits that are measured, the oldest first."""
    return git(root, "rev-list", "--reverse", "HEAD").split()[1::2]


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout


@dataclass
class Story:
    """A store in which commits are measured one after the other, each by a run of its own.

    `noise` is the standard deviation of the logarithm of a time, between the rounds and between the commits.
    """

    store: Store
    noise: float = 0.02
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    count: int = 0

    def measured(
        self,
        commit: str,
        seconds: float = 1.0,
        engine: str = "xgboost",
        fraction: float = 1.0,
        rounds: int = 3,
        outcome: Any = "ok",
        peak: int | None = None,
        software: dict[str, Any] | None = None,
        change: Callable[[RunRecord], dict[str, Any]] = lambda _: {},
        **run: Any,
    ) -> None:
        """Adds a run of one case. `change` returns what else is different in its records, `run` in the run."""
        self.count += 1
        name, day = f"run-{self.count}", timedelta(days=self.count)
        self.store.begin(invocation(name).model_copy(update={"started_at": NOW + day, "command": "bench", **run}))
        identity = self.store.describe("software", OLD if software is None else software)

        def update(record: RunRecord) -> dict[str, Any]:
            shared = {"id": f"{name}-{record.id}", "started_at": NOW + day, "software": identity}
            return {**shared, "code": CodeState(commit=commit, dirty=False), **change(record)}

        write = Writer(self.store, name, update)
        night = self.generator.normal(0, self.noise)
        for number in range(1, rounds + 1):
            value = seconds * float(np.exp(night + self.generator.normal(0, self.noise)))
            measured = case(engine, fraction, seed=number)
            write(measured, number, value if outcome == "ok" else None, outcome)
        write(case(engine, fraction, seed=9), 1, seconds, temperature="warmup")
        if peak:
            write(case(engine, fraction, seed=1), 1, seconds, isolated=True, temperature="cold", peak=peak)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def story(store: Store) -> Story:
    return Story(store)


def report(store: Store, root: Path, metric: str = "time_to_model", **request: Any) -> list[Block]:
    return changes(store, Request(metric, **request), root)


def answer(found: list[Block]) -> str:
    (only,) = (one.text for one in found if isinstance(one, Answer))
    return only


def grids(found: list[Block]) -> list[Grid]:
    return [one for one in found if isinstance(one, Grid)]


def texts(found: list[Block]) -> str:
    return "\n".join(one.text for one in found if isinstance(one, Text | Warning))


WORK = "data_parallel.gradient_boosting on flights, local, cpu"


def test_a_change_has_its_values_its_commits_and_its_releases(story: Story, root: Path, commits: list[str]) -> None:
    for number, commit in enumerate(commits):
        is_after = number >= 7
        story.measured(commit, 1.2 if is_after else 1.0, software=NEW if is_after else OLD)
        story.measured(commit, 3.0, engine="sklearn")
    found = report(story.store, root)
    first, last = commits[7][:7], commits[6][:7]
    table, releases = grids(found)
    assert table.title == WORK
    ((name, before, after, ratio, verdict, between, unmeasured, sizes),) = table.rows
    assert (name, verdict, between, unmeasured, sizes) == ("xgboost 1", "worse", f"{last}..{first}", 1, "7 + 5")
    assert (before.median, after.median) == (pytest.approx(1.0, abs=0.03), pytest.approx(1.2, abs=0.03))  # type: ignore[union-attr]
    assert ratio == after.median / before.median  # type: ignore[union-attr]
    assert releases.rows == (
        (f"{last}..{first}", WORK, "xgboost 1", "Python 3.11.7 → 3.11.8, xgboost 3.1.1 → 3.2.0"),
    )
    assert answer(found) == (
        f"time_to_model changed in 1 of 2 series of 12 commits. Worse: {WORK}: xgboost 1, {ratio:.2f} × since "
        f"{first}."
    )
    assert "Records that do not count: 24 warm-ups." in texts(found)


def test_a_faster_engine_is_better_and_a_higher_rate_too(story: Story, root: Path, commits: list[str]) -> None:
    for number, commit in enumerate(commits):
        story.measured(commit, 1.0 if number >= 5 else 1.5)
    for metric in ("time_to_model", "rows_per_second"):
        found = report(story.store, root, metric)
        assert [row[4] for row in grids(found)[0].rows] == ["better"]
        assert "Better: " in answer(found)
        assert "No package release changed between these commits." in texts(found)


def test_without_a_change_it_says_so(story: Story, root: Path, commits: list[str]) -> None:
    for commit in commits:
        story.measured(commit)
    found = report(story.store, root)
    assert answer(found) == "No change of time_to_model in 1 series of 12 commits."
    assert grids(found) == []


def test_commits_are_in_the_order_of_git_not_of_measurement(story: Story, root: Path, commits: list[str]) -> None:
    """The newest commits are measured first, as when older ones are measured later."""
    for number, commit in reversed(list(enumerate(commits))):
        story.measured(commit, 2.0 if number >= 4 else 1.0)
    ((row,),) = (grid.rows for grid in grids(report(story.store, root)))
    assert row[4:6] == ("worse", f"{commits[3][:7]}..{commits[4][:7]}")


def test_without_git_the_order_is_that_of_measurement(story: Story, tmp_path: Path) -> None:
    for number in range(8):
        story.measured(f"{number}" * 40, 2.0 if number >= 4 else 1.0)
    found = report(story.store, tmp_path / "nowhere")
    (row,) = grids(found)[0].rows
    assert row[4:7] == ("worse", "3333333..4444444", None)
    assert "The 8 commits are not in the history of this checkout's HEAD" in texts(found)


def test_a_commit_of_another_branch_is_placed_by_its_time(story: Story, root: Path, commits: list[str]) -> None:
    for number, commit in enumerate(commits):
        if number == 6:
            story.measured("f" * 40, 2.0)
        story.measured(commit, 2.0 if number >= 6 else 1.0)
    found = report(story.store, root)
    (row,) = grids(found)[0].rows
    assert row[5:7] == (f"{commits[5][:7]}..fffffff", None)
    assert "1 of 13 commits is not in the history of this checkout's HEAD" in texts(found)


def test_hosts_versions_data_and_seeds_are_series_of_their_own(story: Story, root: Path, commits: list[str]) -> None:
    """Mixed, they would look like a change: the second half of the commits is measured with other conditions."""
    other_host = story.store.describe("host", {"cpu": "B", "usable_cores": 4, "memory_bytes": 2**33, "os": "Linux"})

    def changed_case(**fields: Any) -> Callable[[RunRecord], dict[str, Any]]:
        return lambda record: {"case": record.case.model_copy(update=fields)}

    other: list[dict[str, Any]] = [
        {"change": lambda _: {"host": other_host}},
        {"change": changed_case(version=2)},
        {"change": changed_case(dataset_id="e")},
        {"change": changed_case(threads=1)},
        {"cold_cache": True},
        {"seeds": Seeds(sample=5, model=5, fixed=True)},
    ]
    for conditions in other:
        for commit in commits[6:]:
            story.measured(commit, 9.0, **conditions)
    for commit in commits[:6]:
        story.measured(commit, 1.0)
    found = report(story.store, root)
    assert answer(found) == "No change of time_to_model in 7 series of 6 commits."
    assert "Each host has series of its own." in texts(found)


def test_series_that_look_alike_are_named_by_what_differs(story: Story, root: Path, commits: list[str]) -> None:
    def of_version_2(record: RunRecord) -> dict[str, Any]:
        params = {"set": "aligned", "arguments": {}, "trees": 10}
        return {"case": record.case.model_copy(update={"version": 2, "params": params})}

    for number, commit in enumerate(commits):
        story.measured(commit, 2.0 if number >= 6 else 1.0)
        story.measured(commit, 5.0, change=of_version_2)
    table = grids(report(story.store, root))[0]
    assert [column.heading for column in table.columns][:2] == ["series", "which"]
    assert [row[:2] for row in table.rows] == [("xgboost 1", "version 1")]


def test_what_does_not_count_is_counted(story: Story, root: Path, commits: list[str]) -> None:
    for commit in commits:
        story.measured(commit)
    story.measured(commits[0], 9.0, change=lambda _: {"code": CodeState(commit=commits[0], dirty=True)})
    story.measured(commits[0], 9.0, change=lambda _: {"code": CodeState(commit=None, dirty=None)})
    story.measured(commits[0], 9.0, command="heap")
    story.measured(commits[0], 9.0, environment=("xgboost==3.1.1",))
    story.measured(commits[0], 9.0, outcome="timeout")
    story.measured(
        commits[0],
        9.0,
        command="import",
        change=lambda record: {"case": record.case.model_copy(update={"cluster_kind": "published"})},
    )
    found = report(story.store, root)
    assert answer(found) == "No change of time_to_model in 1 series of 12 commits."
    (line,) = (one.text for one in found if isinstance(one, Text) and one.text.startswith("Records that do not"))
    assert line == (
        "Records that do not count: 16 warm-ups, 3 with uncommitted changes, 3 without a commit, "
        "4 from searches for a heap, 3 with other releases than the installed ones (--with), 4 published by others, "
        "3 without a result (timeout)."
    )


def test_an_execution_that_was_repeated_counts_once(story: Story, root: Path, commits: list[str]) -> None:
    story.measured(commits[0])
    first = story.store.records()[0]
    story.store.add(first.model_copy(update={"id": "again", "seconds": {"load": 5.0, "fit": 5.0}}), {})
    assert "1 repeated later in the same run" in texts(report(story.store, root))


def test_memory_is_that_of_isolated_executions(story: Story, root: Path, commits: list[str]) -> None:
    for number, commit in enumerate(commits):
        story.measured(commit, peak=2**28 if number < 8 else 2**29)
    (row,) = grids(report(story.store, root, "peak_memory"))[0].rows
    assert (row[3], row[4]) == (2.0, "worse")


def test_releases_of_one_commit_are_not_mixed(story: Story, root: Path, commits: list[str]) -> None:
    for commit in commits[:3]:
        story.measured(commit, 1.0)
    story.measured(commits[3], 1.0)
    for _ in range(2):
        story.measured(commits[3], 2.0, software=NEW)
    for commit in commits[4:7]:
        story.measured(commit, 2.0, software=NEW)
    blocks = report(story.store, root)
    table, releases = grids(blocks)
    same = commits[3][:7]
    assert table.rows[0][5:8] == (f"{same} (other releases)", 0, "4 + 4")
    assert "xgboost 3.1.1 → 3.2.0" in str(releases.rows[0][3])
    assert answer(blocks).endswith(f" × within commit {same}, with other releases.")
    assert "1 series of 7 commits" in answer(blocks)
    assert "(other releases): the change lies within this commit." in texts(blocks)


def test_a_commit_with_several_sets_of_releases_counts_once(story: Story, root: Path, commits: list[str]) -> None:
    """Six points, but only three commits: between their two sets of releases lies no change of the code."""
    story.noise = 0.001
    for commit in commits[:3]:
        story.measured(commit, 1.0)
        story.measured(commit, 2.0, software=NEW)
    blocks = report(story.store, root)
    assert answer(blocks) == (
        "No change of time_to_model can be seen yet: it needs 6 commits, and none of 1 series has as many."
    )
    assert f"it has fewer than 6 commits: {WORK}: xgboost 1 (3)." in texts(blocks)


@pytest.mark.parametrize("commits_after", [2, 3])
def test_each_side_of_a_change_has_enough_commits(
    story: Story, root: Path, commits: list[str], commits_after: int
) -> None:
    """There are three points or more after the change in both cases."""
    story.noise = 0.001
    for commit in commits[:6]:
        story.measured(commit, 1.0)
    story.measured(commits[6], 2.0)
    for commit in commits[6 : 6 + commits_after]:
        story.measured(commit, 2.0, software=NEW)
    blocks = report(story.store, root)
    if commits_after == 2:
        assert answer(blocks) == "No change of time_to_model in 1 series of 8 commits."
    else:
        (row,) = grids(blocks)[0].rows
        assert row[5:8] == (f"{commits[5][:7]}..{commits[6][:7]}", 1, "6 + 3")


def test_releases_name_the_workload_of_each_series(story: Story, root: Path, commits: list[str]) -> None:
    """Two data sets, and two versions of a workload, change at one commit."""

    def changed_case(**fields: Any) -> Callable[[RunRecord], dict[str, Any]]:
        return lambda record: {"case": record.case.model_copy(update=fields)}

    for number, commit in enumerate(commits):
        seconds, software = (2.0, NEW) if number >= 6 else (1.0, OLD)
        for fields in ({}, {"dataset": "digits"}, {"version": 2}):
            story.measured(commit, seconds, software=software, change=changed_case(**fields))
    releases = grids(report(story.store, root))[-1]
    assert [(row[1], row[2]) for row in releases.rows] == [
        (WORK.replace("flights", "digits"), "xgboost 1"),
        (WORK, "xgboost 1 (version 1), xgboost 1 (version 2)"),
    ]


def test_too_few_commits_are_named(story: Story, root: Path, commits: list[str]) -> None:
    for commit in commits:
        story.measured(commit)
    for commit in commits[:5]:
        story.measured(commit, engine="sklearn")
    found = report(story.store, root)
    assert f"1 series is not looked at, because it has fewer than 6 commits: {WORK}: sklearn 1 (5)." in texts(found)
    found = report(story.store, root, engines=("sklearn",))
    assert answer(found) == (
        "No change of time_to_model can be seen yet: it needs 6 commits, and none of 1 series has as many."
    )


def test_one_commit_is_one_sentence(story: Story, root: Path, commits: list[str]) -> None:
    story.measured(commits[0])
    found = report(story.store, root)
    assert answer(found) == (
        f"All values of time_to_model are of one commit, {commits[0][:7]}: a change needs 3 commits before it and 3 "
        "after it."
    )
    assert grids(found) == []
    assert answer(report(story.store, root, "peak_memory")) == "No record that counts has a value of peak_memory."


def test_a_step_that_asv_sees_but_the_test_does_not_is_named(story: Story, root: Path, commits: list[str]) -> None:
    story.noise = 0.001
    for number, commit in enumerate(commits):
        story.measured(commit, 2.0 if number >= COMMITS - 2 else 1.0)
    found = report(story.store, root)
    assert answer(found) == "No change of time_to_model in 1 series of 12 commits."
    (line,) = (one.text for one in found if isinstance(one, Text) and "asv's own detection" in one.text)
    assert line.startswith("In 1 series asv's own detection sees a step that is not certain. It may be noise, or")
    assert line.endswith(f": {WORK}: xgboost 1.")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"metric": "time_to_modle"}, "have no metric 'time_to_modle'. Similar: time_to_model"),
        ({"metric": "zzz"}, "have no metric 'zzz'. `sparkscale list metrics` lists all."),
        ({"engines": ("mllib",)}, "--engine mllib selects no record: there are sklearn, xgboost."),
        ({"workloads": ("inference",)}, "--workload inference selects no record: there are data_parallel.gradient"),
        ({"clusters": ("local", "far")}, "--cluster far selects no record: there are local."),
        ({"fractions": ("1/4",)}, "--fraction 1/4 selects no record: there are 1."),
        ({"fractions": ("1/3",)}, "--fraction: 1/3 is no power of two"),
    ],
)
def test_a_wrong_request_is_one_sentence(
    story: Story, root: Path, commits: list[str], request_: dict[str, Any], message: str
) -> None:
    story.measured(commits[0])
    story.measured(commits[0], engine="sklearn")
    with pytest.raises(ConfigError, match=message.replace("(", r"\(").replace("`", ".")):
        report(story.store, root, **request_)


def test_a_store_without_records_is_one_sentence(store: Store, root: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no records: measure some with .sparkscale bench."):
        report(store, root, engines=("xgboost",))


def test_names_select_series(story: Story, root: Path, commits: list[str]) -> None:
    for commit in commits:
        for engine in ("xgboost", "xgboost-spark", "sklearn"):
            story.measured(commit, engine=engine, rounds=1)
        story.measured(commit, fraction=1 / 4, rounds=1)
    for request, series in (
        ({"engines": ("xgboost*",)}, 3),
        ({"engines": ("xgboost", "sklearn")}, 3),
        ({"workloads": ("gradient_boosting",)}, 4),
        ({"fractions": ("all",)}, 3),
        ({"engines": ("xgboost*",), "fractions": ("1/4",), "clusters": ("local",)}, 1),
    ):
        assert f" in {series} series of" in answer(report(story.store, root, **request))


def test_a_repository_without_commits_has_no_order(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert positions(tmp_path) == {}
    assert positions(tmp_path / "missing") == {}


def test_parents_come_before_their_children(root: Path) -> None:
    order = positions(root)
    assert list(order) == git(root, "rev-list", "--reverse", "--first-parent", "HEAD").split()
    assert list(order.values()) == list(range(2 * COMMITS))


def test_the_command_prints_the_report_in_each_format(story: Story, tmp_path: Path, sparkscale: Call) -> None:
    for number in range(12):
        story.measured(f"{number:x}" * 40, 2.0 if number >= 6 else 1.0, rounds=1)
    out = str(tmp_path / "store")
    done = sparkscale("history", "time_to_model", "--engine", "xgboost", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "time_to_model changed in 1 of 1 series of 12 commits." in done.stdout
    assert "5555555..6666666" in done.stdout
    done = sparkscale("history", "time_to_model", "--format", "json", "--out", out)
    kinds = [block["kind"] for block in json.loads(done.stdout)]
    assert kinds[:3] == ["heading", "answer", "grid"]
    done = sparkscale("history", "time_to_model", "--format", "markdown", "--out", out)
    assert "| xgboost 1 |" in done.stdout


def test_a_wrong_command_is_one_sentence(story: Story, tmp_path: Path, sparkscale: Call) -> None:
    story.measured("a" * 40)
    done = sparkscale("history", "time", "--out", str(tmp_path / "store"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: The records have no metric 'time'.")
    done = sparkscale("history", "time_to_model", "--out", str(tmp_path / "empty"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: No records in ")
