"""Finds the sides of a comparison: a run, a commit, a revision as asv names it, a folder of records, or a file."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sparkscale.analysis.conditions import Reader
from sparkscale.analysis.known import comparable, renumbered
from sparkscale.analysis.questions.compare.side import Side
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import count, named
from sparkscale.contract.record import SHORT, RunRecord
from sparkscale.history import git
from sparkscale.history.package_environments import combinations
from sparkscale.measure.worker.descriptions import ROOT
from sparkscale.store import archive, record_file
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

FEWEST_OF_A_COMMIT = 4
"""The fewest characters by which a commit is found without git."""
MOST_NAMED = 3
"""The number of runs or commits that a message names."""
FILES = (".parquet", ".sqlite")
"""The endings of names of files."""
MEASURING = ("run", "bench", "asv", "decide", "import")
"""The commands with which the records of a commit are measured. A heap search is no measurement of a case."""


@contextmanager
def opened(name: str, out: Path) -> Iterator[Side]:
    """Opens a side of a comparison. `name` is one of these, in this order:

    - a folder of records: its last run
    - FOLDER:NAME, where NAME is a run or a commit in the records of that folder
    - a file that `sparkscale export` wrote with --format archive or parquet: its last run
    - the id of a run in the folder `out`
    - a commit or another revision of git, and after an @ the releases that it was measured with, such as
      HEAD@xgboost==3.1.1: its records in the folder `out`

    Raises ConfigError if there is no such side, or if it has no records.
    """
    folder, colon, within = name.rpartition(":")
    if _is(name, Path.is_dir):
        with Store.existing(Path(name)) as store:
            yield _of_run(store, name, store.invocation().id)
    elif colon and _is(folder, Path.is_dir):
        with Store.existing(Path(folder)) as store:
            yield _of_name(store, within)
    elif _is(name, Path.is_file):
        with _unpacked(Path(name)) as store:
            yield _of_run(store, name, store.invocation().id)
    else:
        with _records_of(out, name) as store:
            yield _of_name(store, name)


@contextmanager
def _records_of(out: Path, name: str) -> Iterator[Store]:
    """Opens the store in which a name is looked for. Raises ConfigError with the name if there are no records."""
    with ExitStack() as stack:
        try:
            store = stack.enter_context(Store.existing(out))
        except ConfigError as error:
            raise ConfigError(
                f"'{name}' is no folder and no file. It could be a run or a commit, but {out} has no records: "
                "measure some with `sparkscale run`, or name their directory with --out."
            ) from error
        yield store


def _is(name: str, test: Callable[[Path], bool]) -> bool:
    """Returns whether the name is a path that passes this test. False if it cannot be a path."""
    try:
        return bool(name) and test(Path(name))
    except (OSError, ValueError):
        return False


@contextmanager
def _unpacked(path: Path) -> Iterator[Store]:
    with (record_file if record_file.is_one(path) else archive).unpacked(path) as store:
        yield store


def _of_name(store: Store, name: str) -> Side:
    return _of_run(store, f"run {name}", name) if name in store.runs() else _of_revision(store, name)


def _of_run(store: Store, name: str, run: str) -> Side:
    records = store.records(run)
    if not records:
        raise ConfigError(f"{name} has no records: measure them with `sparkscale run`.")
    invocation = store.invocation(identity=run)
    return Side(name, tuple(records), Reader(store, {run: invocation}), thresholds=invocation.gate)


@dataclass(frozen=True)
class _Revision:
    """A commit, and how it was measured. `environment` holds the releases that differ from the installed ones."""

    commit: str
    environment: tuple[str, ...]
    is_dirty: bool

    @property
    def title(self) -> str:
        parts = [*self.environment, *(["dirty"] if self.is_dirty else [])]
        return f"commit {self.commit[:SHORT]}{'@' if parts else ''}{','.join(parts)}"


def _of_revision(store: Store, name: str) -> Side:
    invocations = {run: store.invocation(identity=run) for run in store.runs()}
    measured = [
        record
        for record in store.records()
        if invocations[record.invocation].command in MEASURING and not record.case.is_published and record.code.commit
    ]
    wanted = _revision(store, name, measured, invocations)
    of_commit = [record for record in measured if record.code.commit == wanted.commit]
    records = [
        record
        for record in of_commit
        if bool(record.code.dirty) == wanted.is_dirty
        and invocations[record.invocation].environment == wanted.environment
    ]
    if not records:
        others = sorted({_measured_as(record, invocations) for record in of_commit})
        raise ConfigError(
            f"{store.path} has no records of {wanted.title}. It has records of that commit with "
            f"{named(others, MOST_NAMED, '; ')}."
        )
    reader = Reader(store, invocations)
    left_out = []
    of_changes = [record for record in records if record.code == records[-1].code]
    if len(of_changes) < len(records):
        left_out.append(f"{count(len(records) - len(of_changes), 'record')} left out, because of other changes")
    records = of_changes
    kept = comparable(records, reader)
    if len(kept) < len(records):
        left_out.append(
            f"{count(len(records) - len(kept), 'record')} left out, because host, package versions or settings "
            "differ from those of its newest records"
        )
    newest = max((invocations[record.invocation] for record in kept), key=lambda one: one.started_at)
    return Side(wanted.title, renumbered(kept, invocations), reader, tuple(left_out), newest.gate)


def _measured_as(record: RunRecord, invocations: dict[str, Invocation]) -> str:
    """Returns how a record was measured, as it is written after an @."""
    parts = [*invocations[record.invocation].environment, *(["dirty"] if record.code.dirty else [])]
    return f"@{','.join(parts) or 'locked'}"


def _revision(
    store: Store, name: str, measured: Sequence[RunRecord], invocations: dict[str, Invocation]
) -> _Revision:
    """Returns the revision with this name. Raises ConfigError if it has no records, or if several commits match.

    A branch or tag of which the commit has records comes before the beginning of a commit, as in git: "beef" can be
    both.
    """
    revision, _, suffix = name.partition("@")
    parts = [part.strip() for part in suffix.split(",") if part.strip() not in ("", "locked")]
    releases = combinations([part for part in parts if part != "dirty"])
    if len(releases) > 1:
        raise ConfigError(f"{name} names several releases of one package: name one of each after the @.")
    commits = list(dict.fromkeys(str(record.code.commit) for record in measured))
    resolved = git.output(ROOT, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    is_name = resolved in commits and not str(resolved).startswith(revision)
    matching = [commit for commit in commits if len(revision) >= FEWEST_OF_A_COMMIT and commit.startswith(revision)]
    if len(matching) > 1 and not is_name:
        raise ConfigError(f"'{revision}' begins several commits: {named(matching, MOST_NAMED)}. Give more of it.")
    commit = matching[0] if matching and not is_name else resolved
    if commit not in commits:
        raise ConfigError(_not_measured(store, name, resolved, commits, measured, invocations))
    return _Revision(str(commit), releases[0], "dirty" in parts)


def _not_measured(
    store: Store,
    name: str,
    commit: str | None,
    commits: Sequence[str],
    measured: Sequence[RunRecord],
    invocations: dict[str, Invocation],
) -> str:
    """Returns the message for a side without records. It names the nearest commit that has some, or the last runs."""
    if commit is None and ("/" in name or Path(name).suffix in FILES):
        return f"There is no folder and no file {name}: name records as `sparkscale compare --help` says."
    if commit is not None and (distances := _distances(commit, commits)):
        nearest = min(distances, key=lambda one: distances[one])
        return (
            f"{store.path} has no records of '{name}', commit {commit[:SHORT]}: measure it with `sparkscale bench`. "
            f"The nearest commit with records is {nearest[:SHORT]}, {count(distances[nearest], 'commit')} away."
        )
    codes = {record.invocation: str(record.code.commit)[:SHORT] for record in measured}
    newest = [f"run {run} at commit {codes[run]}" for run in reversed(list(invocations)) if run in codes]
    known = f" It has {named(newest, MOST_NAMED)}." if newest else " It has no records of commits."
    return f"{store.path} has no run and no commit '{name}' with records.{known}"


def _distances(commit: str, others: Sequence[str]) -> dict[str, int]:
    """Returns the number of commits between this commit and each other one that git knows."""
    counts = {other: git.output(ROOT, "rev-list", "--count", f"{commit}...{other}") for other in others}
    return {other: int(number) for other, number in counts.items() if number is not None}
