"""`--cold-cache`: what a phase finds in the page cache, what is stored of it, and where it is refused."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import pagecache
from cluster.budget import budget
from cluster.profile import PROFILE, load
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import ConfigError
from sparkscale.measure.run import run as running
from sparkscale.measure.run.run import Request
from sparkscale.measure.worker import cold_cache, worker
from sparkscale.measure.worker.phases import PhaseClock
from sparkscale.measure.worker.protocol import Measure, Open
from sparkscale.store.store import Store
from tests.conftest import Runs
from tests.measure.observing import Silent
from tests.measure.toy_suites import DATA
from workloads.data_parallel.logistic_regression import WORKLOAD, SklearnLogistic

SUITE = f"""
rounds = 1
{DATA}
[[measure]]
workload = "data_parallel.toy"
engines = ["bystander"]
datasets = ["tiny"]
"""


def files_of(data: PreparedDataset) -> list[Path]:
    return [file for root in (data.root, *data.merged.values()) for file in Path(root).rglob("*.parquet")]


@pytest.fixture
def unprivileged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody may drop the whole host's page cache, for other tests run on it."""
    monkeypatch.setattr(pagecache, "DROP_CACHES", tmp_path / "absent" / "drop_caches")


@pytest.mark.parametrize("cold", [True, False])
@pytest.mark.usefixtures("unprivileged")
def test_when_the_clock_starts_the_datas_pages_are_gone(
    data: PreparedDataset, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cold: bool
) -> None:
    """The check that a sample has both classes reads labels before, and must not warm the files again."""
    files = files_of(data)
    assert all(file.read_bytes() for file in files)
    seen: list[float] = []
    timed = PhaseClock.run

    def look(clock: PhaseClock, *arguments: Any) -> Any:
        seen.append(pagecache.resident_share(files))
        return timed(clock, *arguments)

    monkeypatch.setattr(PhaseClock, "run", look)
    monkeypatch.setattr(PhaseClock, "check_budget", lambda *_: None)  # this process's tree runs other tests
    local = load("local")
    opening = Open(
        profile=local,
        budget=budget(local),
        endpoint=None,
        placement="node",
        threads=1,
        device="cpu",
        cgroup=None,
        scratch=tmp_path,
    )
    case = runs(WORKLOAD, SklearnLogistic, 1 / 64).case
    request = Measure(case=case, data=data, tables=tmp_path, cold_cache=cold)
    measured = worker.Worker(opening, io.StringIO()).measure(request)
    assert measured.observation.outcome == "ok", measured.observation.error
    assert (seen[0] <= pagecache.TOLERATED_SHARE) if cold else (seen[0] > 0.9)


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    return str(path)


@pytest.mark.usefixtures("toy")
def test_a_record_says_that_its_page_cache_was_cold(suite: str, tmp_path: Path) -> None:
    """Without --cold-cache it says `warm`: tests/measure/test_run.py."""
    running.measure(Request(suite=suite, out=tmp_path / "out", cold_cache=True), Silent)
    with Store.existing(tmp_path / "out") as store:
        assert store.invocation().cold_cache
        assert [record.outcome for record in store.records()] == ["ok", "ok"]
        assert {record.resources.page_cache for record in store.records()} == {"cold"}


@pytest.mark.usefixtures("toy")
def test_a_run_that_was_begun_warm_is_not_gone_on_with_cold(suite: str, tmp_path: Path) -> None:
    begun = running.begin(Request(suite=suite, out=tmp_path / "out"))
    request = Request(suite=suite, out=tmp_path / "out", resume=True, invocation=begun.id, cold_cache=True)
    with pytest.raises(ConfigError, match=r"was begun without --cold-cache: leave --cold-cache out, or start a new"):
        running.measure(request, Silent)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"kind": "external", "master": "yarn", "executors": 1, "cores": 1, "memory": "2g"},
            r"the executors of cluster 'theirs' may be on other hosts: leave it out",
        ),
        (
            {"kind": "connect", "url": "sc://host", "cores": 1},
            r"the executors of cluster 'theirs' may be on other hosts",
        ),
        ({"kind": "local", "storage": "s3://bucket/a"}, r"cluster 'theirs' keeps its data at s3://bucket/a: leave"),
    ],
)
def test_where_the_data_is_read_elsewhere_it_is_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cold_cache.check_profile(PROFILE.validate_python({"name": "theirs", **content}))


def test_clusters_on_this_machine_can_be_cold() -> None:
    for name in ("local", "standalone-2x1", "connect"):
        cold_cache.check_profile(load(name))


@pytest.fixture
def in_memory(data: PreparedDataset) -> Iterator[PreparedDataset]:
    """The data set as if it lay on a file system that is itself in memory."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        pytest.skip("no file system in memory is mounted here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        (Path(folder) / "part.parquet").write_bytes(b"x" * 2**20)
        yield data.model_copy(update={"root": folder, "merged": {}})


@pytest.mark.usefixtures("unprivileged")
def test_where_the_kernel_keeps_the_pages_the_run_is_refused_in_one_sentence(in_memory: PreparedDataset) -> None:
    with pytest.raises(
        ConfigError, match=r"--cold-cache is not possible here\. The page cache keeps 100% of /dev/shm"
    ):
        cold_cache.check_data([in_memory])
