"""The sides of a comparison: runs, commits, revisions with releases, folders and files."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import CodeState
from sparkscale.history import sides
from sparkscale.measure.worker.descriptions import ROOT
from sparkscale.store import archive, record_file
from sparkscale.store.store import Store
from tests.builders import Writer, case, invocation

A, B, C = "abcdef1200000000", "abcdef3400000000", "0123456700000000"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two runs of commit A, of which the second repeats the same rounds, and one of B, of C, and of a release."""
    with Store.open(tmp_path / "records") as opened:
        write_run(opened, "one", A, 1)
        write_run(opened, "again", A, 2)
        write_run(opened, "two", B, 3)
        write_run(opened, "three", C, 4)
        write_run(opened, "release", C, 5, environment=("xgboost==3.1.1",))
        write_run(opened, "changed", C, 6, dirty=True)
        write_run(opened, "heap", A, 7, command="heap")
        yield opened


def write_run(
    store: Store,
    run: str,
    commit: str,
    day: int,
    *,
    environment: tuple[str, ...] = (),
    dirty: bool = False,
    command: str = "run",
    host: str | None = None,
) -> None:
    stored = invocation(run, day).model_copy(update={"environment": environment, "command": command})
    store.begin(stored)
    changed = {"code": CodeState(commit=commit, dirty=dirty), **({"host": host} if host else {})}
    write = Writer(store, run, lambda record: {"id": f"{run}-{record.id}", **changed})
    for number in (1, 2):
        write(case("xgboost", 1.0, seed=number), number, seconds=day)


@pytest.fixture
def opened(store: Store) -> Callable[[str], list[str]]:
    """Returns the name of a side, and the runs of its records."""

    def of(name: str) -> list[str]:
        with sides.opened(name, store.path.parent) as side:
            return [side.name, *sorted({record.invocation for record in side.records}), *side.left_out]

    return of


def test_a_side_is_a_run_or_a_commit(opened: Callable[[str], list[str]]) -> None:
    assert opened("two") == ["run two", "two"]
    assert opened("abcdef34") == ["commit abcdef34", "two"]
    assert opened("0123") == ["commit 01234567", "three"]


def test_a_commit_has_the_rounds_of_all_its_runs_without_heap_searches(store: Store) -> None:
    with sides.opened("abcdef12", store.path.parent) as side:
        (records,) = side.by_subject.values()
    assert [record.round for record in records] == [1, 2, 3, 4]
    assert {record.invocation for record in records} == {"one", "again"}


def test_a_revision_names_releases_and_changes(opened: Callable[[str], list[str]]) -> None:
    assert opened("0123@xgboost==3.1.1") == ["commit 01234567@xgboost==3.1.1", "release"]
    assert opened("0123@dirty") == ["commit 01234567@dirty", "changed"]
    assert opened("0123@locked") == ["commit 01234567", "three"]
    with pytest.raises(
        ConfigError, match=r"no records of commit 01234567@xgboost==9.9.*with @dirty; @locked; @xgboost"
    ):
        opened("0123@xgboost==9.9")
    with pytest.raises(ConfigError, match="several releases of one package"):
        opened("0123@xgboost==3.1.1,xgboost==3.2.0")
    with pytest.raises(ConfigError, match="--with xgboost names no release"):
        opened("0123@xgboost")


def test_the_beginning_of_several_commits_is_refused(opened: Callable[[str], list[str]]) -> None:
    with pytest.raises(ConfigError, match=f"'abcdef' begins several commits: {A}, {B}. Give more of it."):
        opened("abcdef")


def test_records_under_other_conditions_are_counted(store: Store, opened: Callable[[str], list[str]]) -> None:
    other = store.describe("host", {"cpu": "Another CPU", "usable_cores": 8, "memory_bytes": 2**35, "os": "Linux"})
    write_run(store, "elsewhere", B, 8, host=other)
    name, run, left_out = opened("abcdef34")
    assert (name, run) == ("commit abcdef34", "elsewhere")
    assert left_out.startswith("2 records left out, because host, package versions or settings differ")


def test_a_side_is_a_folder_or_a_name_within_it_or_a_file(
    store: Store, opened: Callable[[str], list[str]], tmp_path: Path
) -> None:
    folder = str(store.path.parent)
    assert opened(folder) == [folder, "changed"]  # the last run that is no heap search
    assert opened(f"{folder}:two") == ["run two", "two"]
    assert opened(f"{folder}:abcdef34") == ["commit abcdef34", "two"]
    archive.pack(store, ["two"], tmp_path / "archive.parquet")
    record_file.pack(store, store.records("one"), tmp_path / "file.parquet")
    for name, run in (("archive", "two"), ("file", "one")):
        path = str(tmp_path / f"{name}.parquet")
        assert opened(path) == [path, run]


def test_a_commit_without_records_names_the_nearest_one(store: Store, opened: Callable[[str], list[str]]) -> None:
    """In this checkout's own history."""
    command = ["git", "-C", str(ROOT), "rev-list", "--first-parent", "--max-count", "3", "HEAD"]
    commits = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    if len(commits) < 3:
        pytest.skip("the checkout has fewer than three commits")
    write_run(store, "nearest", commits[1], 9)
    write_run(store, "farther", commits[2], 10)
    with pytest.raises(
        ConfigError,
        match=f"no records of 'HEAD', commit {commits[0][:8]}: measure it .* is {commits[1][:8]}, \\d+ commits? away",
    ):
        opened("HEAD")
    assert opened("HEAD~1") == [f"commit {commits[1][:8]}", "nearest"]


def test_a_branch_comes_before_the_beginning_of_a_commit_if_it_has_records(
    store: Store, opened: Callable[[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of branches and tags that also begin a commit: "abcdef" even begins two."""
    repository = tmp_path / "repository"
    who = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    for command in (
        [*who, "commit", "--quiet", "--allow-empty", "--message", "first"],
        ["branch", "abcdef"],
        ["tag", "abcdef34"],
        ["branch", "decade"],
        [*who, "commit", "--quiet", "--allow-empty", "--message", "second"],
        ["branch", "0123"],
    ):
        subprocess.run(["git", "-C", str(repository), *command], check=True)
    monkeypatch.setattr(sides, "ROOT", repository)
    command = ["git", "-C", str(repository), "rev-parse", "HEAD~1"]
    first = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    write_run(store, "first", first, 8)
    write_run(store, "alike", "decade0000000000", 9)
    for name in ("abcdef", "abcdef34", "decade", first[:7]):
        assert opened(name) == [f"commit {first[:8]}", "first"]
    assert opened("abcdef3") == ["commit abcdef34", "two"]
    assert opened("0123") == ["commit 01234567", "three"]  # the branch's commit has no records


@pytest.mark.parametrize("name", ["abc", "9999999", "four", "x" * 5000, "--all", ""])
def test_an_unknown_side_names_the_last_runs(opened: Callable[[str], list[str]], name: str) -> None:
    with pytest.raises(
        ConfigError, match=r"has no run and no commit '.*' with records. It has run changed at commit"
    ):
        opened(name)


def test_a_damaged_file_is_one_sentence(opened: Callable[[str], list[str]], tmp_path: Path) -> None:
    file = tmp_path / "broken.parquet"
    file.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ConfigError, match=r"broken\.parquet cannot be read as an archive"):
        opened(str(file))


def test_what_decide_measured_belongs_to_its_commit(store: Store, opened: Callable[[str], list[str]]) -> None:
    write_run(store, "decided", B, 8, command="decide")
    assert opened(B)[1:3] == ["decided", "two"]
