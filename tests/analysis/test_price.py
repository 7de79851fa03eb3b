"""What the time of a case costs, in the table of each pattern."""

import datetime
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sparkscale.analysis.blocks import Grid, Text
from sparkscale.analysis.patterns import PATTERNS
from sparkscale.analysis.price import Price, costs, price_of, prices
from sparkscale.analysis.report import breakdown
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.case import Case
from sparkscale.contract.record import TRIALS
from sparkscale.present import cells
from sparkscale.store.store import Store
from tests.builders import Writer, case_of, invocation, record, stored
from workloads.tuning.gradient_boosting import TuningBoostingParams
from workloads.tuning.trials import TrialResult, table_of, trial_of

PRICE = Price(10.0, "USD", "our contract", datetime.date(2026, 11, 28))
STATED = {"per_hour": 10.0, "currency": "USD", "source": "our contract", "date": "2026-11-28"}
NOTE = (
    "Costs are times at 10 USD per hour, the price of all machines of local together (our contract, 2026-11-28). "
    "An engine on one node pays for all of them, too."
)

TRAINED = {"set": "aligned", "trees": 10, "arguments": {}}
GROUPED = {"set": "aligned", "by": "device", "alpha": 1.0, "arguments": {}}
APPLIED = {"set": "aligned", "model": {}, "train_fraction": 1.0, "threads": 0, "batch_rows": 9, "arguments": {}}
SEARCHED = {"set": "aligned", **TuningBoostingParams(target_loss=0.5).model_dump(mode="json"), "arguments": {}}

Pattern = tuple[str, str, dict[str, Any], dict[str, float], dict[str, float], str, float]

KINDS: list[Pattern] = [
    (
        "data_parallel.gradient_boosting",
        "sklearn",
        TRAINED,
        {"load": 6.0, "fit": 30.0, "predict": 9.0},
        {},
        "cost of a model,\nUSD",
        0.1,
    ),
    (
        "per_group.ridge",
        "joblib",
        GROUPED,
        {"layout": 4.0, "load": 4.0, "fit": 10.0},
        {"groups": 60.0, "models": 50.0},
        "cost of 1,000 models,\nUSD",
        1.0,
    ),
    (
        "tuning.gradient_boosting",
        "grid",
        SEARCHED,
        {"load": 1.0, "tune": 40.0, "predict": 1.0},
        {"search_seconds": 36.0, "trials": 1.0},
        "cost of the search,\nUSD",
        0.1,
    ),
    (
        "inference.boosting",
        "joblib",
        APPLIED,
        {"load": 0.5, "predict": 0.4},
        {},
        "cost of a million,\nUSD",
        2.5,
    ),
]


@contextmanager
def filled(folder: Path, kind: Pattern, price: dict[str, Any] | None, outcome: str = "ok") -> Iterator[Store]:
    """A store with a run of one case, on a cluster with this price."""
    with Store.open(folder) as store:
        fill(store, kind, price, outcome)
        yield store


def fill(store: Store, kind: Pattern, price: dict[str, Any] | None, outcome: str) -> None:
    workload, engine, params, seconds, figures, *_ = kind
    profile = store.describe("profile", {"name": "local", "kind": "local", **({"price": price} if price else {})})
    origin = {"suite": store.describe("suite", {}), "profile 'local'": profile}
    store.begin(invocation().model_copy(update={"origin": origin}))
    case = case_of(
        workload=workload, pattern=workload.split(".")[0], engine=engine, rows=1000, fraction=1.0, params=params
    )
    update: dict[str, Any] = {"case": case, "host": Writer(store).host, "seconds": seconds, "figures": figures}
    if outcome != "ok":
        update |= {"outcome": outcome, "seconds": {}, "figures": {}}
    trial = trial_of(0, {"depth": 3}, TrialResult(0.4, "ok", None, 0.0, 9.0, "here/1", "", None), 0.0, 9.0, 0.0)
    tables = {TRIALS: stored(table_of([trial]))} if workload.startswith("tuning") and outcome == "ok" else {}
    store.add(record("r").model_copy(update=update), tables)


def shown(
    folder: Path, kind: Pattern, price: dict[str, Any] | None, outcome: str = "ok"
) -> tuple[list[Grid], list[str]]:
    """The tables and the texts of the only report of such a store."""
    with filled(folder, kind, price, outcome) as store:
        (report,) = PATTERNS[kind[0].split(".")[0]].reports(store, store.records())
        blocks = list(report.blocks())
    return [block for block in blocks if isinstance(block, Grid)], [
        block.text for block in blocks if isinstance(block, Text)
    ]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind[0]))
def test_each_pattern_says_what_its_work_costs(tmp_path: Path, kind: Pattern) -> None:
    *_, heading, amount = kind
    tables, texts = shown(tmp_path, kind, STATED)
    (place,) = [
        (table, number)
        for table in tables
        for number, column in enumerate(table.columns)
        if column.heading == heading
    ]
    table, number = place
    (cost,) = [row[number] for row in table.rows]
    assert isinstance(cost, Spread)
    assert cost.median == pytest.approx(amount)
    assert cells.text(cost, table.columns[number]) == f"{amount:g}"
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert sum(NOTE in text for text in texts) == 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind[0]))
def test_without_a_price_only_the_costs_are_missing(tmp_path: Path, kind: Pattern) -> None:
    heading = kind[5]
    priced, with_notes = shown(tmp_path / "priced", kind, STATED)
    free, notes = shown(tmp_path / "free", kind, None)
    assert [[c.heading for c in table.columns] for table in free] == [
        [c.heading for c in table.columns if c.heading != heading] for table in priced
    ]
    assert notes == [text for text in with_notes if NOTE not in text]


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[1], KINDS[3]], ids=lambda kind: str(kind[0]))
def test_a_timeout_costs_more_than_any_time(tmp_path: Path, kind: Pattern) -> None:
    tables, _ = shown(tmp_path, kind, STATED, outcome="timeout")
    found = [
        cells.text(row[number], column)
        for table in tables
        for row in table.rows
        for number, column in enumerate(table.columns)
        if column.heading == kind[5]
    ]
    assert found == ["timeout [0 of 1]"]


def test_the_price_is_that_of_the_latest_run_with_one(tmp_path: Path) -> None:
    with filled(tmp_path, KINDS[0], STATED) as store:
        assert prices(store, store.invocation()) == {"local": PRICE}
        assert price_of(store, store.records()) == PRICE
        store.begin(invocation("two", day=2))
        store.add(record("s", of="two"), {})
        assert price_of(store, store.records("two")) is None
        assert price_of(store, store.records()) == PRICE  # that of the latest run with one
        elsewhere = store.records("one")[0]
        case: Case = elsewhere.case.model_copy(update={"cluster": "other"})
        assert price_of(store, [elsewhere.model_copy(update={"case": case})]) is None


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0.0042, "0.0042 USD"),
        (0.00123456, "0.00123 USD"),
        (1.0, "1 USD"),
        (12.345, "12.3 USD"),
        (99.96, "100 USD"),
        (150.0, "150 USD"),
        (12345.6, "12,346 USD"),
        (0.0, "0 USD"),
        (1.5e-7, "0.00000015 USD"),
    ],
)
def test_an_amount_has_three_digits(amount: float, words: str) -> None:
    assert PRICE.words(amount) == words


def test_an_hour_costs_the_price_and_large_costs_are_whole() -> None:
    assert PRICE.of_seconds(3600) == 10.0
    assert PRICE.of_seconds(math.inf) == math.inf
    (column,), rows = costs(PRICE, "a model", [Spread.of([3600.0, 7200.0, 360_000.0]), None])
    assert [cells.text(cell, column) for row in rows for cell in row] == ["20 (10–1,000)", "–"]
    assert costs(None, "a model", [None, None]) == ([], [[], []])


def test_a_run_says_what_it_cost() -> None:
    spent = [("phases", 90.0), ("starting", 180.0), ("preparing", 0.0)]
    text = breakdown(360.0, spent, {"local": PRICE}).text
    assert text == (
        "Wall time 360 s: 25.0% inside phases, 50.0% starting workers, JVMs and sessions, 0.0% preparing data, "
        "25.0% everything else. At the price of the cluster, it cost 1 USD."
    )
    assert "cost" not in breakdown(360.0, spent, {}).text
    assert "cost" not in breakdown(360.0, spent, {"local": PRICE, "other": PRICE}).text
