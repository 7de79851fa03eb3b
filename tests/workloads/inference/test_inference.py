"""Every engine's predictions against the reference, what they note of themselves, and what goes wrong."""

import contextlib
import hashlib
import os
import pickle
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.session import SparkRuntime
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW, PreparedDataset
from sparkscale.contract.errors import InvalidResult, ModelError, OutputError
from tests.workloads.altering import changed
from workloads import registry
from workloads.base import Params, Workload
from workloads.data_parallel.gradient_boosting import BoostingParams
from workloads.data_parallel.mlp import MlpParams
from workloads.data_parallel.random_forest import ForestParams
from workloads.datasets.tabular import Classification, Regression
from workloads.inference import boosting, forest, mlp
from workloads.inference.formats import PickledForest, StateDict, Ubjson
from workloads.inference.job import load
from workloads.inference.models import SCORE, content_of
from workloads.inference.output import Output
from workloads.inference.pattern import Written, difference, output_of
from workloads.io.filesystem import read_parquet
from workloads.libraries.tasks import Here

Runs = Callable[..., Context]

SMALL: dict[str, tuple[Workload, Params]] = {
    "boosting": (boosting.WORKLOAD, BoostingParams(trees=4, depth=3)),
    "forest": (forest.WORKLOAD, ForestParams(trees=3, depth=5)),
    "mlp": (mlp.WORKLOAD, MlpParams(hidden=(16,), epochs=1)),
}
BATCH_ROWS = 500
LOADED_BY_TASK = ("pandas-udf-iterator", "map-in-pandas", "map-in-arrow", "arrow-udf", "arrow-in", "parquet-map")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage location for tests that leave the models there as they are: each is trained once."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """A data set that is quick to copy."""
    return Classification(rows=3000, features=6).prepare(str(tmp_path_factory.mktemp("small")), Here())


@pytest.fixture(scope="module")
def many_rows(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return Classification(rows=1_200_000, features=20).prepare(str(tmp_path_factory.mktemp("many-rows")), Here())


def prepared(
    runs: Runs, storage: Path, model: str, engine: str, spark: SparkRuntime | None, **options: Any
) -> tuple[Context, Any]:
    """A context whose model lies ready, and the engine."""
    workload, params = SMALL[model]
    kind = workload.engine(engine)
    small = workload.params.changed(
        {"model": params.model_dump(), "train_fraction": 1 / 64, "batch_rows": BATCH_ROWS}
    )
    fraction = options.pop("fraction", 1 / 32)
    run = runs(workload, kind, fraction, small, spark=spark if kind.placement == "spark" else None, **options)
    run.storage = str(storage)
    made: Any = workload.create_engine(engine, "aligned")
    training = runs(workload, kind, fraction, small, spark=spark, **options)
    training.storage = str(storage)
    run.model = made.prepared_model(training)
    training.stack.close()
    return run, made


def ran(run: Context, engine: Any) -> tuple[Written, dict[str, float]]:
    workload = registry.workloads()[run.case.workload]
    workload.quality.check(run)
    written = engine.predict(run, engine.load(run))
    return written, workload.quality.score(run, written)


CASES = [(model, engine.name) for model, (workload, _) in SMALL.items() for engine in workload.engines]


@pytest.mark.spark
@pytest.mark.parametrize(("model", "engine"), CASES)
def test_parity_of_every_engine_with_the_reference(
    runs: Runs, spark: SparkRuntime, models: Path, model: str, engine: str
) -> None:
    run, made = prepared(runs, models, model, engine, spark)
    written, quality = ran(run, made)
    assert quality["difference"] <= made.format.tolerance
    found = read_parquet([written.output.location]).sort_by(ROW)
    wanted = read_parquet(run.train_paths, [ROW]).sort_by(ROW)
    assert found.column(ROW).equals(wanted.column(ROW))
    assert len(np.unique(found.column(SCORE).to_numpy())) > 10
    loads = run.figures["model_loads"]
    batches = run.case.rows / BATCH_ROWS
    if engine == "pandas-udf":
        assert loads >= batches
    elif engine in LOADED_BY_TASK:
        assert loads == run.slots
    elif engine == "pandas-udf-cached":
        assert 1 <= loads <= run.slots + 1
    else:
        assert loads >= 1
    assert run.figures["model_load_seconds"] > 0
    assert run.figures["bytes_written"] > run.case.rows
    run.stack.close()
    assert not Path(written.output.location).exists()


@pytest.mark.spark
def test_regressions_are_values_not_probabilities(runs: Runs, spark: SparkRuntime, tmp_path: Path) -> None:
    data = Regression(rows=2000, features=8).prepare(str(tmp_path / "cache"), Here())
    for engine in ("single-process", "map-in-arrow", "mllib-transform", "xgboost-spark-transform"):
        run, made = prepared(runs, tmp_path, "boosting", engine, spark, on=data, fraction=1.0)
        written, quality = ran(run, made)
        assert read_parquet([written.output.location]).column(SCORE).to_numpy().std() > 0.1
        assert quality["difference"] < 1e-3
        run.stack.close()


def test_a_model_is_trained_once_and_named_by_what_made_it(runs: Runs, tmp_path: Path) -> None:
    first, _ = prepared(runs, tmp_path, "boosting", "single-process", None)
    again, _ = prepared(runs, tmp_path, "boosting", "single-process", None)
    other, _ = prepared(runs, tmp_path, "boosting", "single-process", None, fraction=1 / 16)
    assert first.model and again.model and other.model
    assert again.model == first.model
    assert (other.model.root, other.model.content_hash) == (first.model.root, first.model.content_hash)
    assert other.model.reference != first.model.reference
    assert first.model.definition["arguments"]["n_estimators"] == 4


def test_a_model_that_is_not_what_the_manifest_says_is_not_loaded(runs: Runs, tmp_path: Path) -> None:
    run, engine = prepared(runs, tmp_path, "forest", "single-process", None)
    assert run.model is not None
    file = Path(run.model.root) / PickledForest.file
    content = file.read_bytes()

    class Harmful:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "harm"),)

    harmful = pickle.dumps(Harmful())
    for bad, said in (
        (content[:-100], "it is truncated"),
        (harmful.ljust(len(content), b"\0"), "has another hash than the store's manifest says"),
    ):
        file.write_bytes(bad)
        with pytest.raises(ModelError, match=said):
            engine.load(run)
        run.stack.close()
    file.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        engine.load(run)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(("form", "content"), [(Ubjson, b"no trees"), (StateDict, b"no weights")])
def test_a_model_of_another_type_is_named(runs: Runs, tmp_path: Path, form: Any, content: bytes) -> None:
    """The manifest vouches for the file, and it is none of the library's models."""
    run, _ = prepared(runs, tmp_path, "boosting", "single-process", None)
    assert run.model is not None
    other = changed_model(run, form.file, content)
    with pytest.raises(ModelError, match=f"is not a model of the format {form.name}"):
        load(form(), other, run.data, 1, "cpu")


def changed_model(run: Context, path: str, content: bytes) -> Any:
    assert run.model is not None
    (Path(run.model.root) / path).write_bytes(content)
    entry = run.model.files[0].model_copy(
        update={"path": path, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    )
    found = run.model.model_copy(update={"files": (entry,)})
    assert content_of(found, path) == content
    return found


def without(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns([name]) if name in table.column_names else table


def as_text(name: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        if name not in table.column_names:
            return table
        place = table.column_names.index(name)
        return table.set_column(place, name, table.column(name).cast(pa.string()))

    return change


def with_nulls(name: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        if name not in table.column_names:
            return table
        place, values = table.column_names.index(name), table.column(name).to_pylist()
        values[0] = None
        return table.set_column(place, name, pa.array(values, table.schema.field(name).type))

    return change


@pytest.mark.spark
@pytest.mark.parametrize("engine", ["single-process", "map-in-arrow", "parquet-map"])
def test_rows_that_do_not_fit_the_model_are_refused(
    runs: Runs, spark: SparkRuntime, small: PreparedDataset, models: Path, tmp_path: Path, engine: str
) -> None:
    name = small.features[0]
    for number, (change, said) in enumerate(
        (
            (without(name), f"The rows lack the feature '{name}'"),
            (as_text(name), f"The feature '{name}' is of type string"),
            (with_nulls(name), f"The feature '{name}' has rows without a value"),
        )
    ):
        run, made = prepared(runs, models, "forest", engine, spark, on=small, fraction=1.0)
        run.data = changed(small, tmp_path / f"changed-{number}", change)
        with pytest.raises(ModelError, match=said):
            made.predict(run, made.load(run))
        assert not Path(output_of(run).location).exists()
        run.stack.close()


def test_trees_of_xgboost_take_rows_without_a_value(runs: Runs, small: PreparedDataset, tmp_path: Path) -> None:
    run, made = prepared(runs, tmp_path, "boosting", "single-process", None, on=small, fraction=1.0)
    run.data = changed(small, tmp_path / "changed", with_nulls(small.features[0]))
    written = made.predict(run, made.load(run))
    assert np.isfinite(read_parquet([written.output.location]).column(SCORE).to_numpy()).all()


@pytest.mark.spark
@pytest.mark.parametrize("engine", ["single-process", "map-in-arrow", "parquet-map"])
def test_an_output_that_exists_is_not_written_over(
    runs: Runs, spark: SparkRuntime, models: Path, engine: str
) -> None:
    run, made = prepared(runs, models, "boosting", engine, spark)
    there = Path(output_of(run).location)
    there.mkdir(parents=True)
    (there / "kept").write_text("kept")
    with pytest.raises(OutputError, match="exists: nothing was written over it"):
        made.predict(run, made.load(run))
    assert (there / "kept").read_text() == "kept"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for a model, and not for the predictions."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.spark
@pytest.mark.parametrize("engine", ["single-process", "map-in-arrow", "arrow-in", "parquet-map"])
def test_a_full_disk_is_named_and_leaves_nothing_that_looks_complete(
    runs: Runs, spark: SparkRuntime, models: Path, tiny_disk: Path, engine: str
) -> None:
    run, made = prepared(runs, models, "boosting", engine, spark, fraction=1 / 8)
    run.storage = str(tiny_disk)
    loaded = made.load(run)
    with pytest.raises(OutputError, match="The disk is full: the output"):
        made.predict(run, loaded)
    assert not output_of(run).is_complete
    assert not Path(output_of(run).location).exists()


def table_of(rows: list[int], score: float = 0.5) -> pa.Table:
    return pa.table({ROW: pa.array(rows, pa.int64()), SCORE: np.full(len(rows), score)})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([0, 1, 3], "1 are missing, 0 are repeated, 0 do not belong to the case"),
        ([0, 1, 2, 3, 3], "0 are missing, 1 are repeated, 0 do not belong to the case"),
        ([0, 1, 2, 3, 9], "0 are missing, 0 are repeated, 1 do not belong to the case"),
    ],
)
def test_an_output_without_each_row_once_is_invalid(tmp_path: Path, rows: list[int], said: str) -> None:
    for name, content in (("output", rows), ("reference", [0, 1, 2, 3])):
        (tmp_path / name).mkdir()
        pq.write_table(table_of(content), tmp_path / name / "a.parquet")
    with pytest.raises(InvalidResult, match=said):
        difference(str(tmp_path / "output"), str(tmp_path / "reference"), 4)


def test_a_prediction_that_differs_is_invalid(runs: Runs, tmp_path: Path) -> None:
    run, made = prepared(runs, tmp_path, "boosting", "single-process", None)
    written = made.predict(run, made.load(run))
    (file,) = Path(written.output.location).glob("*.parquet")
    table = pq.read_table(file)
    scores = table.column(SCORE).to_numpy().copy()
    scores[7] += 1e-3
    pq.write_table(table.set_column(1, SCORE, pa.array(scores)), file)
    with pytest.raises(InvalidResult, match=r"differs from the reference by 0\.001"):
        registry.workloads()["inference.boosting"].quality.score(run, written)


def test_a_reader_sees_a_part_once_or_not_at_all(tmp_path: Path) -> None:
    """An attempt that died half-way, and one that was made twice, as Spark's speculation does."""
    output = Output(str(tmp_path / "out"))
    output.begin()
    good = output.write([table_of([0, 1])])
    output.write([table_of([0, 1])])

    def dying() -> Iterator[pa.Table]:
        yield table_of([2])
        raise OSError("made to fail")

    with pytest.raises(OSError, match="made to fail"):
        output.write(dying())
    assert not output.is_complete
    output.commit([good])
    assert output.is_complete
    assert pq.read_table(output.location).column(ROW).to_pylist() == [0, 1]


class Watch(threading.Thread):
    """The most resident memory that one Python worker of Spark's had while it ran."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.05):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "pyspark.daemon" in " ".join(process.cmdline()):
                        self.most = max(self.most, process.memory_info().rss)

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()


@pytest.mark.spark
@pytest.mark.parametrize("engine", ["parquet-map", "map-in-arrow"])
def test_a_task_s_memory_does_not_grow_with_the_rows(
    runs: Runs, spark: SparkRuntime, many_rows: PreparedDataset, models: Path, engine: str
) -> None:
    """Eight times the rows, the same model: what Python holds of them stays the same."""
    held = []
    for fraction in (1 / 8, 1.0):
        run, made = prepared(runs, models, "boosting", engine, spark, on=many_rows, fraction=fraction)
        with Watch() as watch:
            ran(run, made)
        run.stack.close()
        held.append(watch.most)
    assert 0 < held[1] < 1.3 * held[0]
