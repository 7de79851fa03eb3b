"""Brings the store of an earlier release to the present format. No record is lost."""

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
    """Migrates a store and returns its database engine. It waits `patience_seconds` for other processes.

    If the file is read-only and `may_copy` is true, it migrates a copy in memory and returns the engine of this
    copy. Raises StoreError if the file cannot be migrated. In that case the file is unchanged.
    """
    with closing(sqlite3.connect(path, timeout=patience_seconds, isolation_level=None)) as connection:
        try:
            migrate(connection)
        except sqlite3.Error as error:
            if "readonly" not in str(error) or not may_copy:
                raise StoreError(
                    f"{path} cannot be brought to the present format, and is unchanged: {error}. Use another --out."
                ) from error
        else:
            return engine
        engine.dispose()
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.backup(copy)
    migrate(copy)
    return sa.create_engine("sqlite://", creator=lambda: copy, poolclass=sa.StaticPool)


def migrate(connection: sqlite3.Connection) -> None:
    """Migrates to the present format in one transaction, so that no other process sees a half-migrated store."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        present_format = connection.execute("PRAGMA user_version").fetchone()[0]
        for number in range(present_format, FORMAT):
            STEPS[number](connection)
        connection.execute(f"PRAGMA user_version={FORMAT}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def describe_workloads(connection: sqlite3.Connection) -> None:
    """Makes records refer to a description of their workload: the first part of `to_format_2`."""
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
    """Stores in each run the goals of the run's suite: the second part of `to_format_2`."""
    for suite, goals in format_1.goals().items():
        connection.execute(
            "UPDATE invocations SET content = json_set(content, '$.goals', json(?)) WHERE suite = ?",
            (json.dumps(goals), suite),
        )


def to_format_2(connection: sqlite3.Connection) -> None:
    """Migrates from format 1 to 2: stores descriptions of workloads, and goals of suites.

    Earlier releases had both only in their code.
    """
    describe_workloads(connection)
    state_goals(connection)


STEPS = {1: to_format_2}
"""Maps each earlier format to the function that migrates a store from it to the next format."""


def _of_records(connection: sqlite3.Connection, workload: str) -> WorkloadDescription:
    """Returns a description of a workload that no release had, such as a workload of a branch.

    It is copied from a known workload with the same pattern and with a quality that the records have, so that the
    records can be judged. If no such workload is known, it declares no qualities. If no workload with this pattern
    is known, it declares only the phases of the records.
    """
    query = (
        "SELECT json_extract(content, '$.case.pattern'), json_extract(content, '$.case.version'), "
        "json_extract(content, '$.quality') FROM records WHERE json_extract(content, '$.case.workload') = ?"
    )
    rows: list[tuple[Any, ...]] = connection.execute(query, (workload,)).fetchall()
    pattern, version = rows[0][:2]
    qualities = {name for *_, quality in rows for name in json.loads(quality or "{}")}
    known_fields: dict[str, Any] = {
        "workload": workload,
        "version": version,
        "summary": "",
        "engines": (),
        "capacity": "",
    }
    same_pattern = [found for found in format_1.workloads().values() if found.pattern == pattern]
    same_quality = (
        found for found in same_pattern if qualities & {judged.quality for judged in found.judged.values()}
    )
    if similar := next(same_quality, None):
        return similar.model_copy(update=known_fields)
    if same_pattern:
        return same_pattern[0].model_copy(update={**known_fields, "judged": {}, "qualities": (), "beside": ()})
    phases = _phases(connection, workload)
    return WorkloadDescription(pattern=pattern, report=pattern, phases=phases, time_to_model=phases, **known_fields)


def _with_all_engines(connection: sqlite3.Connection, description: WorkloadDescription) -> WorkloadDescription:
    """Returns the description, completed with engines that only the records name.

    Such engines may have been renamed since.
    """
    query = (
        "SELECT json_extract(content, '$.case.engine'), max(json_extract(content, '$.case.placement')), "
        "max(coalesce(json_extract(content, '$.seconds.layout'), 0) > 0.01), "
        "max(json_extract(content, '$.model') IS NOT NULL) "
        "FROM records WHERE json_extract(content, '$.case.workload') = ? GROUP BY 1 ORDER BY 2, 1"
    )
    described = {engine.name for engine in description.engines}
    additional = []
    for engine, placement, lays_out, given_model in connection.execute(query, (description.workload,)):
        if engine in described:
            continue
        traits = {
            "lays_out": lays_out and description.report == "per_group",
            "given_model": given_model and description.report == "inference",
            "judges_on_split": description.report == "tuning",
        }
        engine_traits = tuple(name for name, is_present in traits.items() if is_present)
        additional.append(EngineDescription(name=engine, placement=placement, traits=engine_traits))
    return description.model_copy(update={"engines": (*description.engines, *additional)})


def _phases(connection: sqlite3.Connection, workload: str) -> tuple[str, ...]:
    """Returns the names of the phases that the records of a workload have, in the order of the phases."""
    query = (
        "SELECT json_extract(content, '$.seconds') FROM records "
        "WHERE json_extract(content, '$.case.workload') = ? AND outcome = 'ok'"
    )
    all_seconds = [json.loads(seconds) for (seconds,) in connection.execute(query, (workload,))]
    return tuple(dict.fromkeys(name for seconds in all_seconds for name in seconds))
