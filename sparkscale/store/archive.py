"""Archives: whole runs in one Parquet file, to share them or to keep them with a text that quotes them.

The file has one row for each row of a store with only these runs: `table` names the store's table,
`content` holds the row as JSON, and `blob` the bytes of a record's table. The schema's metadata states the format.
"""

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.store.schema import FORMAT, metadata
from sparkscale.store.store import FILE, Store

FORMAT_KEY = b"sparkscale_store_format"

Condense = Callable[[RunRecord, str, Any], tuple[str, Any] | None]
"""A function from a record, the name of one of its tables and that table (pyarrow.Table) to the name and table to
store. It returns None if no table is stored."""


def pack(store: Store, runs: Sequence[str], path: Path, condense: Condense | None = None) -> None:
    """Writes whole runs to a Parquet file. Without `condense`, all tables of records are stored unchanged.

    Raises ConfigError if the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="sparkscale-archive-") as folder:
        with Store.open(Path(folder)) as small:
            for run in runs:
                _copy(store, run, small, condense)
        rows = _rows(Path(folder) / FILE)
    schema = pa.schema(
        [("table", pa.string()), ("content", pa.string()), ("blob", pa.binary())],
        metadata={FORMAT_KEY: str(FORMAT).encode()},
    )
    columns = [pa.array([row[number] for row in rows], field.type) for number, field in enumerate(schema)]
    try:
        pq.write_table(pa.table(columns, schema=schema), path, compression="zstd", compression_level=19)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.") from error


@contextmanager
def unpacked(path: Path) -> Iterator[Store]:
    """Opens a temporary store with the runs of an archive. Raises ConfigError if the file is no archive."""
    with tempfile.TemporaryDirectory(prefix="sparkscale-archive-") as folder:
        _restore(path, Path(folder))
        with Store.existing(Path(folder)) as store:
            yield store


def _copy(store: Store, run: str, to: Store, condense: Condense | None) -> None:
    invocation = store.invocation(identity=run)
    to.begin(invocation)
    descriptions = set(invocation.origin.values())
    for record in store.records(run):
        tables = store.tables(record.id)
        if condense is not None:
            smaller = (condense(record, name, store.table(record.id, name)) for name in tables)
            tables = {table[0]: _bytes(table[1]) for table in smaller if table is not None}
        to.add(record, tables)
        named = (record.host, record.software, record.session, record.data, record.model, record.workload)
        descriptions |= {identity for identity in named if identity is not None}
    for identity in sorted(descriptions):
        with suppress(KeyError):  # if the store lacks a description, so does its copy
            to.keep(store.description(identity))


def _bytes(table: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def _rows(store: Path) -> list[tuple[str, str, bytes | None]]:
    """Returns table, content and blob of each row of a store."""
    rows = []
    with closing(sqlite3.connect(store)) as connection:
        connection.row_factory = sqlite3.Row
        for table in metadata.sorted_tables:
            for row in connection.execute(f"SELECT * FROM {table.name} ORDER BY rowid"):
                values = dict(row)
                blob = values.pop("content") if table.name == "blobs" else None
                rows.append((table.name, json.dumps(values), blob))
    return rows


def _restore(path: Path, folder: Path) -> None:
    """Makes a store from an archive, in the format in which it was written. Opening the store migrates it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        archive = pq.read_table(path, use_threads=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise ConfigError(f"{path} cannot be read as an archive of runs: {str(error).splitlines()[0]}") from error
    format_number = int((archive.schema.metadata or {}).get(FORMAT_KEY, 0))
    if not format_number:
        raise ConfigError(f"{path} is no archive of runs: write one with `sparkscale export --format archive`.")
    if format_number > FORMAT:
        raise ConfigError(f"{path} has format {format_number}, this sparkscale reads {FORMAT}: update sparkscale.")
    engine = sa.create_engine(f"sqlite:///{folder / FILE}")
    try:
        with engine.begin() as connection:
            metadata.create_all(connection)
            for row in archive.to_pylist():
                values = json.loads(row["content"])
                if row["blob"] is not None:
                    values["content"] = row["blob"]
                target = metadata.tables.get(row["table"])
                if target is None or not set(values) <= set(target.columns.keys()):
                    raise ConfigError(f"{path} is damaged: it has rows of an unknown table '{row['table']}'.")
                names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
                connection.execute(sa.text(f"INSERT INTO {row['table']} ({names}) VALUES ({marks})"), values)
            connection.exec_driver_sql(f"PRAGMA user_version={format_number}")
    finally:
        engine.dispose()


def take(archive: Path, store: Store) -> list[str]:
    """Copies the runs of an archive into a store, all or none, and returns their ids.

    Raises ConfigError if the file is no archive, or if one of its runs is in the store already.
    """
    with unpacked(archive) as other:
        runs = other.runs()
        if present := [run for run in runs if run in store.runs()]:
            raise ConfigError(f"Run {present[0]} of {archive} is already in {store.path}: nothing was imported.")
        with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
            connection.execute("ATTACH DATABASE ? AS other", (str(other.path),))
            connection.execute("BEGIN IMMEDIATE")
            try:
                for table in metadata.sorted_tables:
                    names = ", ".join(column.name for column in table.columns if column.name != "number")
                    connection.execute(
                        f"INSERT OR IGNORE INTO main.{table.name} ({names}) SELECT {names} FROM other.{table.name} "
                        "ORDER BY rowid"
                    )
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
    return runs
