"""`sparkscale cluster`, as a user types it."""

import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from cluster import processes, state
from cluster.price import Price
from cluster.profile import Standalone


def test_a_file_of_another_release_is_named_and_stops_everything(
    tmp_path: Path, sparkscale: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """Its daemons would take part in every measurement, and nobody would know."""
    path = tmp_path / "sparkscale" / "clusters" / "old.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"pids": [1]}')
    done = sparkscale("cluster", "status", env={"XDG_CACHE_HOME": tmp_path})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {path} describes a cluster in a way that this release")
    assert sparkscale("run", env={"XDG_CACHE_HOME": tmp_path}).returncode == 2


def test_the_price_of_a_cluster_that_is_up_is_shown(
    tmp_path: Path, sparkscale: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    price = Price(per_hour=3.2, currency="EUR", source="ours", date=date(2026, 11, 28))
    up = state.ClusterState(
        profile=Standalone(name="paid", kind="standalone", price=price),
        owner=1,
        owner_created=0.0,
        kept=True,
        ready=True,
        secret="not told",
        folder=tmp_path,
        logs=tmp_path,
    )
    path = tmp_path / "sparkscale" / "clusters" / "paid.json"
    path.parent.mkdir(parents=True)
    path.write_text(up.model_dump_json())
    done = sparkscale("cluster", "status", env={"XDG_CACHE_HOME": tmp_path, "COLUMNS": 150})
    assert done.returncode == 0, done.stderr
    assert "3.2 EUR per hour (ours, 2026-11-28)" in done.stdout


@pytest.mark.slow
@pytest.mark.spark
def test_up_status_and_down(tmp_path: Path, sparkscale: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    path = tmp_path / "kept.toml"
    path.write_text('kind = "standalone"\nmemory = "2g"\ndriver_memory = "2g"\n')
    up = sparkscale("cluster", "up", str(path))
    assert up.returncode == 0, up.stderr
    assert "Cluster kept is up at spark://127.0.0.1:" in up.stdout
    again = sparkscale("cluster", "up", str(path))
    assert (again.returncode, again.stderr.startswith("Error: Cluster 'kept' is up already")) == (2, True)
    status = sparkscale("cluster", "status", str(path))
    assert (status.returncode, "worker-1" in status.stdout) == (0, True)
    daemons = (state.find("kept") or pytest.fail("no state")).daemons
    down = sparkscale("cluster", "down", "kept")
    assert (down.returncode, down.stdout) == (0, "Cluster kept is down: 2 daemons ended.\n")
    assert [process for daemon in daemons for process in processes.processes_of(daemon.pid)] == []
    assert sparkscale("cluster", "down", "kept").returncode == 2
    nothing = sparkscale("cluster", "status", "kept")
    assert (nothing.returncode, "is not up" in nothing.stderr) == (2, True)


@pytest.mark.parametrize("name", ["local", "moon"])
def test_what_cannot_be_brought_up_is_said(
    name: str, sparkscale: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    done = sparkscale("cluster", "up", name)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert name in done.stderr


@pytest.mark.parametrize("name", ["../outside", "..", ".toml", "...toml"])
def test_what_is_no_name_ends_and_removes_nothing(
    name: str, tmp_path: Path, sparkscale: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    outside = tmp_path / "sparkscale" / "outside.json"
    outside.parent.mkdir(parents=True)
    outside.write_text("{}")
    (tmp_path / name).write_text('kind = "standalone"') if name.endswith(".toml") else None
    for command in ("down", "status", "up"):
        done = sparkscale("cluster", command, name, env={"XDG_CACHE_HOME": tmp_path}, cwd=tmp_path)
        assert done.returncode == 2, done.stdout
        assert done.stderr.startswith("Error: ")
    assert outside.read_text() == "{}"
