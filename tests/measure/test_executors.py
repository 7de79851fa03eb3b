"""Executors that have never seen this checkout, and executors that do not fit: for real, on a standalone cluster."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from cluster import code_zip, profile
from cluster.budget import budget
from cluster.lifecycle import Cluster
from sparkscale.contract.errors import ClusterError
from tests.cluster.using import examined, external, written

pytestmark = pytest.mark.spark


@pytest.fixture(autouse=True)
def secret(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEIR_SECRET", written(cluster).secret)


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the installed packages, and nothing of ours: an editable install is not followed from it."""
    folder = tmp_path_factory.mktemp("bare") / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = next(folder.glob("lib/python3*/site-packages"))
    (packages / "installed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = folder / "bin" / "python"
    for module, found in (("pyspark", True), ("torch", True), ("sparkscale", False), ("workloads", False)):
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
        assert (subprocess.run([python, "-P", "-c", code], cwd="/", check=False).returncode == 0) is found
    return python


SHIPPED = """
import json, os, sys
from pathlib import Path
import numpy as np
import pandas as pd
from cluster import java, session
from cluster.budget import budget
from cluster.endpoint import existing
from cluster.profile import PROFILE, cache_folder
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
runtime.stop()
print(json.dumps(found))
"""


@pytest.mark.slow
def test_executors_that_have_never_seen_the_checkout_run_our_functions(
    cluster: Cluster, bare: Path, tmp_path: Path
) -> None:
    """Through mapInArrow, applyInPandas, and in the processes that TorchDistributor starts: these import nothing that
    was shipped, so what is pickled by reference fails there."""
    theirs = external(cluster, python=str(bare)).profile
    done = subprocess.run(
        [sys.executable, "-c", SHIPPED, theirs.model_dump_json(), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for python, origin in found["origins"]:
        assert python == str(bare)
        assert "sparkscale.zip" in origin
    assert found["applied"] == [0.75]
    assert found["distributed"] == [1.5, 2]
    assert found["by_reference"] != "ran"


def test_another_version_of_a_package_is_named_with_both(cluster: Cluster, bare: Path, tmp_path: Path) -> None:
    """Nothing but the metadata of another pandas, before the real one."""
    packages = next(bare.parent.parent.glob("lib/python3*/site-packages"))
    metadata = packages / "pandas-1.5.3.dist-info"
    metadata.mkdir()
    try:
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pandas\nVersion: 1.5.3\n")
        with pytest.raises(
            ClusterError, match=r"An executor of cluster 'theirs' on .* has other versions.*pandas 1\.5\.3"
        ):
            examined(external(cluster, python=str(bare)), tmp_path)
    finally:
        (metadata / "METADATA").unlink()
        metadata.rmdir()


@pytest.mark.parametrize("kind", ["local", "standalone"])
def test_a_task_uses_one_thread(kind: str, cluster: Cluster, tmp_path: Path) -> None:
    """By every variable, and in the pools of BLAS and Arrow. Of Connect in test_clusters.py."""
    where = profile.load("local")
    found = cluster if kind == "standalone" else Cluster(where, budget(where), cluster.jdk)
    for executor in examined(found, tmp_path / "examined").executors:
        assert {"OMP_NUM_THREADS", "the pool of Arrow", "the pool of openblas"} <= executor.threads.keys()
        assert set(executor.threads.values()) == {1}


def test_executors_whose_tasks_would_use_more_threads_are_refused(cluster: Cluster, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nunset OMP_NUM_THREADS\nexport OPENBLAS_NUM_THREADS=2\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    with pytest.raises(
        ClusterError,
        match=r"'theirs' .* may use 1 thread, .*more: OPENBLAS_NUM_THREADS 2, OMP_NUM_THREADS is not set",
    ):
        examined(external(cluster, python=str(python)), tmp_path)


def test_storage_that_executors_cannot_reach_is_named(cluster: Cluster, tmp_path: Path) -> None:
    """Their Python sees an empty file system where the driver sees the storage."""
    storage = tmp_path / "storage"
    storage.mkdir()
    inside = f'mount -t tmpfs none "$0" && exec {sys.executable} "$@"'
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexec unshare -m sh -c '{inside}' {storage} \"$@\"\n")
    python.chmod(0o755)
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
