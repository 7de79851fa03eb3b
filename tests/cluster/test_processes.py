"""Limits and resource use of real process trees."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster import processes
from sparkscale.contract.threads import thread_variables

MIB = 2**20

ALLOCATE = """
import sys
from cluster.processes import MemoryLimit
from pathlib import Path
cgroup = Path(sys.argv[1]) if sys.argv[1] != "-" else None
MemoryLimit(int(sys.argv[2]), cgroup).apply()
block = bytearray(int(sys.argv[3]))
for i in range(0, len(block), 4096):
    block[i] = 1
print("allocated")
"""


def allocate(limit: processes.MemoryLimit, amount: int) -> "subprocess.CompletedProcess[str]":
    folder = str(limit.cgroup) if limit.cgroup else "-"
    command = [sys.executable, "-c", ALLOCATE, folder, str(limit.limit_bytes), str(amount)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_cgroup_ends_a_process_that_passes_its_limit() -> None:
    limit = processes.MemoryLimit.create(200 * MIB)
    if limit.cgroup is None:
        pytest.skip("no memory cgroup can be made here")
    try:
        assert allocate(limit, 50 * MIB).stdout == "allocated\n"
        assert not limit.reached(os.getpid())
        assert allocate(limit, 400 * MIB).returncode == -signal.SIGKILL
        assert limit.reached(os.getpid())
    finally:
        folder = limit.cgroup
        limit.remove()
    assert not folder.exists()


def test_the_empty_cgroups_of_ended_processes_are_removed_and_no_others() -> None:
    limit = processes.MemoryLimit.create(200 * MIB)
    if limit.cgroup is None:
        pytest.skip("no memory cgroup can be made here")
    code = "from cluster.processes import MemoryLimit; print(MemoryLimit.create(2**28).cgroup)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    left = Path(done.stdout.strip())
    assert left.exists()
    try:
        processes.sweep_limits()
        assert limit.cgroup.exists()
        assert not left.exists()
    finally:
        limit.remove()


def test_without_a_cgroup_an_allocation_beyond_the_limit_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "CGROUP_ROOT", tmp_path)
    limit = processes.MemoryLimit.create(400 * MIB)
    assert limit.mechanism == "RLIMIT_DATA"
    assert allocate(limit, 50 * MIB).stdout == "allocated\n"
    assert "MemoryError" in allocate(limit, 800 * MIB).stderr


TREE = """
import os, subprocess, sys, time
code = "block = bytearray(80 * 2**20)\\nfor i in range(0, len(block), 4096): block[i] = 1\\n"
code += "print('ready', flush=True)\\n"
code += "import time\\nend = time.process_time() + 0.5\\nwhile time.process_time() < end: pass\\n"
code += "print('spun', flush=True)\\ntime.sleep(300)"
subprocess.Popen([sys.executable, "-c", code], process_group=0)
time.sleep(300)
"""


@pytest.fixture
def tree() -> "Iterator[subprocess.Popen[str]]":
    """A session leader with a child in a process group of its own, 80 MiB and half a CPU second in the child."""
    process = subprocess.Popen(
        [sys.executable, "-c", TREE], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "spun\n"]
    yield process
    processes.end_session(process.pid)
    process.communicate()


def test_a_session_counts_what_its_children_use_and_ends_whole(tree: "subprocess.Popen[str]") -> None:
    assert len(processes.processes_of(tree.pid)) == 2
    assert 80 * MIB < processes.pss_bytes(tree.pid) < 200 * MIB
    assert processes.peak_pss_bytes(tree.pid) is None
    assert 0.5 <= processes.cpu_seconds(tree.pid) < 5
    assert not processes.counts_unreaped(tree.pid)
    processes.end_session(tree.pid)
    tree.wait()
    assert processes.processes_of(tree.pid) == []


SPIKE = """
block = bytearray(300 * 2**20)
for i in range(0, len(block), 4096): block[i] = 1
del block
print("done", flush=True)
import time
time.sleep(300)
"""


def test_a_peak_that_is_over_is_known_for_a_single_process() -> None:
    command = [sys.executable, "-c", SPIKE]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        assert processes.pss_bytes(process.pid) < 100 * MIB
        assert 300 * MIB <= (processes.peak_pss_bytes(process.pid) or 0) < 400 * MIB
    finally:
        process.kill()
        process.communicate()


def test_an_orphan_still_belongs_to_its_session(tree: "subprocess.Popen[str]") -> None:
    tree.kill()
    tree.wait()
    assert len(processes.processes_of(tree.pid)) == 1
    processes.end_session(tree.pid)
    assert processes.processes_of(tree.pid) == []


def test_a_process_dies_with_the_one_that_started_it() -> None:
    child = "from cluster.processes import die_with_parent; die_with_parent(); import os, time; print(os.getpid(), flush=True); time.sleep(300)"  # noqa: E501
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(300)"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    for _ in range(100):
        if not _alive(pid):
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} outlived its parent")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_thread_variables_reach_numeric_libraries() -> None:
    code = "import numpy, threadpoolctl; print({p['num_threads'] for p in threadpoolctl.threadpool_info()})"
    environment = {**os.environ, **thread_variables(1)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{1}"


APART = """
import subprocess, sys, time
from pathlib import Path
from cluster.processes import MemoryLimit
if sys.argv[1] != "-":
    MemoryLimit(2**30, Path(sys.argv[1])).apply()
code = "import time; began = time.process_time()\\n"
code += "while time.process_time() - began < 1: pass\\ntime.sleep(float('%s'))"
waiting = subprocess.Popen([sys.executable, "-c", code % 300], start_new_session=True)
daemon = "import signal, subprocess, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
daemon += f"subprocess.Popen([sys.executable, '-c', {code % 0!r}]); import time; time.sleep(300)"
subprocess.Popen([sys.executable, "-c", daemon])
time.sleep(300)
"""


def apart(limit: processes.MemoryLimit | None) -> "subprocess.Popen[str]":
    """A session leader with a child in a session of its own, and one that does not reap what it started."""
    folder = str(limit.cgroup) if limit else "-"
    return subprocess.Popen([sys.executable, "-c", APART, folder], start_new_session=True, text=True)


def test_a_child_that_leads_a_session_of_its_own_belongs_to_the_tree() -> None:
    """As the ranks of PyTorch's elastic agent do."""
    process = apart(None)
    deadline = time.monotonic() + 30
    while len(found := processes.processes_of(process.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert {os.getsid(member.pid) for member in found} > {process.pid}
    processes.end_session(process.pid)
    process.communicate()
    assert [member.pid for member in found if _alive(member.pid)] == []


def test_cpu_time_is_counted_though_nobody_reaped_its_process() -> None:
    """As PySpark's daemon does not: a control group knows."""
    limit = processes.MemoryLimit.create(2**30)
    if limit.cgroup is None:
        pytest.skip("no memory cgroup can be made here")
    process = apart(limit)
    try:
        deadline = time.monotonic() + 60
        while processes.cpu_seconds(process.pid) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert processes.counts_unreaped(process.pid)
        assert 2 <= processes.cpu_seconds(process.pid) < 10
        process.kill()  # its children are nobody's now
    finally:
        process.communicate()
        folder = limit.cgroup
        limit.remove()
    assert not folder.exists()


def test_what_a_dead_run_started_is_ended_and_what_a_living_one_did_is_not() -> None:
    """Processes of joblib lead sessions of their own, and outlived a run that was killed."""
    dead = subprocess.Popen(["true"])
    began = psutil.Process(dead.pid).create_time()
    dead.wait()
    marks = [{processes.MARK: f"{dead.pid}:{began}"}, processes.mark(), {}]
    command = ["sleep", "60"]
    orphan, child, other = (
        subprocess.Popen(command, env={**os.environ, **mark}, start_new_session=True) for mark in marks
    )
    try:
        processes.sweep_marked()
        assert orphan.wait(timeout=10) == -signal.SIGKILL
        assert child.poll() is None
        assert other.poll() is None
    finally:
        for process in (orphan, child, other):
            process.kill()
            process.wait()
