"""Writes and reads archives: whole runs in one Parquet file, to share them or to publish them beside an article.

The file has one row for each row of a store that holds only these runs. The column `table` names the store's
table, `content` holds the row as JSON, and `blob` the bytes of a record's table. The schema's metadata states the
format.
"""

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sparkscale.contract.errors import ConfigError, StoreError
from sparkscale.contract.record import RunRecord
from sparkscale.store.schema import FORMAT, blobs, descriptions, metadata
from sparkscale.store.store import FILE, PATIENCE_SECONDS, Store, as_table

FORMAT_KEY = b"sparkscale_store_format"
BATCH_ROWS = 200

Condense = Callable[[RunRecord, str, Any], tuple[str, Any] | None]
"""A function that chooses what an archive stores in place of a table of a record.

Its arguments are the record, the name of the table, and the table (pyarrow.Table). It returns the name and the table
to store, or None to store no table.
"""


def pack(store: Store, runs: Sequence[str], path: Path, condense: Condense | None = None) -> None:
    """Writes whole runs to a Parquet file. Without `condense`, all tables of records are stored unchanged.

    Raises ConfigError if the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [("table", pa.string()), ("content", pa.string()), ("blob", pa.binary())],
        metadata={FORMAT_KEY: str(FORMAT).encode()},
    )
    with tempfile.TemporaryDirectory(prefix="sparkscale-archive-") as folder:
        with Store.open(Path(folder)) as small:
            for run in runs:
                _copy(store, run, small, condense)
        try:
            with pq.ParquetWriter(path, schema, compression="zstd", compression_level=19) as writer:
                for rows in _batches(Path(folder) / FILE):
                    writer.write_batch(pa.record_batch(list(zip(*rows, strict=True)), schema=schema))
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
    described = set(invocation.origin.values())
    for record in store.records(run):
        tables = store.tables(record.id)
        if condense is not None:
            smaller = (condense(record, name, as_table(content)) for name, content in tables.items())
            tables = {table[0]: _bytes(table[1]) for table in smaller if table is not None}
        to.add(record, tables)
        named = (record.host, record.software, record.session, record.data, record.model, record.workload)
        described |= {identity for identity in named if identity is not None}
    for identity in sorted(described):
        with suppress(KeyError):  # if the store lacks a description, so does its copy
            to.keep(store.description(identity))


def _bytes(table: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def _batches(store: Path) -> Iterator[list[tuple[str, str, bytes | None]]]:
    """Yields the rows of a store as tuples (table, content, blob), in batches that fit into memory."""
    with closing(sqlite3.connect(store)) as connection:
        connection.row_factory = sqlite3.Row
        for table in metadata.sorted_tables:
            found = connection.execute(f"SELECT * FROM {table.name} ORDER BY rowid")
            while rows := found.fetchmany(BATCH_ROWS):
                yield [_as_row(table.name, dict(row)) for row in rows]


def _as_row(table: str, values: dict[str, Any]) -> tuple[str, str, bytes | None]:
    blob = values.pop("content") if table == blobs.name else None
    return table, json.dumps(values), blob


def _restore(path: Path, folder: Path) -> None:
    """Makes a store from an archive and marks it with the archive's format. Opening the store migrates it.

    The store gets the tables of the present format. So if a later format changes the columns of a table, this
    function must first convert the rows of older archives.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        archive = pq.ParquetFile(path, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path} cannot be read as an archive of runs: {str(error).splitlines()[0]}") from error
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(folder / FILE)))
    try:
        format_number = _format(path, archive)
        with engine.begin() as connection:
            metadata.create_all(connection)
            for batch in archive.iter_batches(BATCH_ROWS, columns=["table", "content", "blob"], use_threads=False):
                for row in batch.to_pylist():
                    _insert(connection, **row)
            connection.exec_driver_sql(f"PRAGMA user_version={format_number}")
    except (ValueError, KeyError, TypeError, pa.ArrowException, sa.exc.DatabaseError) as error:
        raise ConfigError(f"{path} is a damaged archive: {str(error).splitlines()[0]}") from error
    finally:
        engine.dispose()
        archive.close()


def _format(path: Path, archive: Any) -> int:
    """Returns the format of an archive (pyarrow.parquet.ParquetFile). Raises ConfigError if it cannot be read."""
    stated = (archive.schema_arrow.metadata or {}).get(FORMAT_KEY)
    if stated is None:
        raise ConfigError(f"{path} is no archive of runs: write one with `sparkscale export --format archive`.")
    if (number := int(stated)) > FORMAT:
        raise ConfigError(f"{path} has format {number}, this sparkscale reads {FORMAT}: update sparkscale.")
    return number


def _insert(connection: sa.Connection, table: str, content: str, blob: bytes | None) -> None:
    """Inserts a row of an archive. Raises KeyError for an unknown table or column, ValueError for an empty row."""
    values = dict(json.loads(content))
    if not values:
        raise ValueError(f"it has a row of {table} without a value")
    if blob is not None:
        values["content"] = blob
    columns = metadata.tables[table].columns
    names = ", ".join(columns[name].name for name in values)
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), values)


def take(archive: Path, folder: Path) -> list[str]:
    """Copies all runs of an archive into the store of a folder, and returns the ids of these runs.

    The copies are marked as imported: they are shown and exported, but never resumed. Raises ConfigError if this
    release cannot read the archive, or if the store already has one of the runs. Raises StoreError if the store
    cannot be written. After an error the store has none of the runs that were to be copied.
    """
    with unpacked(archive) as other:
        runs = other.runs()
        try:
            for run in runs:
                other.invocation(identity=run)
                other.records(run)
        except ValueError as error:  # Pydantic's
            raise ConfigError(
                f"{archive} has records that this sparkscale cannot read: update sparkscale, or export it again."
            ) from error
        merge(archive, other, folder)
    return runs


def merge(source: Path, other: Store, folder: Path) -> None:
    """Copies all runs of a store that was made from the file `source` into the store of a folder.

    The copies are marked as imported. Raises ConfigError if the store already has one of the runs, and StoreError if
    it cannot be written. In both cases the store has none of the runs that were to be copied.
    """
    with Store.open(folder) as store:
        known = store.runs()
        if present := [run for run in other.runs() if run in known]:
            raise ConfigError(f"Run {present[0]} of {source} is already in {store.path}: nothing was imported.")
        try:
            _merge(other.path, store.path)
        except sqlite3.Error as error:
            raise StoreError(
                f"{source} cannot be imported into {store.path}, which is unchanged: {error}."
            ) from error


def _merge(source: Path, target: Path) -> None:
    """Copies all rows of one store into another, in one transaction. Raises sqlite3.Error."""
    with closing(sqlite3.connect(target, timeout=PATIENCE_SECONDS, isolation_level=None)) as connection:
        connection.execute("ATTACH DATABASE ? AS other", (str(source),))
        connection.execute("UPDATE other.invocations SET content = json_set(content, '$.imported', json('true'))")
        connection.execute("BEGIN IMMEDIATE")
        try:
            for table in metadata.sorted_tables:
                verb = "INSERT OR IGNORE" if table in (blobs, descriptions) else "INSERT"  # these may be shared
                names = ", ".join(column.name for column in table.columns if column.name != "number")
                connection.execute(
                    f"{verb} INTO main.{table.name} ({names}) SELECT {names} FROM other.{table.name} ORDER BY rowid"
                )
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
