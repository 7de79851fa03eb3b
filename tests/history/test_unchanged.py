"""`sparkscale bench --if-changed`: a commit that cannot change a figure is not measured."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from asv.results import Results

from sparkscale.contract.record import CodeState
from sparkscale.history.asv_plugin import environment_name
from sparkscale.history.asv_results import file_of
from sparkscale.history.checkout import Checkout
from sparkscale.history.package_environments import Environment
from sparkscale.history.unchanged import WITHOUT_EFFECT, Unchanged, can_change_a_figure, unchanged
from tests.history.cloning import MACHINE, Clone

ROOT = Path(__file__).parents[2]
NAME = f"{MACHINE}-local"


@pytest.fixture(scope="module")
def own_clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone of this module's own, in which nothing is measured."""
    return Clone.make(tmp_path_factory.mktemp("unchanged"))


def checkout(clone: Clone, dirty: bool = False) -> Checkout:
    return Checkout(clone.root, CodeState(commit=clone.head(), dirty=dirty))


def recorded(clone: Clone, *releases: str) -> Path:
    """Makes asv write an empty file of results for the clone's commit, as `sparkscale bench` does after a run."""
    environment = environment_name(Environment(releases, Path()).requirements)
    results = Results({"machine": NAME}, {}, clone.head(), 0, "3.11", environment, {})
    results.save(str(clone.asv))
    path = file_of(clone.asv, checkout(clone), NAME, Environment(releases, Path()))
    assert path.is_file()
    return path


def changed(clone: Clone, name: str, text: str = "changed") -> str:
    """Commits a change of a file; returns the commit."""
    (clone.root / name).parent.mkdir(parents=True, exist_ok=True)
    (clone.root / name).write_text(text)
    return clone.commit(f"change {name}")


def decide(clone: Clone, *releases: str, dirty: bool = False) -> Unchanged | None:
    return unchanged(checkout(clone, dirty), clone.asv, [NAME], [releases])


@pytest.mark.parametrize(
    "name",
    [
        "docs/history.md",
        "docs/results/records/a.parquet",
        "tests/history/test_a.py",
        "README.md",
        "results/a",
        ".ci/run",
    ],
)
def test_texts_tests_and_results_cannot_change_a_figure(name: str) -> None:
    assert not can_change_a_figure(name)


@pytest.mark.parametrize(
    "name",
    [
        "sparkscale/measure/run/run.py",
        "workloads/tests.py",
        "cluster/profiles/local.toml",
        "requirements.lock",
        "pyproject.toml",
        "benchmarks/tuning.py",
        "sparkscale/docs/new.py",
        "something-new",
    ],
)
def test_code_releases_and_unknown_files_can_change_a_figure(name: str) -> None:
    assert can_change_a_figure(name)


def test_each_pattern_names_files_of_the_checkout() -> None:
    """A pattern without a file would be a mistake, but for results, which are not tracked."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    of_code = [name for name in listed if name.startswith(("sparkscale/", "workloads/", "cluster/", "benchmarks/"))]
    assert [name for name in of_code if not can_change_a_figure(name)] == []
    for pattern in WITHOUT_EFFECT:
        assert any(Path(name).match(pattern) or name.startswith(pattern.rstrip("*")) for name in listed), pattern


def test_a_commit_of_texts_is_not_measured(own_clone: Clone) -> None:
    recorded(own_clone)
    base = own_clone.head()
    assert decide(own_clone) == Unchanged(base, ())
    changed(own_clone, "docs/new.md")
    changed(own_clone, "README.md")
    found = decide(own_clone)
    assert found == Unchanged(base, ("README.md", "docs/new.md"))
    assert found.sentence == (
        f"Commit {base[:8]} is recorded already, and only 2 files that cannot change a figure changed since then "
        "(README.md, docs/new.md): nothing is measured. To measure all the same, leave out --if-changed."
    )


def test_the_command_says_so_and_measures_nothing(own_clone: Clone) -> None:
    recorded(own_clone)
    base = own_clone.head()
    changed(own_clone, "docs/another.md")
    done = own_clone.bench("--if-changed")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"Commit {base[:8]} is recorded already, and only 1 file that cannot change")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (own_clone.root / "results" / "records.sqlite").exists()


@pytest.mark.parametrize(
    "name", ["sparkscale/new.py", "requirements.lock", "workloads/data_parallel/gradient_boosting.py"]
)
def test_a_commit_of_code_is_measured(own_clone: Clone, name: str) -> None:
    recorded(own_clone)
    before = (own_clone.root / name).read_text() if (own_clone.root / name).exists() else None
    changed(own_clone, name, "# changed")
    assert decide(own_clone) is None
    changed(own_clone, "docs/after.md", name)  # a text after the code does not hide it
    assert decide(own_clone) is None
    if before is not None:
        changed(own_clone, name, before)
        found = decide(own_clone)
        assert found is not None  # what was taken back changes nothing
        assert found.files == ("docs/after.md",)


def test_the_command_goes_on_with_a_commit_of_code(own_clone: Clone) -> None:
    """It goes on until it meets a damaged file of asv, before it measures."""
    recorded(own_clone)
    changed(own_clone, "sparkscale/newer.py", "")
    benchmarks = own_clone.asv / "benchmarks.json"
    benchmarks.write_text("{")
    done = own_clone.bench("--if-changed")
    benchmarks.unlink()
    assert done.returncode == 2
    assert "benchmarks.json is damaged, and this run would be recorded there" in done.stderr


def test_a_file_that_moved_out_of_the_code_is_a_change(own_clone: Clone) -> None:
    changed(own_clone, "sparkscale/moved.py", "one\ntwo\nthree\n")
    recorded(own_clone)
    (own_clone.root / "sparkscale" / "moved.py").rename(own_clone.root / "docs" / "moved.py")
    own_clone.commit("move")
    assert decide(own_clone) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"commit_hash": "another"}'])
def test_a_file_that_is_damaged_or_of_another_commit_is_no_record(own_clone: Clone, text: str) -> None:
    changed(own_clone, "sparkscale/own.py", text)
    recorded(own_clone).write_text(text)
    assert decide(own_clone) is None


@pytest.mark.parametrize(
    "decided",
    [
        lambda clone: decide(clone, dirty=True),
        lambda clone: decide(clone, "xgboost==3.1.1"),
        lambda clone: unchanged(checkout(clone), clone.asv, [NAME, f"{MACHINE}-standalone-2x1"], [()]),
        lambda clone: unchanged(checkout(clone), clone.asv, ["other-local"], [()]),
    ],
    ids=["changes that are not committed", "other releases", "another cluster, too", "another machine"],
)
def test_a_record_under_other_conditions_does_not_count(
    own_clone: Clone, decided: Callable[[Clone], Unchanged | None]
) -> None:
    recorded(own_clone)
    assert decide(own_clone) is not None
    assert decided(own_clone) is None
