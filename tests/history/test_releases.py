"""Other releases of a dependency, in package environments."""

import importlib.metadata
import json
import subprocess
from pathlib import Path

import pytest

from sparkscale.contract.errors import ConfigError
from sparkscale.history import package_environments
from sparkscale.history.part import Part
from sparkscale.store.store import Store
from tests.history.cloning import Clone

OLD, NEW = "1.8.0", "1.9.1"


def test_releases_of_one_package_are_measured_in_turn_and_of_several_in_every_combination() -> None:
    assert package_environments.combinations([]) == [()]
    assert package_environments.combinations(["xgboost==3.1.1", "xgboost==3.2.0", "xgboost==3.1.1"]) == [
        ("xgboost==3.1.1",),
        ("xgboost==3.2.0",),
    ]
    assert package_environments.combinations(["xgboost==3.1.1", "Scikit_Learn==1.8", "xgboost==3.2.0"]) == [
        ("scikit-learn==1.8", "xgboost==3.1.1"),
        ("scikit-learn==1.8", "xgboost==3.2.0"),
    ]


@pytest.mark.parametrize("wrong", ["xgboost", "xgboost>=3", "xgboost==", "../x==1", "-r==1", "xgboost==3;os"])
def test_what_names_no_release_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="names no release"):
        package_environments.combinations([wrong])


def test_what_cannot_be_installed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # else pip waits for an index that has no such release either
    with pytest.raises(ConfigError, match=r"scikit-learn==0\.0\.99 cannot be installed: No matching distribution"):
        package_environments.overlay(("scikit-learn==0.0.99",), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.spark
def test_two_releases_are_measured_side_by_side_and_compared(clone: Clone) -> None:
    only = r"time_to_model\('gradient_boosting/sklearn.*'1/64'"
    releases = [f"--with=scikit-learn=={one}" for one in (OLD, NEW)]
    done = clone.bench(*releases, "--bench", only)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(clone.recorded.glob("*-sparkscale-py3*-scikit-learn1.[89].*.json"))) == 2
    order = [line for line in done.stderr.splitlines() if line.startswith("round ")]
    assert order == [
        f"round {number} of 2, scikit-learn=={one}" for number, one in [(1, OLD), (1, NEW), (2, NEW), (2, OLD)]
    ]

    with Store.existing(clone.root / "results") as store:
        runs = [store.invocation(str(clone.suite), environment=(f"scikit-learn=={one}",)).id for one in (OLD, NEW)]
        records = [r for r in store.records() if r.invocation in runs and not r.is_warmup]
        ran = [
            (store.description(r.software).content["packages"]["scikit-learn"], r.round, r.outcome) for r in records
        ]
        environments_of = {store.invocation(identity=record.invocation).environment for record in records}
    assert ran == [(OLD, 1, "ok"), (NEW, 1, "ok"), (NEW, 2, "ok"), (OLD, 2, "ok")]
    assert environments_of == {(f"scikit-learn=={OLD}",), (f"scikit-learn=={NEW}",)}

    installed = importlib.metadata.version("scikit-learn")
    for release in (OLD, NEW):
        root = clone.root / ".asv" / "with" / f"scikit-learn-{release}"
        (site,) = (root / "lib").glob("python3*/site-packages")
        added = [path.name for path in site.glob("*.dist-info")]
        assert added == ([] if release == installed else [f"scikit_learn-{release}.dist-info"])  # only what differs
    (path,) = clone.recorded.glob(f"*-scikit-learn{OLD}.json")
    assert json.loads(path.read_text())["params"]["scikit-learn"] == OLD

    machine = ("--machine", "here-local")
    compared = clone.run("asv", "compare", f"HEAD@scikit-learn=={OLD}", f"HEAD@scikit-learn=={NEW}", *machine)
    assert compared.returncode == 0, compared.stdout + compared.stderr
    (row,) = [line for line in compared.stdout.splitlines() if "track_time_to_model" in line]
    assert "gradient_boosting/sklearn" in row
    assert "n/a" not in compared.stdout
    assert f"scikit-learn{OLD}" in compared.stdout
    part = Part(
        suite=str(clone.suite),
        out=clone.root / "results",
        invocation=runs[0],
        rounds=None,
        clusters=None,
        retry_failed=False,
        bench=(),
        only_round=None,
    )
    python = clone.root / ".asv" / "with" / f"scikit-learn-{NEW}" / "bin" / "python"
    other = clone.run("sparkscale.history.part", part.model_dump_json(), python=python)
    assert other.returncode == 1
    assert (
        f"Error: The run to resume was measured with scikit-learn {OLD}, not {NEW}: start a new run." in other.stderr
    )
    missing = clone.run("asv", "compare", "HEAD@xgboost==3.0.0", f"HEAD@scikit-learn=={NEW}", *machine)
    assert missing.returncode == 1
    said = missing.stdout + missing.stderr
    assert "No results of HEAD@xgboost==3.0.0 on here-local: of HEAD there are sparkscale-py3" in said


@pytest.mark.slow
def test_an_environment_that_was_not_finished_is_made_again(clone: Clone) -> None:
    folder = clone.root / ".asv" / "with"
    made = package_environments.overlay((f"scikit-learn=={OLD}",), folder)
    root = made.python.parents[1]
    (root / package_environments.READY).unlink()
    (root / "lib").rename(root / "half")
    again = package_environments.overlay((f"scikit-learn=={OLD}",), folder)
    said = subprocess.run(
        [again.python, "-c", "import sklearn, xgboost, sparkscale; print(sklearn.__version__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == OLD
    assert not (root / "half").exists()
