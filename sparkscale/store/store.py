"""The record store: one SQLite file. A record and its tables are stored in one transaction."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as insert_once

from sparkscale import mounts
from sparkscale.contract import redaction
from sparkscale.contract.case import digest
from sparkscale.contract.declared import WorkloadDescription
from sparkscale.contract.errors import ConfigError, StoreError
from sparkscale.contract.record import Description, Kind, RunRecord
from sparkscale.store import migrations
from sparkscale.store.invocation import Command, Invocation
from sparkscale.store.schema import FORMAT, blobs, descriptions, invocations, metadata, records, tables

FILE = "records.sqlite"
PATIENCE_SECONDS = 60
"""Writers wait this long for readers, and readers for writers, if there is no write-ahead log."""


class Store:
    """The records of one results folder. `open` makes the folder if it is missing; `existing` needs a store in it."""

    def __init__(self, path: Path, engine: sa.Engine) -> None:
        self.path = path
        self._engine = engine

    @staticmethod
    def check_writable(folder: Path) -> None:
        """Raises ConfigError if the folder cannot be written or made. It leaves no file behind."""
        try:
            existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            raise ConfigError(
                f"The output directory {folder} cannot be written ({error.strerror}): choose another with --out."
            ) from error

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator["Store"]:
        """Opens the store of a folder. Makes the folder and the store if necessary.

        Raises ConfigError if the folder cannot be written.
        """
        cls.check_writable(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with cls._connect(folder / FILE, writes=True) as store:
            metadata.create_all(store._engine)
            with suppress(OSError):  # the file may belong to another user
                (folder / FILE).chmod(0o600)
            with store._engine.connect() as connection:
                # a write-ahead log needs memory that all processes share: over a network it corrupts the file
                journal = "WAL" if mounts.is_local(folder) else "DELETE"
                with suppress(sa.exc.OperationalError):  # another process is reading the file
                    connection.exec_driver_sql(f"PRAGMA journal_mode={journal}")
                connection.exec_driver_sql(f"PRAGMA user_version={FORMAT}")
            yield store

    @classmethod
    @contextmanager
    def existing(cls, folder: Path) -> Iterator["Store"]:
        """Opens the store of a folder. Raises ConfigError if there is no store, or if a run is just making it."""
        missing = ConfigError(
            f"No records in {folder}: measure some with `sparkscale run`, or name their directory with --out."
        )
        if not (folder / FILE).is_file():
            raise missing
        with cls._connect(folder / FILE, if_incomplete=missing) as store:
            yield store

    @classmethod
    @contextmanager
    def _connect(
        cls, path: Path, if_incomplete: ConfigError | None = None, writes: bool = False
    ) -> Iterator["Store"]:
        """Opens a store file, and migrates it if necessary.

        `if_incomplete` is the error to raise if the file does not have all tables yet; None raises no error. If
        `writes` is false, the store may be a copy in memory.
        """
        url = sa.URL.create("sqlite", database=str(path))  # a text would give % and ? a meaning
        engine = sa.create_engine(url, connect_args={"timeout": PATIENCE_SECONDS})
        try:
            with engine.connect() as connection:
                format_number = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if not format_number and if_incomplete:
                raise if_incomplete
            if format_number > FORMAT:
                raise StoreError(
                    f"{path} has format {format_number}, this sparkscale reads {FORMAT}: use another --out."
                )
            if 0 < format_number < FORMAT:
                engine = migrations.migrated(path, engine, PATIENCE_SECONDS, may_copy=not writes)
            yield cls(path, engine)
        except sa.exc.DatabaseError as error:
            if any(words in str(error.orig) for words in ("disk I/O", "is full")):
                raise StoreError(
                    f"{path} cannot be written ({error.orig}): make room there, or use another --out."
                ) from error
            raise StoreError(f"{path} cannot be used as a record store: {error.orig}.") from error
        finally:
            engine.dispose()

    def begin(self, invocation: Invocation) -> None:
        """Stores a new run."""
        row = {
            "id": invocation.id,
            "started_at": invocation.started_at.isoformat(),
            "suite": invocation.suite,
            "content": redaction.values(invocation.model_dump(mode="json")),
        }
        with self._engine.begin() as connection:
            connection.execute(invocations.insert(), row)

    def invocation(
        self,
        suite: str | None = None,
        identity: str | None = None,
        command: Command | None = None,
        environment: tuple[str, ...] | None = None,
    ) -> Invocation:
        """Returns the latest run that matches all arguments. An argument that is None matches every run.

        `identity` is the id of a run. A heap search is found only if its id or the command "heap" is given. If
        `command` is given, imported runs are left out, because they cannot be resumed. Raises ConfigError if there
        is no such run.
        """
        query = sa.select(invocations.c.content).order_by(invocations.c.started_at.desc())
        if suite is not None:
            query = query.where(invocations.c.suite == suite)
        if identity is not None:
            query = query.where(invocations.c.id == identity)
        with self._engine.connect() as connection:
            for content in connection.execute(query).scalars():
                invocation = Invocation.model_validate(content)
                if command is None and identity is None and invocation.command == "heap":
                    continue
                if command is not None and invocation.imported:
                    continue
                if command in (None, invocation.command) and environment in (None, invocation.environment):
                    return invocation
        wanted = (f" {identity}" if identity else "") + (f" of suite '{suite}'" if suite else "")
        wanted += f" with {', '.join(environment)}" if environment else ""
        measuring = "decide" if command == "decide" else "run"
        kind = " of `sparkscale decide`" if command == "decide" else ""
        raise ConfigError(f"There is no run{kind}{wanted} in {self.path}: measure one with `sparkscale {measuring}`.")

    def describe(self, kind: Kind, content: dict[str, Any]) -> str:
        """Stores a description once and returns its id. As in records, known secrets are removed."""
        content = redaction.values(content)
        description = Description(kind=kind, id=digest([kind, content]), content=content)
        self.keep(description)
        return description.id

    def keep(self, description: Description) -> None:
        """Stores a description under its id, once."""
        statement = insert_once(descriptions).on_conflict_do_nothing()
        with self._engine.begin() as connection:
            connection.execute(statement, description.model_dump())

    def description(self, identity: str) -> Description:
        """Returns the description with this id. Raises KeyError if the store does not have it."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(descriptions).where(descriptions.c.id == identity)).one_or_none()
        if row is None:
            raise KeyError(identity)
        return Description.model_validate(row._asdict())

    def content(self, identity: str | None) -> dict[str, Any] | None:
        """Returns the content of the description with this id. None if there is none, as in some archives."""
        try:
            return self.description(identity).content if identity else None
        except KeyError:
            return None

    def add(self, record: RunRecord, parquet: dict[str, bytes]) -> None:
        """Commits a record with its tables. Equal tables are stored once.

        `parquet` holds the bytes of a Parquet file for each table, by name.
        """
        insert_blob = insert_once(blobs).on_conflict_do_nothing()
        with self._engine.begin() as connection:
            connection.execute(
                records.insert(),
                {
                    "id": record.id,
                    "invocation": record.invocation,
                    "case_id": record.case.id,
                    "outcome": record.outcome,
                    "content": redaction.values(record.model_dump(mode="json")),
                },
            )
            for name, content in parquet.items():
                sha256 = hashlib.sha256(content).hexdigest()
                connection.execute(insert_blob, {"sha256": sha256, "content": content})
                connection.execute(tables.insert(), {"record": record.id, "name": name, "sha256": sha256})

    def runs(self) -> list[str]:
        """Returns the ids of all runs, the oldest first."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(invocations.c.id).order_by(invocations.c.started_at)).scalars())

    def records(self, invocation: str | None = None) -> list[RunRecord]:
        """Returns the records of the run with this id, or of all runs, in the order of measurement."""
        query = sa.select(records.c.content).order_by(records.c.number)
        if invocation is not None:
            query = query.where(records.c.invocation == invocation)
        return self._read(query)

    def record(self, identity: str) -> RunRecord:
        """Returns the record with this id, or the only one whose id begins with it.

        Raises ConfigError if there is no such record, or if there are several.
        """
        begins = records.c.id.startswith(identity, autoescape=True)
        found = self._read(sa.select(records.c.content).where(begins).limit(2)) if identity else []
        exact = self._read(sa.select(records.c.content).where(records.c.id == identity)) if len(found) > 1 else found
        if not found:
            raise ConfigError(f"{self.path} has no record '{identity}': `sparkscale export` prints ids of records.")
        if not exact:
            raise ConfigError(f"{self.path} has several records whose ids begin with '{identity}': give more of it.")
        return exact[0]

    def records_of(self, suite: str) -> list[RunRecord]:
        """Returns the records of all runs of a suite, in the order of measurement, without imported runs."""
        is_own = invocations.c.content["imported"].as_boolean().is_not(True)
        query = sa.select(records.c.content).join(invocations).where(invocations.c.suite == suite, is_own)
        return self._read(query.order_by(records.c.number))

    def _read(self, query: sa.Select[Any]) -> list[RunRecord]:
        """Returns the selected records with the descriptions of their workloads."""
        workload_query = sa.select(descriptions.c.id, descriptions.c.content).where(descriptions.c.kind == "workload")
        with self._engine.connect() as connection:
            # fetch all rows at once, because an open reader may keep a writer waiting
            contents = connection.execute(query).scalars().all()
            workloads = {
                row.id: WorkloadDescription.model_validate(row.content) for row in connection.execute(workload_query)
            }
        return [
            RunRecord.model_validate({**content, "description": workloads.get(content.get("workload"))})
            for content in contents
        ]

    def tables(self, record: str) -> dict[str, bytes]:
        """Returns a record's tables by name, each as the bytes of a Parquet file."""
        query = (
            sa.select(tables.c.name, blobs.c.content)
            .join(blobs, tables.c.sha256 == blobs.c.sha256)
            .where(tables.c.record == record)
            .order_by(tables.c.name)
        )
        with self._engine.connect() as connection:
            return {row.name: row.content for row in connection.execute(query)}

    def columns(self, record: str, name: str, names: Sequence[str]) -> dict[str, Any]:
        """Returns columns of a record's table as NumPy arrays. Names that the table lacks are skipped.

        Use it only for numeric columns without nulls: any other type would make Arrow import pandas. Raises
        KeyError if the record has no table of this name.
        """
        import numpy as np

        table = self.table(record, name, names)
        return {column: np.from_dlpack(table.column(column).combine_chunks()) for column in table.column_names}

    def table(self, record: str, name: str, columns: Sequence[str] | None = None) -> Any:
        """Returns a record's table as pyarrow.Table.

        If `columns` is given, the table has only those columns, as far as they exist. Raises KeyError if the record
        has no table of this name.
        """
        query = (
            sa.select(blobs.c.content)
            .join(tables, tables.c.sha256 == blobs.c.sha256)
            .where(tables.c.record == record, tables.c.name == name)
        )
        with self._engine.connect() as connection:
            content = connection.execute(query).scalar_one_or_none()
        if content is None:
            raise KeyError(f"{record} has no table {name}")
        return as_table(content, columns)


def as_table(content: bytes, columns: Sequence[str] | None = None) -> Any:
    """Returns a stored table, given as the bytes of a Parquet file, as pyarrow.Table.

    If `columns` is given, the table has only those columns, as far as they exist.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # read in this thread: a thread of Arrow that frees Python's bytes while the interpreter exits would abort it
    file = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False)
    present = None if columns is None else [column for column in columns if column in file.schema_arrow.names]
    return file.read(columns=present, use_threads=False)
