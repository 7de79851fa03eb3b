"""The checkouts of a gate, in real repositories of git."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import CodeState
from sparkscale.history.checkout import LOCK
from sparkscale.history.gate.checkouts import CLONES, KEPT, Side, checked_out, commit_of, python_for
from sparkscale.measure.worker.descriptions import ROOT


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def commit(folder: Path, text: str) -> str:
    (folder / "file").write_text(text)
    git(folder, "add", "file")
    git(folder, "commit", "--quiet", "--message", text)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a branch `main`, a branch `feature/faster` and a tag `v0.1.0`, and .asv ignored."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    (folder / ".git" / "info" / "exclude").write_text(".asv\n")
    commit(folder, "first")
    git(folder, "tag", "v0.1.0")
    git(folder, "branch", "feature/faster")
    commit(folder, "second")
    return folder


def test_a_revision_is_a_commit(repository: Path) -> None:
    first, second = (git(repository, "rev-parse", name) for name in ("v0.1.0", "main"))
    assert (
        commit_of("HEAD~1", repository)
        == commit_of("v0.1.0", repository)
        == commit_of(first[:8], repository)
        == first
    )
    assert commit_of("main", repository) == second


@pytest.mark.parametrize(
    ("revision", "hint"),
    [
        ("mian", "did you mean main?"),
        ("v0.1.1", "did you mean v0.1.0?"),
        ("faster", "did you mean feature/faster?"),
        ("nothing-like-it", "name a branch, a tag or a commit with --base."),
        ("--all", "name a branch, a tag or a commit with --base."),
        ("", "name a branch, a tag or a commit with --base."),
    ],
)
def test_an_unknown_revision_is_one_sentence_with_similar_names(repository: Path, revision: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        commit_of(revision, repository)
    assert str(raised.value) == f"{repository} has no revision '{revision}': {hint}"


def test_the_branch_of_a_remote_is_similar_to_its_name(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    git(clone, "checkout", "--quiet", "--detach")
    git(clone, "branch", "--delete", "--force", "main")
    with pytest.raises(ConfigError, match="did you mean origin/main"):
        commit_of("main", clone)


def test_a_shallow_clone_says_how_to_get_the_history(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", str(clone))
    with pytest.raises(ConfigError, match="this clone is shallow: fetch the history with `git fetch --unshallow`"):
        commit_of("v0.1.0", clone)


def test_a_clone_is_used_again_and_a_damaged_one_is_replaced(repository: Path) -> None:
    first = commit_of("v0.1.0", repository)
    clone = checked_out(first, repository)
    assert clone == repository / CLONES / first[:12]
    assert (clone / "file").read_text() == "first"
    inode = (clone / "file").stat().st_ino
    assert checked_out(first, repository) == clone
    assert (clone / "file").stat().st_ino == inode
    for damage in (
        lambda: (clone / "file").write_text("changed"),
        lambda: (clone / "another").write_text("new"),
        (clone / ".git" / "HEAD").unlink,
        lambda: git(clone, "checkout", "--quiet", git(repository, "rev-parse", "main")),
    ):
        damage()
        checked_out(first, repository)
        assert (clone / "file").read_text() == "first"
        assert git(clone, "status", "--porcelain") == ""


def test_clones_that_were_not_used_for_long_are_removed(repository: Path) -> None:
    commits = [commit(repository, f"text {number}") for number in range(KEPT + 1)]
    for position, one in enumerate(commits[:KEPT]):
        os.utime(checked_out(one, repository), (position, position))
    checked_out(commits[0], repository)  # used again
    checked_out(commits[-1], repository)
    left = {path.name for path in (repository / CLONES).iterdir()}
    assert left == {one[:12] for one in commits} - {commits[1][:12]}


def test_a_commit_of_no_branch_is_cloned_also_within_a_hook(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a pull request: only a detached HEAD names it."""
    git(repository, "checkout", "--quiet", "--detach")
    alone = commit(repository, "third")
    git(repository, "checkout", "--quiet", "main")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    assert (checked_out(alone, repository) / "file").read_text() == "third"


def test_a_commit_that_does_not_exist_leaves_no_clone(repository: Path) -> None:
    with pytest.raises(ConfigError, match="Commit 012345678901 cannot be cloned into"):
        checked_out("0123456789012345678901234567890123456789", repository)
    assert list((repository / CLONES).iterdir()) == []


def test_a_checkout_that_pins_what_is_installed_needs_no_environment(tmp_path: Path) -> None:
    assert python_for(tmp_path, tmp_path / "with") == Path(sys.executable)
    (tmp_path / LOCK).write_text((ROOT / LOCK).read_text())
    assert python_for(tmp_path, tmp_path / "with") == Path(sys.executable)
    assert not (tmp_path / "with").exists()


def test_a_base_that_cannot_be_installed_is_named_with_pips_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # else pip waits for an index that has no such release either
    lock = (ROOT / LOCK).read_text()
    (tmp_path / LOCK).write_text(lock.replace("scikit-learn==", "scikit-learn==0.0.99+"))
    with pytest.raises(
        ConfigError, match=r"scikit-learn==0\.0\.99\+\S+ cannot be installed: No matching distribution"
    ):
        python_for(tmp_path, tmp_path / "with")
    assert list((tmp_path / "with").iterdir()) == []


def test_code_is_found_in_its_checkout_and_plug_ins_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), "/plug-in"]))
    side = Side(tmp_path, Path(sys.executable), CodeState(commit="c", dirty=False))
    assert side.environment()["PYTHONPATH"] == os.pathsep.join([str(tmp_path), "/plug-in"])
