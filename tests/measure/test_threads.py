"""A suite block that limits the threads of an engine on one node, in a real run."""

import os
from pathlib import Path

import pytest

from sparkscale.measure.run import run as running
from sparkscale.measure.run.run import Request
from sparkscale.store.store import Store
from tests.measure.observing import Silent, measured_in_order
from tests.measure.toy_suites import DATA

CPUS = len(os.sched_getaffinity(0))

pytestmark = [
    pytest.mark.skipif(CPUS < 2, reason="a limit of one thread needs a second core that it leaves out"),
    pytest.mark.usefixtures("toy"),
]


def suite(cpus: Path) -> str:
    """All threads, and one thread, of an engine that appends to the file `cpus`."""
    block = f'''
[[measure]]
workload = "data_parallel.toy"
engines = ["toy"]
datasets = ["tiny"]
params = {{ cpus = "{cpus}" }}
'''
    return f"rounds = 1\nclusters = ['local']\n{DATA}{block}{block}threads = 1\n"


def test_one_thread_has_one_cpu_and_a_worker_that_no_other_case_shares(tmp_path: Path) -> None:
    file = tmp_path / "cpus"
    records = measured_in_order(tmp_path, suite(file), Silent)
    lines = [line.split() for line in file.read_text().splitlines()]
    found = {tuple(map(int, numbers)) for _, *numbers in lines}
    assert (1, 1, 1) in found
    (others,) = found - {(1, 1, 1)}
    assert 2 <= others[0] == others[1] == others[2] <= CPUS
    by_worker = {(worker, threads) for worker, threads, *_ in lines}
    assert len(by_worker) == len({worker for worker, _ in by_worker}) == 2
    for record in records:
        used = record.resources
        assert used.cores == used.threads == record.case.threads
        assert used.granted_cores == others[0]
    names = {record.case.threads: record.engine for record in records}
    assert names == {1: "toy, 1 thread", others[0]: "toy"}
    assert sum(not record.is_warmup for record in records) == 2
    with Store.existing(tmp_path / "out") as store:
        cpus = {len(store.description(one.session or "").content["cpus"]) for one in records if one.case.threads == 1}
    assert cpus == {1}
    again = Request(suite=str(tmp_path / "suite.toml"), out=tmp_path / "out", resume=True)
    assert running.measure(again, Silent).added == 0
