"""Cases, records, stores and tables that tests are made of."""

import io
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sparkscale.contract.case import Case
from sparkscale.contract.record import CodeState, ErrorInfo, Outcome, Resources, RunRecord, Temperature
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ROWS, DAYS = 20_000, 70
TABLE_ROWS = 5000


def case_of(**fields: Any) -> Case:
    """A case with these fields; the others are those of CASE, which says nothing of a real workload."""
    usual: dict[str, Any] = {
        "workload": "w",
        "version": 1,
        "pattern": "p",
        "task": "classification",
        "engine": "e",
        "placement": "node",
        "cluster": "local",
        "cluster_kind": "local",
        "device": "cpu",
        "dataset": "d",
        "dataset_id": "0",
        "rows": 10,
        "fraction": 0.25,
        "sample_seed": 0,
        "model_seed": 0,
        "threads": 2,
        "params": {"set": "aligned", "a": 1, "b": 2, "arguments": {"x": 1}},
    }
    return Case(**usual | fields)


CASE = case_of()


def invocation(identity: str = "one", day: int = 1, suite: str = "quick") -> Invocation:
    return Invocation(
        id=identity, suite=suite, started_at=NOW.replace(day=day), seed=0, rounds=3, filter=None, executions=0
    )


def record(identity: str, of: str = "one") -> RunRecord:
    return RunRecord(
        id=identity,
        suite="quick",
        invocation=of,
        started_at=NOW,
        round=1,
        jvm=None,
        temperature="warm",
        isolated=False,
        case=CASE,
        outcome="ok",
        error=None,
        seconds={"load": 0.1, "fit": 1.25},
        quality={"auc": 0.7},
        figures={},
        resources=Resources(cores=2, threads=2, granted_cores=2, cpu_seconds=2.0),
        spark=None,
        code=CodeState(commit="c", dirty=False),
        host="h",
        software="s",
        session=None,
    )


def stored(table: pa.Table) -> bytes:
    """The table as a store keeps it."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def parquet(values: list[float]) -> bytes:
    return stored(pa.table({"score": values}))


def case(engine: str, fraction: float, parameter_set: str = "aligned", seed: int = 0) -> Case:
    arguments = {"trees": 10} if parameter_set == "aligned" else {"trees": 100}
    return case_of(
        workload="data_parallel.gradient_boosting",
        pattern="data_parallel",
        engine=engine,
        placement="spark" if engine == "mllib" else "node",
        dataset="flights",
        dataset_id="d",
        rows=int(64_000 * fraction) + seed,
        fraction=fraction,
        sample_seed=seed,
        model_seed=seed,
        params={"set": parameter_set, "arguments": arguments},
    )


def scores(noise: float, seed: int = 0) -> bytes:
    generator = np.random.default_rng(0)
    unit = np.sort(generator.integers(0, DAYS, ROWS))
    label = generator.integers(0, 2, ROWS)
    signal = label + generator.normal(0, 1, ROWS)
    noisy = signal + noise * np.random.default_rng(1 + seed).normal(0, 1, ROWS)
    table = pa.table({"row": np.arange(ROWS), "unit": unit, "label": label, "score": noisy})
    return stored(table)


class Writer:
    """Adds records of one invocation. `change` returns what is different in a record."""

    def __init__(
        self, store: Store, of: str = "one", change: Callable[[RunRecord], dict[str, Any]] = lambda _: {}
    ) -> None:
        self.store = store
        self.of = of
        self.change = change
        self.count = 0

    def __call__(
        self,
        measured: Case,
        number: int,
        seconds: float | None = None,
        outcome: Outcome = "ok",
        temperature: Temperature = "warm",
        isolated: bool = False,
        peak: int | None = None,
        noise: float | None = None,
        phase: str | None = None,
        start: float | None = None,
        cores: int = 2,
        granted: int | None = None,
    ) -> RunRecord:
        self.count += 1
        made = record(f"r{self.count}", self.of)
        made = made.model_copy(
            update={
                "case": measured,
                "round": number,
                "outcome": outcome,
                "temperature": temperature,
                "isolated": isolated,
                "error": None if outcome == "ok" else ErrorInfo(type="E", message=f"because {outcome}\nmore"),
                "seconds": {"load": seconds / 4, "fit": seconds * 3 / 4, "predict": 0.5} if seconds else {},
                "quality": {"auc": 0.7, "log_loss": 0.5} if outcome == "ok" else {},
                "resources": made.resources.model_copy(
                    update={"peak_pss_bytes": peak, "cores": cores, "granted_cores": granted or cores}
                ),
                "host": self.host,
                "phase": phase,
                "start_seconds": start,
                "position": None if start is None else 0,
                "deadline_seconds": 300.0 if phase else None,
            }
        )
        made = made.model_copy(update=self.change(made))
        self.store.add(made, {"scores": scores(noise, measured.sample_seed)} if noise is not None else {})
        return made

    @property
    def host(self) -> str:
        return self.store.describe(
            "host",
            {
                "cpu": "Test CPU",
                "usable_cores": 2,
                "memory_bytes": 2**34,
                "os": "Linux",
                "gpus": [{"name": "Test GPU", "memory_bytes": 2**36}] * 2,
            },
        )


FRACTIONS = [2.0**-power for power in range(6, -1, -1)]
ROUNDS_OF_TIMES = 5


def sklearn_and_mllib(
    store: Store,
    mllib: Callable[[float], float],
    fractions: list[float] = FRACTIONS,
    rounds: int = ROUNDS_OF_TIMES,
    outcome_of_all: Outcome = "ok",
) -> None:
    """Records of scikit-learn, which takes 0.1 s and 8 s for all data, and of MLlib with these seconds."""
    write = Writer(store)
    for number in range(1, rounds + 1):
        for fraction in fractions:
            noise = 0.3 * fraction**-0.4
            factor = 1 + number / 1000
            write(case("sklearn", fraction, seed=number), number, seconds=(0.1 + 8 * fraction) * factor, noise=noise)
            failed = fraction == 1 and outcome_of_all != "ok"
            write(
                case("mllib", fraction, seed=number),
                number,
                seconds=None if failed else mllib(fraction) * factor,
                outcome=outcome_of_all if failed else "ok",
                noise=None if failed else noise,
            )


def frame(rows: int = TABLE_ROWS) -> pd.DataFrame:
    """Numbers, booleans, texts, categories, dates, timestamps, decimals, with nulls; names that Spark trips over."""
    generator = np.random.default_rng(5)
    signal = generator.normal(size=rows)
    city = np.array(["Oslo", "Bergen", "Tromsø", None])[generator.choice(4, rows, p=[0.5, 0.3, 0.15, 0.05])]
    amount = np.where(generator.random(rows) < 0.1, np.nan, generator.gamma(2, 100, rows))
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(generator.integers(0, 300 * 86400, rows)), unit="s")
    logit = 1.5 * signal + (city == "Bergen")
    return pd.DataFrame(
        {
            "Amount (€)": amount,
            "a.b `c`": signal,
            "A.B `C`": -signal,
            "City": city,
            "row": generator.random(rows) < 0.3,
            "when": when,
            "day": when.date,
            "device": generator.integers(0, 100, rows),
            "kind": pd.Categorical(generator.choice(list("abc"), rows)),
            "whole": pd.Series(generator.integers(0, 9, rows), dtype="Int64").mask(generator.random(rows) < 0.02),
            "price in NOK": [Decimal(int(value)) / 4 for value in generator.integers(0, 99, rows)],
            "constant": 1,
            "nothing": pa.nulls(rows, pa.float64()).to_pandas(),
            "code": [f"id-{number}" for number in range(rows)],
            "label": np.where(generator.random(rows) < 1 / (1 + np.exp(-logit)), "yes", "no"),
            "target": 10 * logit + generator.normal(size=rows),
        }
    )
