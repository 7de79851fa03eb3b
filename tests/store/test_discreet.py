"""A report's view of a store: which names are left out, and which words must stay."""

import getpass
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest

from sparkscale.contract.record import ErrorInfo
from sparkscale.store.discreet import DiscreetStore
from sparkscale.store.store import Store
from tests.builders import CASE, invocation, record, stored

DATA = {
    "name": "sales",
    "definition": {"kind": "table", "label": "returned", "group": "client id", "time": None, "features": None},
    "profile": {
        "columns": [
            {"name": "price", "role": "feature"},
            {"name": "iban", "role": "not used", "note": "an identifier"},
        ],
        "notes": ["Of 'price', 3 values are missing."],
        "warnings": [],
    },
    "columns": [{"name": "price_scaled", "source": "price"}],
    "unit_name": "client id",
}
ERRORS = {
    "FileNotFoundError: /home/ada/private/sales.parquet is missing": (
        "FileNotFoundError: …/sales.parquet is missing",
        "FileNotFoundError: <path> is missing",
    ),
    "s3a://ada-bucket/in/sales.parquet?sig=1 cannot be read": (
        "s3a://…/sales.parquet cannot be read",
        "<path> cannot be read",
    ),
    "No route to spark-master-7.corp (10.1.2.3)": ("No route to <host> (<host>)", "No route to <host> (<host>)"),
    "could not convert string 'Ada Lovelace' in price": (
        "could not convert string 'Ada Lovelace' in price",
        "could not convert string '…' in column 3",
    ),
    "ratio 1/4 of rows/s and/or pricey": ("ratio 1/4 of rows/s and/or pricey",) * 2,
    "Lost executor 1 (worker-3.acme.internal executor 1)": ("Lost executor 1 (<host> executor 1)",) * 2,
    "java.net.UnknownHostException: acme-nn-2": ("java.net.UnknownHostException: <host>",) * 2,
    "refused by nn1.acme.com.": ("refused by <host>.",) * 2,
    "spark-master-7 and spark-master-7.corp.acme are one": ("<host> and <host> are one",) * 2,
    "[fe80::1ff:fe23:4567:890a] is down": ("[<host>] is down",) * 2,
    "at 12:34:56, org.apache.spark.SparkException of torch.nn in version 3.5.1.2, std::bad_alloc": (
        "at 12:34:56, org.apache.spark.SparkException of torch.nn in version 3.5.1.2, std::bad_alloc",
    )
    * 2,
    r"C:\Users\ada\data.csv is open": ("…/data.csv is open", "<path> is open"),
    "in/deep/sales.csv and /data are there": (
        "in/deep/sales.csv and /data are there",
        "<path> and <path> are there",
    ),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as opened:
        run = invocation(suite="/home/ada/suites/mine.toml").model_copy(
            update={"origin": {"profile 'spark://spark-master-7.corp:7077'": "p"}}
        )
        opened.begin(run)
        host = opened.describe("host", {"hostname": "spark-master-7.corp", "cpu": "CPU"})
        data = opened.describe("data", DATA)
        params = {**CASE.params, "by": "client id"}
        update = {"dataset": "sales", "params": params, "cluster": "spark://spark-master-7.corp:7077"}
        for number, error in enumerate(ERRORS):
            made = record(f"r{number}").model_copy(
                update={
                    "host": host,
                    "data": data,
                    "suite": "/home/ada/suites/mine.toml",
                    "case": CASE.model_copy(update=update),
                    "outcome": "failed",
                    "error": ErrorInfo(type="E", message=error),
                }
            )
            groups = pa.table(
                {"key": ["Ada", "Bob"], "outcome": ["ok", "failed"], "error": [None, "Bob has 1 row in /tmp/x/y.bin"]}
            )
            opened.add(made, {"groups": stored(groups)})
        yield opened


@pytest.mark.parametrize("is_anonymous", [False, True])
def test_an_error_is_shown_without_names_that_nobody_needs(store: Store, is_anonymous: bool) -> None:
    found = [one.error.message for one in DiscreetStore(store, is_anonymous).records() if one.error]
    assert found == [expected[is_anonymous] for expected in ERRORS.values()]


def test_the_user_is_nameless_in_an_anonymous_view(store: Store) -> None:
    with mock.patch.object(getpass, "getuser", return_value="ada"):
        text = "user=ada, group adamant"
        assert DiscreetStore(store).text(text) == text
        assert DiscreetStore(store, is_anonymous=True).text(text) == "user=<user>, group adamant"


def test_the_users_table_and_columns_are_numbered(store: Store) -> None:
    view = DiscreetStore(store, is_anonymous=True)
    (first, *_) = view.records()
    assert (first.case.dataset, first.case.params["by"]) == ("table 1", "column 2")
    assert first.case.params["a"] == CASE.params["a"]
    assert first.data is not None
    content = view.description(first.data).content
    assert (content["name"], content["unit_name"]) == ("table 1", "column 2")
    assert content["profile"]["notes"] == ["Of 'column 3', 3 values are missing."]
    assert "iban" not in json.dumps(content)


def test_names_that_a_reader_needs_stay_by_default(store: Store) -> None:
    view = DiscreetStore(store)
    (first, *_) = view.records()
    assert first.data is not None
    assert (first.case.dataset, first.case.params["by"]) == ("sales", "client id")
    assert view.description(first.data).content["profile"] == DATA["profile"]


def test_the_groups_of_an_anonymous_view_have_numbers(store: Store) -> None:
    def shown(view: Store) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = view.table("r0", "groups", ["key", "error"]).to_pylist()
        return rows

    assert shown(DiscreetStore(store)) == [
        {"key": "Ada", "error": None},
        {"key": "Bob", "error": "Bob has 1 row in …/y.bin"},
    ]
    assert shown(DiscreetStore(store, is_anonymous=True)) == [
        {"key": "group 1", "error": None},
        {"key": "group 2", "error": "<group> has 1 row in <path>"},
    ]


def test_a_suite_is_named_by_its_file_and_a_cluster_agrees_with_its_settings(store: Store) -> None:
    for is_anonymous, suite, cluster in ((False, "mine.toml", "spark://…"), (True, "own suite", "<path>")):
        view = DiscreetStore(store, is_anonymous)
        run = view.invocation()
        assert (run.suite, list(run.origin)) == (suite, [f"profile '{cluster}'"])
        assert {one.case.cluster for one in view.records()} == {cluster}
        assert {one.suite for one in view.records()} == {suite}


def test_a_host_that_is_called_like_a_word_of_the_report_stays(tmp_path: Path) -> None:
    with Store.open(tmp_path) as opened:
        opened.begin(invocation())
        host = opened.describe("host", {"hostname": "local", "cpu": "CPU"})
        opened.add(record("r").model_copy(update={"host": host}), {})
        view = DiscreetStore(opened, is_anonymous=True)
        assert view.text("Spark ran in local mode") == "Spark ran in local mode"
        assert [one.case.cluster for one in view.records()] == ["local"]


def test_a_user_that_is_called_like_a_package_leaves_its_names_alone(store: Store) -> None:
    with mock.patch.object(getpass, "getuser", return_value="spark"):
        view = DiscreetStore(store, is_anonymous=True)
        assert (
            view.text("user spark: org.apache.spark.SparkException") == "user <user>: org.apache.spark.SparkException"
        )


def test_a_container_without_a_name_for_its_user_can_write_a_report(store: Store) -> None:
    with mock.patch.object(getpass, "getuser", side_effect=KeyError("getpwuid(): uid not found: 54321")):
        assert DiscreetStore(store, is_anonymous=True).text("x") == "x"


def test_the_store_itself_is_unchanged(store: Store) -> None:
    DiscreetStore(store, is_anonymous=True).records()
    assert [one.error.message for one in store.records() if one.error] == list(ERRORS)
