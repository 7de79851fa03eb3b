"""Executors that have never seen this checkout, and executors that do not fit: for real, on a standalone cluster."""

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas
import pytest

from cluster import code_zip
from cluster.lifecycle import Cluster
from sparkscale.contract.errors import ClusterError
from tests.cluster.using import examined, external, written

pytestmark = pytest.mark.spark


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the installed packages, and nothing of ours: an editable install is not followed from it."""
    folder = tmp_path_factory.mktemp("bare") / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    (packages / "installed.pth").write_text(f"{Path(pandas.__file__).parents[1]}\n")
    python = folder / "bin" / "python"
    for module, found in (("pyspark", True), ("torch", True), ("sparkscale", False), ("workloads", False)):
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
        assert (subprocess.run([python, "-P", "-c", code], cwd="/", check=False).returncode == 0) is found
    return python


ONE_SESSION = """
import json, os, sys
from pathlib import Path
import numpy as np
import pandas as pd
from cluster import java, session
from cluster.budget import budget
from cluster.endpoint import existing
from cluster.profile import PROFILE, cache_folder
from sparkscale.contract.errors import ClusterError
from sparkscale.measure.worker.executors import examine
from workloads.quality.scoring import auc
from workloads.libraries.tasks import SparkTasks
from workloads.libraries.torch_processes import run_distributed

os.environ.update(java.find(cache_folder()).environment())
where = PROFILE.validate_json(sys.argv[1])
runtime = session.start(where, budget(where), existing(where), 1, "cpu", Path(sys.argv[2]) / "session")
spark = runtime.spark
label, score = np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.6, 0.9])


def origin(_):
    import sparkscale
    return sys.executable, sparkscale.__file__


def grouped(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"auc": [auc(frame["label"].to_numpy(), frame["score"].to_numpy())]})


def train(label, score):
    import torch
    import torch.distributed as dist
    dist.init_process_group("gloo")
    total = torch.tensor([auc(label, score)], dtype=torch.float64)
    dist.all_reduce(total)
    world = dist.get_world_size()
    dist.destroy_process_group()
    return float(total), world


found = {"origins": SparkTasks(spark).map(origin, [0, 1])}
frame = spark.createDataFrame(pd.DataFrame({"g": 0, "label": label, "score": score}))
found["applied"] = [row.auc for row in frame.groupBy("g").applyInPandas(grouped, "auc double").collect()]
found["distributed"] = run_distributed(spark, train, label, score, processes=2)
try:
    from pyspark.ml.torch.distributor import TorchDistributor
    TorchDistributor(num_processes=1, local_mode=False, use_gpu=False).run(auc, label, score)
    found["by_reference"] = "ran"
except Exception as error:
    found["by_reference"] = str(error)


def examined(python):
    spark.sparkContext.pythonExec = python
    try:
        return [executor.python for executor in examine(spark, 2, 1, where.storage_location, where.name)]
    except ClusterError as error:
        return str(error)


found["examined"] = {python: examined(python) for python in [spark.sparkContext.pythonExec, *sys.argv[3:]]}
runtime.stop()
print(json.dumps(found))
"""


OTHER_PANDAS = "1.5.3"


def script(path: Path, text: str) -> Path:
    """An executable shell script that stands for a Python."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def other_versions(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bare Python with another pandas before its own: nothing but the metadata of it."""
    folder = tmp_path_factory.mktemp("other-versions")
    metadata = folder / f"pandas-{OTHER_PANDAS}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pandas\nVersion: {OTHER_PANDAS}\n")
    return script(folder / "python", f'export PYTHONPATH={folder}:$PYTHONPATH\nexec {bare} "$@"')


@pytest.fixture(scope="module")
def more_threads(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bare Python in an environment of its own."""
    lines = ("unset OMP_NUM_THREADS", "export OPENBLAS_NUM_THREADS=2", f'exec {bare} "$@"')
    return script(tmp_path_factory.mktemp("more-threads") / "python", "\n".join(lines))


@pytest.fixture(scope="module")
def found(
    cluster: Cluster, bare: Path, other_versions: Path, more_threads: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What one session says of executors with each of these Pythons."""
    theirs = external(cluster, python=str(bare)).profile
    scratch = tmp_path_factory.mktemp("session")
    done = subprocess.run(
        [sys.executable, "-c", ONE_SESSION, theirs.model_dump_json(), scratch, other_versions, more_threads],
        env={**os.environ, "THEIR_SECRET": written(cluster).secret},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.slow
def test_executors_that_have_never_seen_the_checkout_run_our_functions(found: dict[str, Any], bare: Path) -> None:
    """Through mapInArrow, applyInPandas, and in the processes that TorchDistributor starts: these import nothing that
    was shipped, so what is pickled by reference fails there."""
    for python, origin in found["origins"]:
        assert python == str(bare)
        assert "sparkscale.zip" in origin
    assert found["applied"] == [0.75]
    assert found["distributed"] == [1.5, 2]
    assert found["by_reference"] != "ran"
    assert found["examined"][str(bare)] == [platform.python_version()]


@pytest.mark.slow
def test_another_version_of_a_package_is_named_with_both(found: dict[str, Any], other_versions: Path) -> None:
    expected = (
        rf"An executor of cluster 'theirs' on .* has other versions.*pandas {re.escape(OTHER_PANDAS)} "
        rf"\(here {re.escape(pandas.__version__)}\)"
    )
    assert re.match(expected, found["examined"][str(other_versions)])


@pytest.mark.slow
def test_executors_whose_tasks_would_use_more_threads_are_refused(found: dict[str, Any], more_threads: Path) -> None:
    expected = r".*'theirs' .* may use 1 thread, .*more: OPENBLAS_NUM_THREADS 2, OMP_NUM_THREADS is not set"
    assert re.match(expected, found["examined"][str(more_threads)])


@pytest.mark.slow
def test_storage_that_executors_cannot_reach_is_named(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their Python sees an empty file system where the driver sees the storage. A worker says it, as in a run."""
    monkeypatch.setenv("THEIR_SECRET", written(cluster).secret)
    storage = tmp_path / "storage"
    storage.mkdir()
    inside = f'mount -t tmpfs none "$0" && exec {sys.executable} "$@"'
    python = script(tmp_path / "python", f"exec unshare -m sh -c '{inside}' {storage} \"$@\"")
    if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip("this process may not make a mount namespace")
    with pytest.raises(
        ClusterError, match=rf"executors of cluster 'theirs' cannot read the storage {storage} \(.*: .*"
    ):
        examined(external(cluster, python=str(python), storage=str(storage)), tmp_path)
    assert list(storage.iterdir()) == []


def test_equal_sources_make_an_equal_archive_without_compiled_files(tmp_path: Path) -> None:
    import zipfile

    code_zip.pack(tmp_path / "one.zip")
    code_zip.pack(tmp_path / "other.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()
    names = zipfile.ZipFile(tmp_path / "one.zip").namelist()
    assert {
        "sparkscale/measure/worker/executors.py",
        "workloads/libraries/tasks.py",
        "cluster/profiles/local.toml",
    } <= set(names)
    assert not [name for name in names if name.endswith(".pyc")]
