"""Brings a store that an earlier release wrote to the present format, without losing a record of it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sparkscale.contract import format_1
from sparkscale.contract.case import digest
from sparkscale.contract.declared import EngineDescription, WorkloadDescription
from sparkscale.contract.errors import StoreError
from sparkscale.store.schema import FORMAT


def migrated(path: Path, engine: sa.Engine, patience_seconds: float, may_copy: bool) -> sa.Engine:
    """The engine of the store in the present format: the same one. If the file cannot be written, and the store is
    only read (`may_copy`), the engine of a copy in memory.

    Raises StoreError if the file cannot be brought to the present format; it is as it was then.
    """
    with closing(sqlite3.connect(path, timeout=patience_seconds, isolation_level=None)) as connection:
        try:
            migrate(connection)
        except sqlite3.Error as error:
            if "readonly" not in str(error) or not may_copy:
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
        description = _with_all_engines(connection, format_1.workloads().get(name) or _of_records(connection, name))
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
    for suite, goals in format_1.goals().items():
        connection.execute(
            "UPDATE invocations SET content = json_set(content, '$.goals', json(?)) WHERE suite = ?",
            (json.dumps(goals), suite),
        )


def to_format_2(connection: sqlite3.Connection) -> None:
    """Records and runs say what had to be looked up in the release that wrote them."""
    describe_workloads(connection)
    state_goals(connection)


STEPS = {1: to_format_2}
"""Each step, by the format that it begins with."""


def _of_records(connection: sqlite3.Connection, workload: str) -> WorkloadDescription:
    """A description of a workload that no release had, such as one of a branch.

    It is that of a workload with the same pattern and one of the qualities that the records have, so that they are
    judged by it; without such a workload the phases are all that is known.
    """
    query = (
        "SELECT json_extract(content, '$.case.pattern'), json_extract(content, '$.case.version'), "
        "json_extract(content, '$.quality') FROM records WHERE json_extract(content, '$.case.workload') = ?"
    )
    rows: list[tuple[Any, ...]] = connection.execute(query, (workload,)).fetchall()
    pattern, version = rows[0][:2]
    qualities = {name for *_, quality in rows for name in json.loads(quality or "{}")}
    named: dict[str, Any] = {"workload": workload, "version": version, "summary": "", "engines": (), "capacity": ""}
    alike = [found for found in format_1.workloads().values() if found.pattern == pattern]
    judged_alike = (one for one in alike if qualities & {judged.quality for judged in one.judged.values()})
    if like := next(judged_alike, None):
        return like.model_copy(update=named)
    if alike:
        return alike[0].model_copy(update={**named, "judged": {}, "qualities": (), "beside": ()})
    phases = _phases(connection, workload)
    return WorkloadDescription(pattern=pattern, report=pattern, phases=phases, time_to_model=phases, **named)


def _with_all_engines(connection: sqlite3.Connection, found: WorkloadDescription) -> WorkloadDescription:
    """The same with the engines that records have besides, such as those that were renamed since."""
    query = (
        "SELECT json_extract(content, '$.case.engine'), max(json_extract(content, '$.case.placement')), "
        "max(coalesce(json_extract(content, '$.seconds.layout'), 0) > 0.01), "
        "max(json_extract(content, '$.model') IS NOT NULL) "
        "FROM records WHERE json_extract(content, '$.case.workload') = ? GROUP BY 1 ORDER BY 2, 1"
    )
    known = {engine.name for engine in found.engines}
    more = []
    for engine, placement, lays_out, given_model in connection.execute(query, (found.workload,)):
        if engine in known:
            continue
        traits = {
            "lays_out": lays_out and found.report == "per_group",
            "given_model": given_model and found.report == "inference",
            "judges_on_split": found.report == "tuning",
        }
        has = tuple(name for name, there in traits.items() if there)
        more.append(EngineDescription(name=engine, placement=placement, traits=has))
    return found.model_copy(update={"engines": (*found.engines, *more)})


def _phases(connection: sqlite3.Connection, workload: str) -> tuple[str, ...]:
    """The phases that its records have seconds of, in their order."""
    query = (
        "SELECT json_extract(content, '$.seconds') FROM records "
        "WHERE json_extract(content, '$.case.workload') = ? AND outcome = 'ok'"
    )
    found = [json.loads(seconds) for (seconds,) in connection.execute(query, (workload,))]
    return tuple(dict.fromkeys(name for seconds in found for name in seconds))
