"""GPUs: what NVML says, what Spark gives to whom, what a task is bound to. NVML is made up; Spark is not."""

import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import gpu
from cluster.budget import Budget, Grant
from cluster.gpu import Binding
from cluster.profile import Local
from sparkscale.contract.context import Context
from sparkscale.contract.errors import DeviceError
from sparkscale.measure.worker.gpu_tasks import Holding, hold, overlapping
from sparkscale.measure.worker.protocol import Open
from sparkscale.measure.worker.worker import Worker
from tests.conftest import Ask
from workloads.data_parallel import gradient_boosting as boosting
from workloads.libraries import xgboost as xgboost_common

GIB = 2**30


DISCOVER = """
from cluster import gpu
found = gpu.discover()
print([(device.index, device.name, device.uuid, device.memory_bytes) for device in found.devices])
print(found.driver, found.reason)
"""


def test_devices_are_named_by_the_real_binding(ask: Ask) -> None:
    devices, rest = ask("-c", DISCOVER).stdout.splitlines()
    assert devices == str([(i, f"Made-up GPU {i}", f"GPU-{i:08d}-0000", 80 * GIB) for i in range(2)])
    assert rest == "0.0.0-made-up None"


SHOWN = {"1": [1], "1,0": [1, 0], "GPU-00000001": [1], "0,9,1": [0], "": [], "-1": []}
"""The devices that CUDA shows, by the value of CUDA_VISIBLE_DEVICES."""

SHOW = """
import json, os, sys
from cluster import gpu
for value in sys.argv[1:]:
    os.environ["CUDA_VISIBLE_DEVICES"] = value
    print(json.dumps([value, [device.index for device in gpu.discover().devices]]))
"""


def test_what_cuda_would_hide_is_not_there(ask: Ask) -> None:
    assert dict(map(json.loads, ask("-c", SHOW, *SHOWN).stdout.splitlines())) == SHOWN


def test_hidden_devices_are_the_reason(ask: Ask) -> None:
    found = ask("-c", DISCOVER, CUDA_VISIBLE_DEVICES="").stdout.splitlines()
    assert found == ["[]", "0.0.0-made-up CUDA_VISIBLE_DEVICES hides every device"]


def test_discovery_agrees_with_the_driver_and_never_raises() -> None:
    found = gpu.discover()
    if Path("/proc/driver/nvidia/version").exists():
        assert found.driver
        assert all(device.uuid and device.memory_bytes > 0 for device in found.devices)
    else:
        assert found.devices == ()
        assert found.reason


READ = """
from cluster import gpu
first, second = gpu.read((0, 1)), gpu.read((0, 1))
print(first.memory_bytes, first.utilisation, first.watts, second.joules - first.joules if first.joules else None)
print(gpu.read((0, 9)))
"""


def test_readings_add_up_over_devices(ask: Ask) -> None:
    assert ask("-c", READ).stdout.splitlines() == [f"{3 * GIB} 20.0 200.0 4.0", "None"]


def test_what_a_device_does_not_tell_is_null(ask: Ask) -> None:
    silent = ask("-c", READ, FAKE_NVML_SILENT="1").stdout.splitlines()
    assert silent[0] == f"{3 * GIB} 20.0 None None"


SAMPLE = """
from sparkscale.measure.worker.samplers import GpuSampler
sampler = GpuSampler((0, 1))
assert sampler.sample() > 0
print(sampler.peak_bytes(), sampler.joules())
"""


def test_a_case_is_charged_what_its_devices_took(ask: Ask) -> None:
    """Memory beyond what was in use before: none here. After the first, each of three readings takes four joules."""
    assert ask("-c", SAMPLE).stdout == "0 12.0\n"


def test_the_discovery_script_prints_sparks_json(ask: Ask, tmp_path: Path) -> None:
    script = tmp_path / "gpu.py"
    script.write_bytes(Path(gpu.__file__).read_bytes())  # a copy, as on a cluster's host
    every = ask("-P", str(script), FAKE_GPUS="3")
    assert json.loads(every.stdout) == {"name": "gpu", "addresses": ["0", "1", "2"]}
    own = ask("-P", str(script), FAKE_GPUS="3", SPARKSCALE_GPUS="1,2")
    assert json.loads(own.stdout) == {"name": "gpu", "addresses": ["1", "2"]}
    none = ask("-P", str(script), FAKE_GPUS="0")
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr.strip() == "No GPU: NVML lists no device."


def test_a_binding_holds_for_its_block_and_is_picklable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpu.VISIBLE, "7")
    bind = pickle.loads(pickle.dumps(Binding(("1", "3"))))
    with bind() as addresses:
        assert addresses == ("1", "3")
        assert os.environ[gpu.VISIBLE] == "1,3"
        assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert os.environ[gpu.VISIBLE] == "7"
    with pytest.raises(RuntimeError, match="grants none"), Binding()():
        pass


def test_a_process_in_which_cuda_runs_is_not_bound_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What CUDA keeps open is told by the name of an open file."""
    monkeypatch.setattr(gpu, "CUDA_DRIVER", str(tmp_path / "uvm"))
    monkeypatch.setenv(gpu.VISIBLE, "0")
    with (tmp_path / "uvm").open("w"):
        with pytest.raises(RuntimeError, match="CUDA already runs in this process"), Binding(("1",))():
            pass
        with Binding(("0",))() as addresses:
            assert addresses == ("0",)
    with Binding(("1",))() as addresses:
        assert addresses == ("1",)


def test_a_worker_on_a_gpu_is_bound_once_for_all_its_cases(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """CUDA runs from the first case on, so nothing could be bound for the second; an engine may still ask."""
    monkeypatch.setattr(gpu, "CUDA_DRIVER", str(tmp_path / "uvm"))
    for variable in (gpu.VISIBLE, *gpu.ORDER):
        monkeypatch.setenv(variable, "")  # else what the worker sets would stay after the test
        monkeypatch.delenv(variable)
    profile = Local(name="here", kind="local")
    grant = Grant(cpus=(0,), memory_bytes=2**30, heap_bytes=2**29, gpus=(1,))
    opening = Open(
        profile=profile,
        budget=Budget(cores=1, node=grant, driver=grant, gpus=1),
        endpoint=None,
        placement="node",
        threads=1,
        device="gpu",
        cgroup=None,
        limited=False,
        scratch=tmp_path,
    )
    cpus = os.sched_getaffinity(0)
    worker = Worker(opening, io.StringIO())
    try:
        worker.open()
        for _ in range(2):
            with (tmp_path / "uvm").open("w"), worker.bind_gpu() as addresses:
                assert (addresses, os.environ[gpu.VISIBLE]) == (("1",), "1")
        assert os.environ[gpu.VISIBLE] == "1"
    finally:
        os.sched_setaffinity(0, cpus)


def holding(address: str, began: float, ended: float) -> Holding:
    return Holding(addresses=(address,), visible=address, visible_after=None, began=began, ended=ended, process=1)


def test_two_tasks_on_one_gpu_at_once_are_found() -> None:
    first, second, third = holding("0", 0, 2), holding("1", 1, 3), holding("0", 1.5, 4)
    assert overlapping([first, second, third]) == [(first, third)]
    assert overlapping([first, second, holding("0", 2, 4)]) == []


SCHEDULE = """
import json, sys
from pathlib import Path
from cluster import java, lifecycle
from cluster.budget import budget
from cluster.profile import Standalone, cache_folder
from sparkscale.measure.doctor.gpu import held_gpus

folder = Path(sys.argv[1])
profile = Standalone(
    name="two-by-two",
    kind="standalone",
    workers=2,
    cores=4,
    memory="1500m",
    driver_memory="1g",
    gpus=2,
    oversubscribe=True,
    encrypt=True,
)
granted, jdk = budget(profile), java.find(cache_folder())
assert granted.oversubscribed
assert [daemon.gpus for daemon in granted.daemons] == [(0, 1), (2, 3)]
with lifecycle.cluster_for(profile, granted, jdk, folder / "cluster", folder / "logs") as cluster:
    held = held_gpus(cluster, 8, folder / "worker.log", folder / "worker")
print(json.dumps([found.model_dump() for found in held]))
"""


@pytest.mark.slow
@pytest.mark.spark
def test_no_gpu_is_ever_held_by_two_tasks_at_once(ask: Ask, tmp_path: Path) -> None:
    """A real Master and two Workers, each with four cores and two made-up GPUs: eight tasks, of which by cores all
    could run at once."""
    done = ask("-c", SCHEDULE, str(tmp_path), timeout=240, FAKE_GPUS="4")
    assert done.returncode == 0, done.stderr[-3000:]
    held = [Holding.model_validate(found) for found in json.loads(done.stdout)]
    assert len(held) == 8
    assert overlapping(held) == []
    assert {found.addresses for found in held} == {("0",), ("1",), ("2",), ("3",)}
    assert [found.visible for found in held] == [found.addresses[0] for found in held]
    assert {found.visible_after for found in held} == {None}
    assert len({found.process for found in held}) == 8  # a process that ran CUDA on one GPU cannot get another


RANKS = """
import faulthandler, json, os, sys
from pathlib import Path
from cluster import java, lifecycle, session
from cluster.budget import budget
from cluster.endpoint import existing
from cluster.profile import Local, Standalone, cache_folder
from workloads.libraries.torch_processes import run_distributed

faulthandler.dump_traceback_later(110, exit=True)  # a training that hangs ends, and says where
folder, kind = Path(sys.argv[1]), sys.argv[2]
small = {"workers": 2, "cores": 1, "memory": "1500m", "driver_memory": "1g", "gpus": 1}
profile = Local(name="here", kind=kind) if kind == "local" else Standalone(name="two", kind=kind, **small)
granted, jdk = budget(profile), java.find(cache_folder())
assert granted.gpus == 2


def where():
    import torch.distributed as dist
    from workloads.libraries.torch_processes import own_device

    dist.init_process_group("gloo")  # nccl would need the hardware
    own = dist.get_rank(), own_device("cuda"), os.environ["CUDA_VISIBLE_DEVICES"], os.environ["CUDA_DEVICE_ORDER"]
    every = [None] * dist.get_world_size()
    dist.all_gather_object(every, own)
    return every


def bound(endpoint):
    runtime = session.start(profile, granted, endpoint, 1, "gpu", folder / "session")
    try:
        return run_distributed(runtime.spark, where, processes=2, use_gpu=True)
    finally:
        runtime.stop()


os.environ.update(jdk.environment())
if kind == "local":
    found = bound(existing(profile))
else:
    with lifecycle.cluster_for(profile, granted, jdk, folder / "cluster", folder / "logs") as cluster:
        found = bound(cluster.endpoint)
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.parametrize("kind", ["local", "standalone"])
def test_each_rank_of_a_training_has_a_device_of_its_own(ask: Ask, tmp_path: Path, kind: str) -> None:
    """What TorchDistributor asks Spark for, and what it tells each rank; with NCCL it would use them.

    There are two attempts: TorchDistributor chooses a free port, closes it, and lets rank 0 open it seconds later. On
    a busy machine another process may have it by then. Where few ports were free, three of four trainings failed.
    """
    for attempt in ("first", "second"):
        folder = tmp_path / attempt
        done = ask("-c", RANKS, str(folder), kind, timeout=150, FAKE_GPUS="2", CUDA_VISIBLE_DEVICES="1,0")
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = json.loads(done.stdout.splitlines()[-1])
    assert [rank for rank, *_ in ranks] == [0, 1]
    devices = []
    for _, device, visible, order in ranks:
        assert order == "PCI_BUS_ID"
        devices.append(visible.split(",")[int(device.removeprefix("cuda:"))])
    assert sorted(devices) == ["0", "1"]


def test_a_task_that_is_given_no_gpu_is_told_so() -> None:
    with pytest.raises(RuntimeError, match="grants none"):
        hold(Binding(), 0.0, 0)


@pytest.mark.filterwarnings("ignore:.*(Device is changed|No visible GPU)")
def test_a_training_that_falls_back_to_the_cpu_fails(runs: Callable[..., Context]) -> None:
    """Here XGBoost finds no device, warns, and would train on the CPU."""
    if gpu.discover().devices:
        pytest.skip("this host has a GPU")
    run = runs(boosting.WORKLOAD, boosting.XGBoost, 1 / 64, boosting.BoostingParams(trees=2), device="gpu")
    engine = boosting.XGBoost()
    with pytest.raises(DeviceError, match=r"XGBoost trained on 'cpu', not on a GPU"):
        engine.fit(run, engine.load(run))


@pytest.mark.gpu
def test_a_training_on_the_gpu_says_so_itself(runs: Callable[..., Context]) -> None:
    found = gpu.discover()
    if not found.devices:
        pytest.skip(f"no GPU: {found.reason}")
    run = runs(boosting.WORKLOAD, boosting.XGBoost, 1 / 64, boosting.BoostingParams(trees=2), device="gpu")
    engine = boosting.XGBoost()
    model = engine.fit(run, engine.load(run))
    xgboost_common.check_ran_on_gpu(model)
    assert len(engine.predict(run, model).score) == run.data.holdout_rows
