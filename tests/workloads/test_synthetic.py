"""Synthetic data: the same however it is made, with a truth that is what it says, in parts that no memory limits."""

import hashlib
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from cluster.session import SparkRuntime
from sparkscale.contract.dataset import LABEL, ROW, TIME, TRUTH, UNIT, PreparedDataset
from sparkscale.contract.errors import ConfigError, DatasetError
from sparkscale.contract.location import join
from workloads.datasets import training_slices
from workloads.datasets.blobs import Blobs
from workloads.datasets.devices import Devices, wave
from workloads.datasets.random_streams import BELL_STD, Stream, exact_sum, sigmoid
from workloads.datasets.synthetic import Synthetic
from workloads.datasets.tabular import Classification, Regression
from workloads.datasets.training_slices import BLOCK_ROWS, mix
from workloads.io.filesystem import read_parquet
from workloads.libraries.tasks import Here, Processes, SparkTasks, Tasks

FRACTIONS = [2**-j for j in range(6, -1, -1)]
ROWS = 150_000
"""Three blocks, the last of them not full."""

SOURCES: list[Synthetic] = [
    Classification(rows=ROWS, features=12),
    Regression(rows=ROWS, features=12, seed=3),
    Blobs(rows=ROWS, features=5, clusters=7),
    Devices(rows=ROWS, devices=300, skew=1.2),
]
NAMES = [source.default_name for source in SOURCES]


@pytest.fixture(scope="module", params=SOURCES, ids=NAMES)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Synthetic, PreparedDataset]:
    source: Synthetic = request.param
    return source, source.prepare(str(tmp_path_factory.mktemp("synthetic")), Here())


def train(data: PreparedDataset, fraction: float = 1, seed: int = 0) -> pd.DataFrame:
    frame: pd.DataFrame = read_parquet(data.train_paths(fraction, seed)).to_pandas()
    return frame


def holdout(data: PreparedDataset) -> pd.DataFrame:
    frame: pd.DataFrame = read_parquet([data.holdout_path]).to_pandas()
    return frame


def test_every_row_is_there_once(made: tuple[Synthetic, PreparedDataset]) -> None:
    source, data = made
    rows = np.concatenate([train(data)[ROW], holdout(data)[ROW]])
    assert np.array_equal(np.sort(rows), np.arange(source.rows))
    assert sum(data.slice_rows) + data.holdout_rows == source.rows
    assert 0.18 < data.holdout_rows / source.rows < 0.22


def test_the_truth_is_in_the_hold_out_only(made: tuple[Synthetic, PreparedDataset]) -> None:
    _, data = made
    assert TRUTH not in train(data, 1 / 64)
    assert (TRUTH in holdout(data)) == (data.task != "clustering")
    assert not {ROW, UNIT, LABEL, TRUTH, TIME} & set(data.features)


@pytest.mark.parametrize("fraction", [1, 1 / 4, 1 / 64])
@pytest.mark.parametrize("seed", [0, 5])
def test_the_manifest_knows_the_labels_of_every_sample(
    made: tuple[Synthetic, PreparedDataset], fraction: float, seed: int
) -> None:
    """The base rate and the deviation of exactly the sample's rows, so no engine pays a job for them."""
    _, data = made
    moments = data.label_moments(fraction, seed)
    labels = train(data, fraction, seed)[LABEL].to_numpy().astype(np.float64)
    assert moments is not None
    assert moments.rows == len(labels) == data.rows(fraction, seed)
    assert moments.mean == pytest.approx(labels.mean(), rel=1e-10, abs=1e-12)
    assert moments.std == pytest.approx(labels.std(), rel=1e-10)


@pytest.mark.parametrize("source", SOURCES, ids=NAMES)
@pytest.mark.parametrize("part_blocks", [1, 2])
def test_the_order_of_the_tasks_changes_nothing(
    source: Synthetic, part_blocks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts are made smaller, so that there are several of little data."""
    monkeypatch.setattr(training_slices, "PART_BLOCKS", part_blocks)
    one = source.prepare(str(tmp_path / "one"), Here())
    other = source.prepare(str(tmp_path / "other"), Backwards())
    assert one.content_hash == other.content_hash
    assert one.slice_labels == other.slice_labels
    assert one.rows(1, 0) == sum(labels.rows for labels in one.slice_labels)
    assert len(list(Path(one.holdout_path).iterdir())) == {1: 3, 2: 2}[part_blocks]


class Backwards:
    """Tasks that come last first."""

    def map(self, function: Any, items: Any, progress: Any = None) -> list[Any]:  # noqa: ARG002
        return [function(item) for item in reversed(items)][::-1]


@pytest.mark.spark
def test_spark_tasks_processes_and_this_process_write_the_same_files(tmp_path: Path, spark: SparkRuntime) -> None:
    """Wide rows make parts of one block, so that there are several parts of little data."""
    source = Classification(rows=ROWS, features=240)
    ways: dict[str, Tasks] = {
        "one task": SparkTasks(spark.spark, 1),
        "three tasks": SparkTasks(spark.spark, 3),
        "processes": Processes(2),
    }
    told: list[tuple[int, int]] = []
    made = {
        name: source.prepare(str(tmp_path / name), tasks, progress=lambda *at: told.append(at))
        for name, tasks in ways.items()
    }
    assert len(list(Path(made["processes"].holdout_path).iterdir())) == 3
    assert len({data.content_hash for data in made.values()}) == 1
    assert (3, 3) in told
    contents = [_hashes(Path(data.root)) for data in made.values()]
    assert contents[0] == contents[1] == contents[2]


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.parquet")
    }


@pytest.mark.spark
@pytest.mark.parametrize(("rows", "seed"), [(1_000, 0), (70_000, 1), (300_000, 7)])
@pytest.mark.parametrize("as_uri", [False, True])
def test_a_sixteenth_has_the_same_rows_in_pyarrow_and_in_spark(
    rows: int, seed: int, as_uri: bool, tmp_path: Path, spark: SparkRuntime
) -> None:
    from sparkscale.contract.location import for_spark

    data = Regression(rows=rows, features=6).prepare(tmp_path.as_uri() if as_uri else str(tmp_path), Here(), (seed,))
    for sample_seed in (seed, seed + 1):  # the one that is merged, and one that is not
        paths = data.train_paths(1 / 16, sample_seed)
        ours = read_parquet(paths).sort_by(ROW)
        theirs = spark.spark.read.parquet(*map(for_spark, paths)).orderBy(ROW).toArrow()
        assert ours.num_rows == data.rows(1 / 16, sample_seed)
        assert theirs.select(ours.column_names).equals(ours.cast(theirs.schema))


@settings(max_examples=10, deadline=None)
@given(rows=st.integers(1_000, 200_000), seed=st.integers(0, 2**63 - 1), sample_seed=st.integers(0, 2**32))
def test_samples_are_nested_and_disjoint_from_the_hold_out(
    rows: int, seed: int, sample_seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = Devices(rows=rows, devices=50, seed=seed).prepare(
        str(tmp_path_factory.mktemp("nested")), Here(), (sample_seed,)
    )
    samples = [set(read_parquet(data.train_paths(f, sample_seed), [ROW])[ROW].to_pylist()) for f in FRACTIONS]
    plain = data.model_copy(update={"merged": {}})
    assert samples == [
        set(read_parquet(plain.train_paths(f, sample_seed), [ROW])[ROW].to_pylist()) for f in FRACTIONS
    ]
    assert all(smaller <= larger for smaller, larger in pairwise(samples))
    held_out = set(holdout(data)[ROW])
    assert not samples[-1] & held_out
    assert samples[-1] | held_out == set(range(rows))


@given(seed=st.integers(0, 2**63 - 1), block=st.integers(0, 2**40), column=st.integers(0, 2**33))
@settings(max_examples=25, deadline=None)
def test_a_stream_can_be_drawn_again_anywhere(seed: int, block: int, column: int) -> None:
    first, again = Stream(seed, block).words(column, 100), Stream(seed, block).words(column, 100)
    assert np.array_equal(first, again)
    for other in (Stream(seed + 1, block), Stream(seed, block + 1)):
        assert not np.array_equal(first, other.words(column, 100))
    assert not np.array_equal(first, Stream(seed, block).words(column + 1, 100))


def test_draws_are_frozen() -> None:
    """A change of NumPy, of the processor or of our code that moved a single bit would make other data of a name."""
    stream = Stream(42, 7)
    drawn = [stream.bell(0, 1000), stream.uniform(1, 1000), stream.integers(2, 1000, 17)]
    drawn += [sigmoid(drawn[0].astype(np.float64)), wave(drawn[1]), mix(drawn[2], 5)]
    assert hashlib.sha256(b"".join(values.tobytes() for values in drawn)).hexdigest() == FROZEN_DRAWS


def test_blocks_are_frozen() -> None:
    digest = hashlib.sha256()
    for source in SOURCES:
        arrays, _ = source.block(2)
        for name in sorted(arrays):
            digest.update(arrays[name].tobytes())
    assert digest.hexdigest() == FROZEN_BLOCKS


FROZEN_DRAWS = "a769973a0a4b27ac24736f91a58cd99cd9d7b4dd3eace1ee0466e9c43a52ae64"
FROZEN_BLOCKS = "d00f909c9afddfbfc9917a9a78cdfd57b50abcc6e49e4d845e061c78b17aa08c"


def test_bell_is_what_it_says() -> None:
    values = Stream(1, 2).bell(3, 1_000_000).astype(np.float64)
    assert abs(values.mean()) < 0.005
    assert values.std() == pytest.approx(1, abs=0.003)
    assert np.mean(values**4) / values.var() ** 2 == pytest.approx(2.7, abs=0.02)
    assert np.abs(values).max() <= 2 * np.sqrt(3)
    assert pytest.approx(np.sqrt(4 * (65_536**2 - 1) / 12)) == BELL_STD


def test_uniforms_and_integers_fill_their_range_evenly() -> None:
    stream = Stream(1, 2)
    u = stream.uniform(0, 500_000)
    assert 0 <= u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1
    counts = np.bincount(stream.integers(1, 500_000, 7), minlength=7)
    assert np.abs(counts / 500_000 - 1 / 7).max() < 0.003
    assert exact_sum(np.array([0.5, 0.25])) == 3 * 2**30


def test_classification_has_the_balance_and_the_ceiling_that_it_says(tmp_path: Path) -> None:
    source = Classification(rows=400_000, features=10, balance=0.1, noise=0.01)
    data = source.prepare(str(tmp_path), Here())
    rows = holdout(data)
    assert train(data)[LABEL].mean() == pytest.approx(0.1, abs=0.005)
    assert data.ceiling["auc"] == pytest.approx(metrics.roc_auc_score(rows[LABEL], rows[TRUTH]), abs=1e-4)
    assert data.ceiling["log_loss"] == pytest.approx(metrics.log_loss(rows[LABEL], rows[TRUTH]), rel=1e-9)
    # the truth is calibrated: where it says p, a share of p is positive
    bins = pd.qcut(rows[TRUTH], 10)
    said, found = rows.groupby(bins, observed=True)[TRUTH].mean(), rows.groupby(bins, observed=True)[LABEL].mean()
    assert np.abs(said - found).max() < 0.015
    assert rows[TRUTH].between(0.01, 0.99).all()


def test_regression_has_the_noise_that_it_says(tmp_path: Path) -> None:
    data = Regression(rows=200_000, features=10, noise=0.7).prepare(str(tmp_path), Here())
    rows = holdout(data)
    error = rows[LABEL] - rows[TRUTH]
    assert data.ceiling["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-9)
    assert data.ceiling["rmse"] == pytest.approx(0.7, rel=0.02)
    assert abs(np.corrcoef(error, rows[TRUTH])[0, 1]) < 0.02


def test_the_truth_has_interactions_that_no_sum_of_single_features_holds() -> None:
    """Trees of depth 6 beat trees of depth 1 by far, so there is more to learn than main effects."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    source = Regression(rows=BLOCK_ROWS, features=8, categorical=0, noise=0)
    arrays, _ = source.block(0)
    x, y = np.column_stack([arrays[column.name] for column in source.columns()]), arrays[LABEL]
    half = len(y) // 2
    scores = []
    for depth in (1, 6):
        model = HistGradientBoostingRegressor(learning_rate=0.3, max_iter=50, max_depth=depth, max_leaf_nodes=None)
        scores.append(model.fit(x[:half], y[:half]).score(x[half:], y[half:]))
    assert scores[1] > scores[0] + 0.2


def test_redundant_features_are_mixtures_and_noise_says_nothing() -> None:
    source = Regression(rows=BLOCK_ROWS, features=9, informative=3, redundant=3, categorical=0, noise=0)
    arrays, _ = source.block(0)
    for number in range(3):
        mixed = 0.6 * arrays[f"informative_{number:03d}"] + 0.8 * arrays[f"informative_{(number + 1) % 3:03d}"]
        np.testing.assert_allclose(arrays[f"redundant_{number:03d}"], mixed, atol=1e-5)
        assert arrays[f"redundant_{number:03d}"].std() == pytest.approx(1, abs=0.02)
        assert abs(np.corrcoef(arrays[f"noise_{number:03d}"], arrays[LABEL])[0, 1]) < 0.02


def test_blobs_lie_around_their_centres(tmp_path: Path) -> None:
    source = Blobs(rows=100_000, features=4, clusters=5, spread=0.5)
    data = source.prepare(str(tmp_path), Here())
    rows = holdout(data)
    x = rows[data.features].to_numpy()
    for cluster in range(5):
        np.testing.assert_allclose(x[rows[LABEL] == cluster].mean(axis=0), source.centres[:, cluster], atol=0.05)
    nearest = metrics.pairwise_distances(x, source.centres.T).min(axis=1)
    assert data.ceiling["inertia"] == pytest.approx((nearest**2).sum(), rel=1e-5)
    assert data.ceiling["inertia_per_row"] == pytest.approx(data.ceiling["inertia"] / len(rows))


def test_devices_have_zipfs_sizes_own_series_and_their_latest_fifth_held_out(tmp_path: Path) -> None:
    source = Devices(rows=200_000, devices=500, skew=1.0)
    data = source.prepare(str(tmp_path), Here())
    kept, held = train(data), holdout(data)
    rows = pd.concat([kept, held])
    sizes = rows["group_device"].value_counts().sort_index()
    assert len(sizes) == 500
    assert sizes[0] / sizes[9] == pytest.approx(10, rel=0.02)
    (grouping,) = data.groupings
    assert (grouping.groups, grouping.rows[2], grouping.trainable) == (500, sizes.max(), (sizes >= 100).sum())
    latest, earliest = kept.groupby("group_device")[TIME].max(), held.groupby("group_device")[TIME].min()
    assert (latest < earliest).all()
    assert (held[UNIT] == held["group_device"]).all()
    ordered = rows.sort_values(ROW)
    assert ordered.groupby("group_device")[TIME].is_monotonic_increasing.all()
    assert rows.groupby("group_device")[LABEL].mean().std() > 3
    keys = read_parquet([join(data.root, "groups")]).to_pandas()
    assert (keys["train_rows"] == kept["group_device"].value_counts().sort_index()).all()


def test_any_seed_makes_other_devices(tmp_path: Path) -> None:
    means = []
    for seed in (0, 1, 2**62):
        data = Devices(rows=5000, devices=50, seed=seed).prepare(str(tmp_path), Here())
        means.append(train(data).groupby("group_device")[LABEL].mean())
    for first, second in combinations(means, 2):
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.5


def test_skew_nought_makes_all_devices_alike() -> None:
    sizes = Devices(rows=10_000, devices=100, skew=0).sizes
    assert set(sizes.tolist()) == {100}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Classification(rows=2000, balance=0.01, noise=0.02), "balance must lie between 0.02 and 0.98, not at 0.01"),
        (Classification(rows=2000, features=5, informative=4, redundant=4), "are more than the 5 features"),
        (Devices(rows=1500, devices=1000), "ask for 2,000 rows or more"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    source: Synthetic, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        source.prepare(str(tmp_path), Here())
    assert list(tmp_path.iterdir()) == []


def test_too_little_disk_is_found_before_writing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"needs about [\d,.]+ GiB below .* GiB are free: ask for fewer rows"):
        Classification(rows=10**12).prepare(str(tmp_path), Here())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("storage", "scheme"), [("ftp://host/data", "ftp"), ("gopher://x/y", "gopher")])
def test_an_unsupported_scheme_is_refused(storage: str, scheme: str) -> None:
    with pytest.raises(ConfigError, match=f"the scheme '{scheme}' is not supported: use a local path or one of"):
        Classification(rows=2000).prepare(storage, Here())


def test_credentials_in_a_uri_are_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="holds credentials") as raised:
        Classification(rows=2000).prepare("s3://key:verysecret@bucket/data", Here())
    assert "verysecret" not in str(raised.value)


def test_a_damaged_slice_is_found_and_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = Regression(rows=2000, features=4)
    data = source.prepare(str(tmp_path), Here())
    victim = Path(data.root) / "train" / "slice-13" / "part-00000.parquet"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    again = source.prepare(str(tmp_path), Here())
    assert "damaged (train/slice-13/part-00000.parquet): it is prepared again" in caplog.text
    assert victim.read_bytes() == whole
    assert again.content_hash == data.content_hash
