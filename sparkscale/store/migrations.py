"""Brings a store that an earlier release wrote to the present format, without losing a record of it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sparkscale.contract import earlier
from sparkscale.contract.case import digest
from sparkscale.contract.declared import EngineDescription, WorkloadDescription
from sparkscale.contract.errors import StoreError
from sparkscale.store.schema import FORMAT


def migrated(path: Path, engine: sa.Engine, patience_seconds: float) -> sa.Engine:
    """The engine of the store in the present format: the same, or, where the file cannot be written, of a copy in
    memory.
    """
    with closing(sqlite3.connect(path, timeout=patience_seconds, isolation_level=None)) as connection:
        try:
            migrate(connection)
        except sqlite3.Error as error:
            if "readonly" not in str(error):
                raise StoreError(
                    f"{path} cannot be brought to the present format, and is as it was: {error}. Use another --out."
                ) from error
        else:
            return engine
        engine.dispose()
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.backup(copy)
    migrate(copy)
    return sa.create_engine("sqlite://", creator=lambda: copy, poolclass=sa.StaticPool)


def migrate(connection: sqlite3.Connection) -> None:
    """All steps in one transaction: another process sees the store before them, or after them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        for number in range(found, FORMAT):
            STEPS[number](connection)
        connection.execute(f"PRAGMA user_version={FORMAT}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def describe_workloads(connection: sqlite3.Connection) -> None:
    """From format 1 to 2: records refer to a description of their workload."""
    names = "SELECT DISTINCT json_extract(content, '$.case.workload') FROM records"
    for (name,) in connection.execute(names).fetchall():
        description = earlier.workloads().get(name) or _of_records(connection, name)
        content = description.model_dump(mode="json")
        identity = digest(["workload", content])
        connection.execute(
            "INSERT OR IGNORE INTO descriptions (id, kind, content) VALUES (?, 'workload', ?)",
            (identity, json.dumps(content)),
        )
        connection.execute(
            "UPDATE records SET content = json_set(content, '$.workload', ?) "
            "WHERE json_extract(content, '$.case.workload') = ?",
            (identity, name),
        )


def state_goals(connection: sqlite3.Connection) -> None:
    """From format 1 to 2: a run holds the goals of its suite."""
    for suite, goals in earlier.goals().items():
        connection.execute(
            "UPDATE invocations SET content = json_set(content, '$.goals', json(?)) WHERE suite = ?",
            (json.dumps(goals), suite),
        )


def to_format_2(connection: sqlite3.Connection) -> None:
    """Records and runs say what had to be looked up in the release that wrote them."""
    describe_workloads(connection)
    state_goals(connection)


STEPS = {1: to_format_2}
"""By the format that each begins with."""


def _of_records(connection: sqlite3.Connection, workload: str) -> WorkloadDescription:
    """Of a workload that no release had, such as one of a branch: what its records say, and its pattern's phases."""
    query = (
        "SELECT DISTINCT json_extract(content, '$.case.pattern'), json_extract(content, '$.case.version'), "
        "json_extract(content, '$.case.engine'), json_extract(content, '$.case.placement') "
        "FROM records WHERE json_extract(content, '$.case.workload') = ? ORDER BY 4, 3"
    )
    rows: list[tuple[Any, ...]] = connection.execute(query, (workload,)).fetchall()
    pattern, version = rows[0][:2]
    placements = {engine: placement for _, _, engine, placement in rows}
    like = next((found for found in earlier.workloads().values() if found.pattern == pattern), None)
    named: dict[str, Any] = {
        "workload": workload,
        "version": version,
        "summary": "",
        "engines": tuple(EngineDescription(name=name, placement=place) for name, place in placements.items()),
        "capacity": "",
    }
    if like:
        return like.model_copy(update=named)
    phases = _phases(connection, workload)
    return WorkloadDescription(pattern=pattern, report=pattern, phases=phases, time_to_model=phases, **named)


def _phases(connection: sqlite3.Connection, workload: str) -> tuple[str, ...]:
    """The phases that its records have seconds of, in their order."""
    query = (
        "SELECT json_extract(content, '$.seconds') FROM records "
        "WHERE json_extract(content, '$.case.workload') = ? AND outcome = 'ok'"
    )
    found = [json.loads(seconds) for (seconds,) in connection.execute(query, (workload,))]
    return tuple(dict.fromkeys(name for seconds in found for name in seconds))
