"""The record store: one SQLite file; a record and its tables arrive in one transaction."""

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
"""How long a writer waits for readers, or a reader for a writer, where there is no write-ahead log."""


class Store:
    """Records of one results folder. `open` makes the folder; `existing` wants one that is there."""

    def __init__(self, path: Path, engine: sa.Engine) -> None:
        self.path = path
        self._engine = engine

    @staticmethod
    def check_writable(folder: Path) -> None:
        """Raises ConfigError when the folder cannot be written, or made; leaves nothing."""
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
        """Raises ConfigError when the folder cannot be written."""
        cls.check_writable(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with cls._connect(folder / FILE, writes=True) as store:
            metadata.create_all(store._engine)
            with suppress(OSError):  # of a file that is another user's
                (folder / FILE).chmod(0o600)
            with store._engine.connect() as connection:
                # a write-ahead log needs memory that all processes share: over a network it corrupts the file
                journal = "WAL" if mounts.is_local(folder) else "DELETE"
                with suppress(sa.exc.OperationalError):  # someone reads it: it stays as it was made
                    connection.exec_driver_sql(f"PRAGMA journal_mode={journal}")
                connection.exec_driver_sql(f"PRAGMA user_version={FORMAT}")
            yield store

    @classmethod
    @contextmanager
    def existing(cls, folder: Path) -> Iterator["Store"]:
        """Raises ConfigError when there is no store, or a run is just making it."""
        none = ConfigError(
            f"No records in {folder}: measure some with `sparkscale run`, or name their directory with --out."
        )
        if not (folder / FILE).is_file():
            raise none
        with cls._connect(folder / FILE, unmade=none) as store:
            yield store

    @classmethod
    @contextmanager
    def _connect(cls, path: Path, unmade: ConfigError | None = None, writes: bool = False) -> Iterator["Store"]:
        """Raises `unmade` for a file without all its tables. A store that is only read may be a copy in memory."""
        engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": PATIENCE_SECONDS})
        try:
            with engine.connect() as connection:
                found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if not found and unmade:
                raise unmade
            if found > FORMAT:
                raise StoreError(f"{path} has format {found}, this sparkscale reads {FORMAT}: use another --out.")
            if 0 < found < FORMAT:
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
        """The latest, of one suite, command and environment, or of any, or the one of this id.

        A search for a heap is no run: only its id or its command selects it. Raises ConfigError when there is none.
        """
        query = sa.select(invocations.c.content).order_by(invocations.c.started_at.desc())
        if suite is not None:
            query = query.where(invocations.c.suite == suite)
        if identity is not None:
            query = query.where(invocations.c.id == identity)
        with self._engine.connect() as connection:
            for content in connection.execute(query).scalars():
                found = Invocation.model_validate(content)
                if command is None and identity is None and found.command == "heap":
                    continue
                if command in (None, found.command) and environment in (None, found.environment):
                    return found
        which = (f" {identity}" if identity else "") + (f" of suite '{suite}'" if suite else "")
        which += f" with {', '.join(environment)}" if environment else ""
        raise ConfigError(f"There is no run{which} in {self.path}: measure one with `sparkscale run`.")

    def describe(self, kind: Kind, content: dict[str, Any]) -> str:
        """Stores a description once; returns its id. Here, as in records, no known secret is stored."""
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
        """Raises KeyError."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(descriptions).where(descriptions.c.id == identity)).one_or_none()
        if row is None:
            raise KeyError(identity)
        return Description.model_validate(row._asdict())

    def add(self, record: RunRecord, parquet: dict[str, bytes]) -> None:
        """Commits a record with its tables. Equal tables are stored once."""
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
        """The ids of all runs, the oldest first."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(invocations.c.id).order_by(invocations.c.started_at)).scalars())

    def records(self, invocation: str | None = None) -> list[RunRecord]:
        """Records in the order in which they were measured; of one run, or of all."""
        query = sa.select(records.c.content).order_by(records.c.number)
        if invocation is not None:
            query = query.where(records.c.invocation == invocation)
        return self._read(query)

    def records_of(self, suite: str) -> list[RunRecord]:
        """Records of every run of a suite, in the order in which they were measured."""
        query = sa.select(records.c.content).join(invocations).where(invocations.c.suite == suite)
        return self._read(query.order_by(records.c.number))

    def _read(self, query: sa.Select[Any]) -> list[RunRecord]:
        """Records with the descriptions of their workloads."""
        stated = sa.select(descriptions.c.id, descriptions.c.content).where(descriptions.c.kind == "workload")
        with self._engine.connect() as connection:
            found = connection.execute(query).scalars().all()  # at once: who reads may keep a writer waiting
            workloads = {
                row.id: WorkloadDescription.model_validate(row.content) for row in connection.execute(stated)
            }
        return [
            RunRecord.model_validate({**content, "description": workloads.get(content.get("workload"))})
            for content in found
        ]

    def tables(self, record: str) -> dict[str, bytes]:
        """A record's tables by name, each as the bytes of a Parquet file."""
        query = (
            sa.select(tables.c.name, blobs.c.content)
            .join(blobs, tables.c.sha256 == blobs.c.sha256)
            .where(tables.c.record == record)
            .order_by(tables.c.name)
        )
        with self._engine.connect() as connection:
            return {row.name: row.content for row in connection.execute(query)}

    def columns(self, record: str, name: str, wanted: Sequence[str]) -> dict[str, Any]:
        """Columns of a record's table as NumPy arrays, those that the table has. Raises KeyError as `table` does.

        Without nulls and of numbers only: Arrow would import pandas to convert others.
        """
        import numpy as np

        table = self.table(record, name, wanted)
        return {column: np.from_dlpack(table.column(column).combine_chunks()) for column in table.column_names}

    def table(self, record: str, name: str, columns: Sequence[str] | None = None) -> Any:
        """A record's table as pyarrow.Table, or those of some columns that it has. Raises KeyError when it carries
        none of this name.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        query = (
            sa.select(blobs.c.content)
            .join(tables, tables.c.sha256 == blobs.c.sha256)
            .where(tables.c.record == record, tables.c.name == name)
        )
        with self._engine.connect() as connection:
            content = connection.execute(query).scalar_one_or_none()
        if content is None:
            raise KeyError(f"{record} has no table {name}")
        # in this thread: one of Arrow's that gives back Python's bytes while the interpreter ends aborts it
        file = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False)
        known = None if columns is None else [column for column in columns if column in file.schema_arrow.names]
        return file.read(columns=known, use_threads=False)
