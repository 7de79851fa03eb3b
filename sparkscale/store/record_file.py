"""Writes and reads records as a Parquet file with one column per field, for other programs.

Nested names are joined by dots. The schema's metadata holds what records refer to: their runs, and the descriptions
of hosts, software and workloads. So sparkscale can read the records again, without their tables.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import Description, RunRecord
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

CONTEXT_KEY = b"sparkscale_context"
AS_JSON = ("case.params",)
"""Fields that differ by case, so that they become one JSON text."""
MAPPINGS = ("seconds", "quality", "figures")
"""Fields of a record that hold numbers by name."""
OF_MAPPINGS = tuple(f"{name}." for name in MAPPINGS)
"""What the names of the columns of MAPPINGS begin with."""
OPTIONAL = ("error", "spark")
"""Fields of a record that are null as a whole, or have all their parts."""


def flat(record: RunRecord) -> dict[str, Any]:
    """Returns a record as a flat mapping, with nested names joined by dots."""
    return _flat(record.model_dump(mode="json"), "")


def _flat(value: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if name in AS_JSON:
            columns[name] = json.dumps(item, sort_keys=True)
        elif isinstance(item, Mapping):
            columns |= _flat(item, f"{name}.")
        else:
            columns[name] = item
    return columns


def pack(store: Store, records: Sequence[RunRecord], path: Path) -> None:
    """Writes records to a Parquet file.

    Raises ConfigError if it cannot be written, or if a field has values that one column cannot hold.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [flat(record) for record in records]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names:
        try:
            columns[name] = pa.array([row.get(name) for row in rows])
        except (pa.ArrowException, OverflowError) as error:
            raise ConfigError(
                f"{path} cannot be written, because no column can hold all values of {name}: export with "
                "--format json."
            ) from error
    context = json.dumps(_context(store, records)).encode()
    table = pa.table(columns).replace_schema_metadata({CONTEXT_KEY: context})
    try:
        pq.write_table(table, path, compression="zstd")
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}.") from error


def _context(store: Store, records: Sequence[RunRecord]) -> dict[str, Any]:
    """Returns the runs of the records, and the descriptions that records and runs refer to."""
    invocations = [store.invocation(identity=run) for run in dict.fromkeys(record.invocation for record in records)]
    references = {
        identity
        for record in records
        for identity in (record.host, record.software, record.session, record.data, record.model, record.workload)
        if identity is not None
    }
    references |= {identity for one in invocations for identity in one.origin.values()}
    descriptions = []
    for identity in sorted(references):
        with suppress(KeyError):
            descriptions.append(store.description(identity).model_dump(mode="json"))
    return {"invocations": [one.model_dump(mode="json") for one in invocations], "descriptions": descriptions}


def is_one(path: Path) -> bool:
    """Returns true if the file is a Parquet file of records, and no archive of runs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException):
        return False
    return CONTEXT_KEY in (schema.metadata or {}) or {"id", "case.workload"} <= set(schema.names)


@contextmanager
def unpacked(path: Path) -> Iterator[Store]:
    """Opens a temporary store with the records of a file, without their tables.

    Raises ConfigError if the file is damaged, or if an earlier release wrote it, which did not store the runs.
    """
    with tempfile.TemporaryDirectory(prefix="sparkscale-records-") as folder:
        with Store.open(Path(folder)) as store:
            _restore(path, store)
        with Store.existing(Path(folder)) as store:
            yield store


def _restore(path: Path, store: Store) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path, pre_buffer=False).read(use_threads=False)
        stated = (table.schema.metadata or {}).get(CONTEXT_KEY)
        if stated is None:
            raise ConfigError(
                f"{path} does not say from which runs its records are, because an earlier release wrote it: export "
                "them again with `sparkscale export --format parquet`."
            )
        context = json.loads(stated)
        for content in context["invocations"]:
            store.begin(Invocation.model_validate(content))
        for content in context["descriptions"]:
            store.keep(Description.model_validate(content))
        for row in table.to_pylist():
            store.add(RunRecord.model_validate(nested(row)), {})
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        reason = f"{error.error_count()} fields are wrong" if isinstance(error, ValidationError) else error
        raise ConfigError(f"{path} is a damaged file of records: {str(reason).splitlines()[0]}.") from error


def nested(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the record of a row, as nested mappings. It is the inverse of `flat`."""
    record: dict[str, Any] = {name: {} for name in (*MAPPINGS, *OPTIONAL)}
    for name, value in row.items():
        if name in OPTIONAL:
            continue  # null as a whole
        *outer, last = name.split(".", 1 if name.startswith(OF_MAPPINGS) else -1)
        inside = record
        for part in outer:
            inside = inside.setdefault(part, {})
        if not (outer and outer[0] in MAPPINGS and value is None):
            inside[last] = json.loads(value) if name in AS_JSON else value
    for name in OPTIONAL:
        record[name] = {key: value for key, value in record[name].items() if value is not None} or None
    return record
