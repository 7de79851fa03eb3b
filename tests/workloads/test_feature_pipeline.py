"""The feature pipeline's two qualities: whether the engine is right, and whether the sample is enough."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import InvalidResult
from sparkscale.contract.record import SCORES
from workloads.data_parallel import feature_pipeline as pipeline
from workloads.data_parallel.feature_pipeline import SAME_NUMBER, Learned, Matrix, SklearnPipeline
from workloads.datasets.tabular import Classification
from workloads.io.filesystem import row_groups
from workloads.libraries.tasks import Here

Runs = Callable[..., Context]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Few rows, of both kinds of columns."""
    return Classification(rows=10_000, features=12).prepare(str(tmp_path_factory.mktemp("small")), Here())


def transformed(runs: Runs, fraction: float, **options: Any) -> tuple[Context, Matrix]:
    run = runs(pipeline.WORKLOAD, SklearnPipeline, fraction, **options)
    engine = SklearnPipeline()
    return run, engine.predict(run, engine.fit(run, engine.load(run)))


def test_a_sample_is_judged_by_the_pipeline_of_all_rows(runs: Runs) -> None:
    """It was its own reference, so that every sample had 100 % equal cells and was enough."""
    judged = pipeline.WORKLOAD.quality.judged["classification"]
    shares = {}
    for fraction in (1 / 64, 1 / 4, 1):
        run, matrix = transformed(runs, fraction)
        quality = pipeline.score(run, matrix)
        assert quality["equal_cells"] == 1
        shares[fraction] = quality[pipeline.WORKLOAD.quality.judged_by[run.data.task]]
        scores = run.tables[SCORES]
        assert scores.num_rows == run.data.holdout_rows
        assert np.mean(scores.column("score").to_numpy()) == pytest.approx(shares[fraction])
        assert judged.second in quality
    assert shares[1 / 64] < shares[1 / 4] <= shares[1] == 1
    assert shares[1 / 64] < 1 - judged.tolerance


def test_the_categories_that_a_sample_lacks_are_its_lost_cells(runs: Runs) -> None:
    """Counted from the files: a cell of a category is lost where the sample has never seen its value."""
    run, matrix = transformed(runs, 1 / 64)
    holdout = pipeline.raw_frame(run, [run.data.holdout_path], holdout=True)
    own = pipeline.learned(run, run.train_paths)
    whole = pipeline.learned(run, run.data.train_paths(1, 0))
    order = np.argsort(matrix.row)
    frame = holdout.sort_values("row", ignore_index=True)
    ends = np.cumsum([block.shape[1] for block in pipeline.blocks(run, own, frame)])
    given = np.split(matrix.cells[order], ends[:-1], axis=1)
    kept = pipeline.kept_cells(run, own, whole, given, frame)
    lost = 0
    for place, name in enumerate(own.values, start=len(own.scales)):
        text = frame[name].fillna(pipeline.MISSING)
        wanted = text.isin(set(whole.values[name]) - set(own.values[name]))
        np.testing.assert_array_equal(~kept[:, place], wanted)
        lost += int(wanted.sum())
    assert lost > 0, "a sample that lacks nothing would show nothing"


@pytest.mark.parametrize(("shift", "wanted"), [(0.9, True), (1.1, False)])
@pytest.mark.parametrize("by", ["mean", "deviation"])
def test_a_number_is_kept_within_the_stated_part_of_a_deviation(
    runs: Runs, by: str, shift: float, wanted: bool
) -> None:
    """A slightly different mean does not cost every cell of its column."""
    run, _ = transformed(runs, 1 / 64)
    whole = pipeline.learned(run, run.train_paths)
    name, (mean, deviation) = next(iter(whole.scales.items()))
    off = shift * SAME_NUMBER
    moved = (mean + off * deviation, deviation) if by == "mean" else (mean, deviation / (1 + off))
    own = Learned({**whole.scales, name: moved}, whole.values)
    # cells one deviation above the mean: there both mistakes are as large as `off`
    holdout = pipeline.raw_frame(run, [run.data.holdout_path], holdout=True).head(5)
    holdout[name] = mean + deviation
    kept = pipeline.kept_cells(run, own, whole, list(pipeline.blocks(run, own, holdout)), holdout)
    assert kept[:, 0].tolist() == [wanted] * 5
    assert kept[:, 1:].all()


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda cells: cells * 1.001, id="scaled by a thousandth"),
        pytest.param(lambda cells: np.roll(cells, 1, axis=1), id="columns in another order"),
        pytest.param(lambda cells: cells[:, 1:], id="a column too few"),
        pytest.param(lambda cells: np.where(np.arange(cells.shape[1]) == 0, np.nan, cells), id="not a number"),
    ],
)
def test_a_wrong_pipeline_is_invalid_on_a_sample(
    runs: Runs, small: PreparedDataset, wrong: Callable[[Any], Any]
) -> None:
    """It was `ok`, with a smaller share of equal cells; the pipeline of all rows must not hide it either."""
    run, matrix = transformed(runs, 1 / 4, on=small)
    pipeline.score(run, matrix)
    with pytest.raises(InvalidResult, match=r"values differ from what pandas computes|The matrix has \d+ columns"):
        pipeline.score(run, Matrix(matrix.row, wrong(matrix.cells)))


def test_statistics_of_all_rows_are_read_group_by_group(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """All training rows may not fit into memory beside the case's."""
    run, _ = transformed(runs, 1 / 64)
    paths = run.data.train_paths(1, 0)
    groups = row_groups(paths)
    most = max(group.rows for group in groups)
    assert len(groups) > 1
    read: list[int] = []
    cells = pipeline.raw_cells

    def counted(run: Context, table: pa.Table, holdout: bool) -> Any:
        read.append(table.num_rows)
        return cells(run, table, holdout)

    monkeypatch.setattr(pipeline, "raw_cells", counted)
    found = pipeline.learned(run, paths)
    assert sum(read) == run.data.rows(1, 0)
    assert max(read) == most < sum(read)
    whole = pipeline.raw_frame(run, paths, holdout=False)
    for name, (mean, deviation) in found.scales.items():
        filled = whole[name].fillna(whole[name].mean())
        assert (mean, deviation) == pytest.approx((filled.mean(), filled.std(ddof=0)), rel=1e-9, abs=1e-9)
    for name, values in found.values.items():
        assert values == sorted(whole[name].fillna(pipeline.MISSING).unique())
