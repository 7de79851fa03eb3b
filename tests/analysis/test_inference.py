"""What is said of batch inference, from a store of records with known times."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkscale.analysis.blocks import Chart, Column
from sparkscale.analysis.every_metric import metrics
from sparkscale.analysis.patterns.data_parallel import comparison as tradeoff
from sparkscale.analysis.patterns.inference import comparison as inference
from sparkscale.analysis.report import report
from sparkscale.contract.case import Case
from sparkscale.contract.record import RunRecord
from sparkscale.present import cells
from sparkscale.store.store import Store
from tests.analysis.reading import said, shown
from tests.builders import Writer, case_of, invocation, record
from workloads import registry

RATE = Column("a second", ",.0f", beyond="timeout", counts=True)

ROWS = 1000


def case(engine: str, threads: int = 0, batch_rows: int = 10_000) -> Case:
    return case_of(
        workload="inference.boosting",
        pattern="inference",
        engine=engine,
        placement="node" if engine == "single-process" else "spark",
        dataset="flights",
        dataset_id="d",
        rows=ROWS,
        fraction=1.0,
        params={
            "set": "aligned",
            "model": {"trees": 100},
            "train_fraction": 0.25,
            "threads": threads,
            "batch_rows": batch_rows,
            "arguments": {},
        },
    )


class Predictions:
    """Adds records of engines on the same rows."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.write = Writer(store)
        self.records: list[RunRecord] = []

    def __call__(self, measured: Case, *rounds: float, loads: float = 2, load_seconds: float = 0.1) -> None:
        for number, seconds in enumerate(rounds, start=1):
            self.write.count += 1
            made = record(f"p{self.write.count}")
            figures = {
                "model_bytes": 2.0**20,
                "model_loads": loads,
                "model_load_seconds": load_seconds,
                "bytes_read": 2.0**22,
                "bytes_written": 2.0**21,
            }
            changed = {
                "case": measured,
                "round": number,
                "host": self.write.host,
                "seconds": {"load": seconds / 10, "predict": seconds * 9 / 10},
                "figures": figures,
                "quality": {"difference": 0.0},
            }
            kept = made.model_copy(update=changed)
            self.store.add(kept, {})
            self.records.append(kept)


@pytest.fixture
def predictions(tmp_path: Path) -> Iterator[Predictions]:
    with Store.open(tmp_path) as store:
        store.begin(invocation())
        yield Predictions(store)


def everything(add: Predictions) -> None:
    add(case("single-process", threads=1), 4.0, 4.0, 4.0, loads=1)
    add(case("single-process"), 2.0, 2.5, 2.0, loads=1)
    add(case("parquet-map"), 2.2, 2.5, 2.4)
    add(case("arrow-in"), 3.0, 3.0, 3.0)
    add(case("map-in-arrow"), 4.0, 5.0, 4.0)
    add(case("pandas-udf"), 10.0, 10.0, 10.0, loads=40, load_seconds=12.0)


def test_engines_are_compared_by_rows_per_second_round_by_round(predictions: Predictions) -> None:
    everything(predictions)
    (found,) = inference.comparisons(predictions.records)
    native, alone = found.native, found.one_thread
    assert native and alone and alone.label == "single-process, 1 thread"
    variants = {variant.label: variant for variant in found.variants}
    assert variants["parquet-map"].over(native) == pytest.approx([2.0 / 2.2, 1.0, 2.0 / 2.4])
    assert list(variants["parquet-map"].rates.values()) == pytest.approx([ROWS / 2.2, ROWS / 2.5, ROWS / 2.4])
    efficiency = native.efficiency(alone)
    assert efficiency
    assert (efficiency.low, efficiency.median) == (0.8, 1.0)
    assert metrics(registry.descriptions())["rows_per_second"].samples(predictions.records)[0] == ROWS / 4.0


def test_the_spark_tax_is_told_rung_by_rung(predictions: Predictions) -> None:
    everything(predictions)
    (found,) = inference.comparisons(predictions.records)
    assert [variant.label for variant in found.rungs] == [
        "single-process, 1 thread",
        "single-process",
        "parquet-map",
        "arrow-in",
        "map-in-arrow",
    ]
    text = shown(predictions.store)
    assert "1,000 rows; the model takes 1.0 MiB; each engine reads 4.0 MiB and writes 2.0 MiB" in text
    assert "The Spark tax" in text
    for words in ("native, one thread", "native, all cores", "inside Spark's tasks", "a DataFrame in and out"):
        assert words in text


@pytest.mark.parametrize(
    "measured",
    [
        (case("single-process"), case("parquet-map"), case("arrow-in"), case("map-in-arrow")),
        (case("single-process", threads=1), case("parquet-map"), case("arrow-in")),
        (case("single-process", threads=1), case("map-in-arrow")),
    ],
    ids=["no single thread", "no last rung", "nothing between"],
)
def test_without_its_ends_there_is_no_tax(predictions: Predictions, measured: tuple[Case, ...]) -> None:
    for one in measured:
        predictions(one, 2.0)
    (found,) = inference.comparisons(predictions.records)
    assert found.rungs == []
    assert "The Spark tax" not in shown(predictions.store)


def test_a_timeout_is_slower_than_any_rate_and_leaves_no_ratio(predictions: Predictions) -> None:
    """One rate of 1,000 rows a second and two timeouts were printed as 1.0, and as twice the native rate."""
    predictions(case("single-process"), 2.0, 2.0, 2.0)
    predictions(case("parquet-map"), 1.0)
    for number in (2, 3):
        predictions.write(case("parquet-map"), number, outcome="timeout", phase="predict")
    (found,) = inference.comparisons(predictions.store.records())
    variant, native = found.variant("parquet-map"), found.native
    assert variant and native
    assert cells.text(variant.rows_per_second, RATE) == "timeout (timeout–1,000) [1 of 3]"
    assert cells.text(native.rows_per_second, RATE) == "500"
    assert variant.over(native) == native.over(variant) == []
    assert variant.efficiency(native) is None


def test_a_chart_has_no_median_of_the_executions_that_a_timeout_left_over(predictions: Predictions) -> None:
    everything(predictions)
    for number in (4, 5):
        predictions.write(case("arrow-in"), number, outcome="timeout", phase="predict")
    blocks = report(predictions.store, predictions.store.invocation(), has_charts=True)
    rates, tax = [block for block in blocks if isinstance(block, Chart)]
    assert "arrow-in" not in [series.name for series in rates.series]
    assert len([dot for dot in rates.dots if dot.series == "arrow-in"]) == 3
    assert [(one.series, one.reason) for one in rates.failed] == [("arrow-in", "timeout: because timeout")]
    assert tax.kind == "ranking"  # the bars of a waterfall would end at the wrong places


def test_the_spark_tax_is_a_waterfall_of_seconds(predictions: Predictions) -> None:
    everything(predictions)
    blocks = report(predictions.store, predictions.store.invocation(), has_charts=True)
    (tax,) = [block for block in blocks if isinstance(block, Chart) and block.kind == "waterfall"]
    assert [(one.name, round(one.x[0], 6)) for one in tax.series] == [
        ("native, all cores (single-process)", 2000.0),
        ("parquet-map: inside Spark's tasks, on Parquet references", 2400.0),
        ("arrow-in: rows read by Spark, Arrow in", 3000.0),
        ("map-in-arrow: a DataFrame in and out", 4000.0),
    ]


def test_one_sentence_names_the_engine_and_why(predictions: Predictions) -> None:
    everything(predictions)
    (found,) = inference.comparisons(predictions.records)
    text = said(inference.advice(found))
    assert text.startswith(
        "Use single-process, while one node is fast enough. "
        "It applies 1.10 (1.00–1.20) times as many rows per second as parquet-map (not resolved)"
    )
    assert text in " ".join(shown(predictions.store).split())


def test_a_model_that_is_loaded_too_often_is_named(predictions: Predictions) -> None:
    predictions(case("pandas-udf"), 10.0, loads=40, load_seconds=12.0)
    predictions(case("pandas-udf-iterator"), 3.0, loads=2, load_seconds=0.6)
    (found,) = inference.comparisons(predictions.records)
    assert said(inference.advice(found)) == (
        "Use pandas-udf-iterator. It applies 3.33 times as many rows per second as pandas-udf (not resolved). "
        "pandas-udf loads the model 40 times: 60% of its core time."
    )


def test_a_model_that_loads_quickly_is_not_named(predictions: Predictions) -> None:
    """40 loads that take 5 % of the core time."""
    predictions(case("pandas-udf"), 10.0, loads=40, load_seconds=1.0)
    predictions(case("pandas-udf-iterator"), 3.0, loads=2, load_seconds=0.6)
    (found,) = inference.comparisons(predictions.records)
    assert said(inference.advice(found)) == (
        "Use pandas-udf-iterator. It applies 3.33 times as many rows per second as pandas-udf (not resolved)."
    )


def test_sizes_of_batches_are_told_apart(predictions: Predictions) -> None:
    predictions(case("map-in-arrow", batch_rows=500), 5.0)
    predictions(case("map-in-arrow", batch_rows=50_000), 2.0)
    predictions(case("parquet-map"), 1.0)
    (found,) = inference.comparisons(predictions.records)
    assert [variant.label for variant in found.variants] == [
        "map-in-arrow, batches of 500",
        "map-in-arrow, batches of 50,000",
        "parquet-map",
    ]
    fastest = found.variant("map-in-arrow")
    assert fastest and fastest.batch_rows == 50_000


def test_a_failed_case_has_no_rate_and_is_named(predictions: Predictions) -> None:
    predictions(case("parquet-map"), 1.0)
    predictions.write(case("map-in-arrow"), 1, outcome="invalid")
    text = shown(predictions.store)
    assert "because invalid" in text
    assert inference.advice(inference.comparisons(predictions.store.records())[0]) is None
    assert not tradeoff.comparisons(predictions.store, predictions.records)


def test_an_engine_that_the_suite_gives_one_thread_is_an_engine_of_its_own(predictions: Predictions) -> None:
    predictions(case("single-process"), 2.0, 2.0, 2.0)
    predictions(case("single-process").model_copy(update={"threads": 1}), 1.0, 1.0, 1.0)
    predictions(case("parquet-map"), 4.0, 4.0, 4.0)
    (found,) = inference.comparisons(predictions.records)
    assert {variant.label for variant in found.variants} == {
        "single-process",
        "single-process, 1 thread",
        "parquet-map",
    }
    assert found.native and found.one_thread
    assert (found.native.label, found.one_thread.label) == ("single-process", "single-process, 1 thread")
    assert said(inference.advice(found)).startswith(
        "Use single-process, while one node is fast enough. It applies 2."
    )
