"""Finds the two sides of a comparison: a run, a commit, a folder of records, or an archive."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sparkscale.analysis.compare import Side
from sparkscale.analysis.conditions import Reader
from sparkscale.analysis.known import comparable, renumbered
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import named
from sparkscale.contract.record import RunRecord
from sparkscale.store import archive
from sparkscale.store.store import Store

FEWEST_OF_A_COMMIT = 4
"""The fewest characters by which a commit is found."""
NEWEST = 3
"""The number of runs that a message names if a side is not found."""


@contextmanager
def opened(name: str, out: Path) -> Iterator[Side]:
    """Opens a side of a comparison. `name` is one of these, in this order:

    - a folder of records: its last run
    - an archive that `sparkscale export --format archive` wrote: its last run
    - the id of a run in the folder `out`
    - a commit, or the beginning of one: its records in the folder `out` that can be compared with the newest of them

    Raises ConfigError if there is no such side, or if it has no records.
    """
    path = Path(name)
    if path.is_dir():
        with Store.existing(path) as store:
            yield _of_run(store, name, store.invocation().id)
    elif path.is_file():
        with archive.unpacked(path) as store:
            yield _of_run(store, name, store.invocation().id)
    else:
        with Store.existing(out) as store:
            is_run = name in store.runs()
            yield _of_run(store, f"run {name}", name) if is_run else _of_commit(store, name)


def _of_run(store: Store, name: str, run: str) -> Side:
    records = store.records(run)
    if not records:
        raise ConfigError(f"{name} has no records: measure them with `sparkscale run`.")
    return Side(name, tuple(records), Reader(store, {run: store.invocation(identity=run)}))


def _of_commit(store: Store, commit: str) -> Side:
    invocations = {run: store.invocation(identity=run) for run in store.runs()}
    every = [record for record in store.records() if not record.case.is_published]
    found = [
        record
        for record in every
        if len(commit) >= FEWEST_OF_A_COMMIT
        and record.code.commit
        and record.code.commit.startswith(commit)
        and not record.code.dirty
    ]
    if not found:
        newest = [f"run {run} at {_commit_of(every, run)}" for run in reversed(list(invocations))][:NEWEST]
        known = f" It has {named(newest, NEWEST)}." if newest else ""
        raise ConfigError(f"{store.path} has no run and no commit '{commit}' with records.{known}")
    reader = Reader(store, invocations)
    return Side(f"commit {commit}", renumbered(comparable(found, reader), invocations), reader)


def _commit_of(records: Sequence[RunRecord], run: str) -> str:
    return next((str(record.code) for record in records if record.invocation == run), "no commit")
