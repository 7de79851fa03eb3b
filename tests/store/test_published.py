"""Measurements that others published: a CSV file becomes a run, or one sentence that says what is wrong."""

import csv
import io
import re
from pathlib import Path

import pytest

from sparkscale.analysis import metrics
from sparkscale.analysis.report import report
from sparkscale.contract.case import PUBLISHED
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.present import markdown
from sparkscale.store import archive, published
from sparkscale.store.store import Store

TOOLS = Path(__file__).parents[3] / "shared" / "data" / "tools"
public = pytest.mark.skipif(not TOOLS.exists(), reason=f"{TOOLS} is not here")

HEADER = "engine,rows,seconds"


def written(folder: Path, text: str, name: str = "others.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def imported(folder: Path, text: str) -> list[RunRecord]:
    """The records of a CSV file with this text, in a new store."""
    published.take(written(folder, text), folder / "out")
    with Store.existing(folder / "out") as store:
        return store.records()


def shown(folder: Path, run: str | None = None) -> str:
    with Store.existing(folder) as store:
        return markdown.written(report(store, store.invocation(identity=run)))


def test_the_three_required_columns_are_enough(tmp_path: Path) -> None:
    small, large = imported(tmp_path, f"{HEADER}\nspark,300,2.5\nspark,1000,4\n")
    assert (small.case.workload, small.case.dataset) == ("imported.others", "others")
    assert (small.case.rows, small.case.fraction, large.case.fraction) == (300, 0.3, 1.0)
    assert small.case.dataset_id == large.case.dataset_id
    assert (small.case.placement, small.case.cluster) == ("spark", "cores not stated")
    assert metrics.time_to_model(small) == 2.5
    assert (small.outcome, small.temperature, small.isolated, small.round) == ("ok", "warm", False, 0)


def test_what_a_file_cannot_say_is_null(tmp_path: Path) -> None:
    (record,) = imported(tmp_path, f"{HEADER}\nspark,300,2.5\n")
    assert (record.resources.cores, record.resources.threads, record.resources.page_cache) == (None, None, None)
    assert (record.resources.peak_pss_bytes, record.case.threads, record.case.task) == (None, None, None)
    assert (record.started_at, record.session, record.jvm, record.data) == (None, None, None, None)
    assert (record.code.commit, record.quality) == (None, {})
    with Store.existing(tmp_path / "out") as store:
        assert store.description(record.host).content["published"] == "others.csv"
        assert store.description(record.software).content["published"] == "others.csv"


def test_every_column_has_its_place(tmp_path: Path) -> None:
    text = (
        "engine,rows,seconds,hardware,where,workers,cores,auc,log_loss,quality,placement,device,workload,dataset,"
        "round,memory_gb,trees,objective\n"
        "a,1e6,9,r4.8xlarge,cluster,10,320,0.75,0.5,3,spark,gpu,boosting,flights,2,1.5,100.0,binary\n"
    )
    (record,) = imported(tmp_path, text)
    case = record.case
    assert (case.cluster, case.cluster_kind) == ("r4.8xlarge, cluster, 10 workers, 320 cores", PUBLISHED)
    assert (case.workload, case.dataset, case.rows) == ("boosting", "flights", 1_000_000)
    assert (case.placement, case.device, case.task, record.round) == ("spark", "gpu", "classification", 2)
    assert record.quality == {"auc": 0.75, "log_loss": 0.5, "quality": 3.0}
    assert case.stated == {"trees": 100, "objective": "binary"}
    assert (record.resources.cores, record.resources.peak_pss_bytes) == (320, 1_500_000_000)
    judged = record.declared.judged["classification"]
    assert (judged.quality, judged.direction, judged.estimator) == ("auc", "higher", None)
    assert record.declared.beside == ("log_loss", "quality")


@pytest.mark.parametrize(
    ("engine", "placement"),
    [
        ("mllib", "spark"),
        ("Spark", "spark"),
        ("xgboost-spark", "spark"),
        ("h2o-sparkling", "spark"),
        ("H2O", "node"),
        ("lightgbm", "node"),
    ],
)
def test_the_name_of_an_engine_says_where_it_runs(tmp_path: Path, engine: str, placement: str) -> None:
    (record,) = imported(tmp_path, f"{HEADER}\n{engine},300,2.5\n")
    assert record.case.placement == placement


def test_a_failure_has_no_time_and_a_timeout_has_its_limit(tmp_path: Path) -> None:
    text = f"{HEADER},outcome\na,10,5,\nb,10,600,timeout\nc,10,7,oom\nd,10,,failed\n"
    records = imported(tmp_path, text)
    assert [(record.outcome, record.seconds) for record in records] == [
        ("ok", {"published": 5.0}),
        ("timeout", {}),
        ("oom", {}),
        ("failed", {}),
    ]
    assert [record.deadline_seconds for record in records] == [None, 600.0, None, None]
    assert "600" in shown(tmp_path / "out")


def test_rows_without_seconds_and_outcome_are_skipped_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEADER},cores\na,10,5,1\n\nb,10,,1\n,,,\nc,,,\n")
    done = published.take(path, tmp_path / "out")
    assert (done.records, done.skipped) == (1, 3)


def test_a_bom_and_the_line_ends_of_windows_are_read(tmp_path: Path) -> None:
    (record,) = imported(tmp_path, "\ufeff" + f"{HEADER}\r\n a , 10 ,5\r\n")
    assert (record.case.engine, record.case.rows) == ("a", 10)


FAULTS = {
    "": "others.csv is empty: its first line must name the columns, such as engine,rows,seconds.",
    f"{HEADER}\n": "others.csv has no measurement: no row has seconds or an outcome.",
    f"{HEADER}\na,1,\n": "others.csv has no measurement: no row has seconds or an outcome.",
    "engine,rows,Time\na,1,1\n": "line 1: the column 'seconds' is missing: the columns are engine, rows, Time.",
    "engine;rows;seconds\na;1;1\n": "line 1: columns are separated by semicolons: separate them by commas.",
    "engine\trows\tseconds\na\t1\t1\n": "line 1: columns are separated by tabs: separate them by commas.",
    f"{HEADER},rows\na,1,1,1\n": "line 1: two columns have the name 'rows'.",
    f"{HEADER},\na,1,1,1\n": "line 1: column 4 has no name.",
    f"{HEADER},set\na,1,1,1\n": "line 1: a column cannot have the name 'set': choose another name.",
    f"{HEADER},ram_gb,memory_gb\na,1,1,1,1\n": "line 1: memory_gb and ram_gb mean the same: keep one of them.",
    f"{HEADER}\na,1,1\nb,1\n": "line 3 has 2 values, its header has 3.",
    f"{HEADER}\na,1,1\n,1,1\n": "line 3: engine is empty.",
    f"{HEADER}\na,,1\n": "line 2: rows is empty.",
    f"{HEADER}\na,1.5,1\n": "line 2: rows 1.5 is no whole number below 1e+15.",
    f"{HEADER}\na,0,1\n": "line 2: rows 0 must be 1 or more.",
    f"{HEADER}\na,inf,1\n": "line 2: rows inf is no whole number below 1e+15.",
    f"{HEADER}\na,1,NA\n": "line 2: seconds 'NA' is no number: write digits with a decimal point, or nothing if it",
    f'{HEADER}\na,1,"1,5"\n': "line 2: seconds '1,5' is no number",
    f"{HEADER}\na,1,0\n": "line 2: seconds 0 must be above 0 and below 1e+15.",
    f"{HEADER}\na,1,-2\n": "line 2: seconds -2 must be above 0 and below 1e+15.",
    f"{HEADER}\na,1,inf\n": "line 2: seconds inf must be above 0 and below 1e+15.",
    f"{HEADER},outcome\na,1,1,crashed\n": "outcome is 'crashed': choose 'ok', 'oom', 'timeout' or 'failed'.",
    f"{HEADER},outcome\na,1,,ok\n": "line 2: seconds is empty, although the outcome is ok.",
    f"{HEADER},placement\na,1,1,yarn\n": "line 2: placement is 'yarn': choose 'node' or 'spark'.",
    f"{HEADER},cores\na,1,1,2.5\n": "line 2: cores 2.5 is no whole number below 1e+15.",
    f"{HEADER},round\na,1,1,-1\n": "line 2: round -1 must be 0 or more.",
    f"{HEADER},ram_gb\na,1,1,much\n": "line 2: ram_gb 'much' is no number",
    f"{HEADER},auc\na,1,1,73.5\n": "line 2: auc 73.5 must be from 0 to 1: divide percentages by 100.",
    f"{HEADER},auc\na,1,1,-0.1\n": "line 2: auc -0.1 is not possible.",
    f"{HEADER},rmse\na,1,1,low\n": "line 2: rmse 'low' is no number",
    f"{HEADER},cores\na,1,1,2\na,1,9,4\na,1.0,3,2\n": (
        "line 4 has the engine, rows, cores, parameters and round of line 2: number repeats in the column 'round'."
    ),
    f"{HEADER},placement\nh2o,1,1,\nh2o,2,1,spark\n": (
        "line 3: the placement of h2o is spark, but node in line 2: give it two names."
    ),
    f'{HEADER}\na,1,1\n"b,1,1\n': "line 3 is not valid CSV: unexpected end of data.",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_is_one_sentence_and_nothing_is_stored(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        imported(tmp_path, text)
    assert FAULTS[text] in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / "others.csv"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "others.csv"
    path.write_bytes(f"{HEADER}\na,1,1\nTromsø,1,1\n".encode(encoding))
    with pytest.raises(ConfigError, match=r"others.csv, line [13] is not UTF-8: save the file as CSV in UTF-8"):
        published.take(path, tmp_path / "out")


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.csv cannot be read: No such file"):
        published.take(tmp_path / "absent.csv", tmp_path / "out")


def test_the_same_file_is_imported_once(tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEADER}\na,10,5\n")
    done = published.take(path, tmp_path / "out")
    again = written(tmp_path, f"{HEADER}\na,10,5\n", "copy.csv")
    with pytest.raises(ConfigError, match=rf"Run {done.run} of .*copy.csv is already in .*: nothing was imported"):
        published.take(again, tmp_path / "out")
    with Store.existing(tmp_path / "out") as store:
        assert len(store.records()) == 1


def test_measurements_of_others_are_shown_but_never_resumed(tmp_path: Path) -> None:
    imported(tmp_path, f"{HEADER}\na,10,5\n")
    with Store.existing(tmp_path / "out") as store:
        assert store.invocation().imported
        assert store.records_of("others.csv") == []
        with pytest.raises(ConfigError, match="There is no run"):
            store.invocation(command="run")


def test_an_archive_keeps_measurements_of_others(tmp_path: Path) -> None:
    imported(tmp_path, f"{HEADER},auc\na,10,5,0.7\n")
    with Store.existing(tmp_path / "out") as store:
        archive.pack(store, store.runs(), tmp_path / "run.parquet")
    archive.take(tmp_path / "run.parquet", tmp_path / "copy")
    assert shown(tmp_path / "copy") == shown(tmp_path / "out")


def test_the_report_says_nothing_of_others_that_only_own_runs_have(tmp_path: Path) -> None:
    text = f"{HEADER},cores,auc,ram_gb,round\n"
    text += "".join(
        f"{engine},{rows},{rows / speed + number},4,0.75,3,{number}\n"
        for engine, speed in (("mllib", 100), ("xgboost", 50))
        for rows in (1000, 3000, 10_000)
        for number in range(3)
    )
    imported(tmp_path, text)
    words = shown(tmp_path / "out")
    assert words.startswith("# others.csv, run ")
    for expected in (
        "measured and published by others",
        "Time to model is the published time: 3 rounds.",
        "Others published these measurements.",
        "AUC has no interval: no stored scores.",
        "| 0.3 | 3,000 |",
        "mllib is faster than xgboost from the smallest measured size on",
        "To resolve it, measure the same in 5 rounds of your own.",
    ):
        assert expected in words, words
    for wrong in ("fresh worker", "page cache", "isolated executions", "JVM", "hold-out", "No sample", "1/3"):
        assert wrong not in words, words


@public
def test_a_public_comparison_of_boosting_is_imported_unchanged(tmp_path: Path) -> None:
    done = published.take(TOOLS / "gbm-perf-spark.csv", tmp_path)
    assert (done.records, done.skipped) == (13, 0)
    with Store.existing(tmp_path) as store:
        records = store.records()
    ten = [
        record
        for record in records
        if (record.case.rows, record.case.params["trees"], record.case.params["depth"]) == (10_000_000, 10, 10)
    ]
    assert len({(record.case.workload, record.case.dataset_id, record.case.fraction) for record in ten}) == 1
    seconds = {
        (record.case.engine, record.case.cluster, record.resources.cores): metrics.time_to_model(record)
        for record in ten
    }
    assert seconds == {
        ("mllib", "r4.8xlarge, one server, 32 cores", 32): 830,
        ("mllib", "r4.8xlarge, cluster, 1 worker, 32 cores", 32): 1180,
        ("mllib", "r4.8xlarge, cluster, 10 workers, 320 cores", 320): 330,
        ("lightgbm", "r4.8xlarge, one server, 16 cores", 16): 7,
    }
    words = shown(tmp_path)
    assert "| 1/1000 | 100,000 |" in words
    assert "cluster one server, cores not stated" in words


@public
@pytest.mark.parametrize(
    ("name", "settings", "records", "skipped"),
    [("linear", ("",), 20, 0), ("forest", ("",), 16, 3), ("boosting", ("_A", "_B"), 30, 10)],
)
def test_a_public_table_is_converted_with_a_few_lines(
    tmp_path: Path, name: str, settings: tuple[str, ...], records: int, skipped: int
) -> None:
    """In these files, `n` counts millions of rows, and the AUC is in percent. One has columns for two settings."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["engine", "rows", "seconds", "auc", "ram_gb", "setting"])
    with (TOOLS / f"benchm-ml-{name}.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for setting in settings:
                seconds, auc, ram = (row[column + setting].replace("NA", "") for column in ("Time", "AUC", "RAM"))
                share = float(auc) / 100 if auc else ""
                writer.writerow([row["Tool"], float(row["n"]) * 1e6, seconds, share, ram, setting])
    done = published.take(written(tmp_path, text.getvalue(), f"{name}.csv"), tmp_path)
    assert (done.records, done.skipped) == (records, skipped)
    with Store.existing(tmp_path) as store:
        placements = {record.case.engine: record.case.placement for record in store.records()}
    assert placements["Spark"] == "spark"
    assert placements["H2O"] == "node"
    words = shown(tmp_path)
    assert re.search(r"Spark,? .*than \w+", words)
    assert "| Spark | 1/1000 | 10,000 |" in words
