"""A view of a record store for reports that others read: without names that a reader does not need.

Absolute paths and URIs are shortened to their last part, and names and addresses of hosts are removed. An anonymous
view also lacks what is left of paths, the user's name, and the names of the user's tables, columns and groups.
"""

import getpass
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from sparkscale.contract.record import GROUPS, TRIALS, Description, ErrorInfo, RunRecord
from sparkscale.store.invocation import Command, Invocation
from sparkscale.store.schema import descriptions
from sparkscale.store.store import Store

URI = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*)(?::/{1,3}|://)([^\s'\"<>]+)")
PATH = re.compile(r"(?<![\w/<.…])(?:/[^\s/'\":,;()\[\]<>]+){2,}/?|\b[A-Za-z]:\\[^\s'\"<>]+")
SHORT_PATH = re.compile(r"(?<![\w/<.…])/[^\s/'\":,;()\[\]<>]+|(?<![\w/<])[\w.-]+(?:/[\w.-]+)*/[\w-]+\.\w{2,8}\b")
"""A path of one part, or a relative path of a file. Only an anonymous view looks for them."""
ADDRESS = re.compile(
    r"(?<![\w.-])(?<![Vv]ersion )(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w-]|\.\w)"
    r"|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![\w:])"
    r"|(?<![\w:])(?=[0-9a-fA-F:]*\d)(?:HEX(?::HEX)*)?::(?:HEX(?::HEX)*)?(?![\w:])".replace("HEX", "[0-9a-fA-F]{1,4}")
)
TOP_LEVELS = "com|org|net|io|dev|cloud|edu|gov|mil|info|eu|de|uk|fr|nl|jp|cn|au"
DOMAIN = re.compile(
    rf"(?<![\w.@-])(?:[a-z0-9-]+\.)+(?:{TOP_LEVELS}|internal|local|localdomain|lan|corp|home|intern|private)(?![\w-]|\.\w)"
)
"""The full name of a host. Names of packages, such as org.apache.spark, do not end like this."""
NAMED_HOST = re.compile(r"(?<=\()[\w.-]+(?= executor \w+\))|(?<=UnknownHostException: )[\w.-]+")
"""A host that Spark or Java names in its own way: "(worker-3 executor 1)"."""
QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
HOST, PLACE, USER, GROUP, VALUE = "<host>", "<path>", "<user>", "<group>", "'…'"
"""The texts that replace a host, a path or URI, the user's name, the key of a group, and a quoted value."""
COMMON = {
    *("localhost", "local", "spark", "node", "cluster", "worker", "driver", "master", "standalone", "emulated"),
    *("cpu", "gpu"),
}
"""Names of hosts that are also words of a report. They stay."""
OWN_SUITE = "own suite"
ORIGIN = re.compile(r"'(.*)'")
"""The name of a cluster in the key of a run's origin, such as "profile 'local'"."""
CLEANED = ("data", "profile", "budget")
"""The kinds of descriptions from which reports show texts that a user wrote."""


class DiscreetStore(Store):
    """The records of another store. Texts that a report shows lack names (see the module)."""

    def __init__(self, store: Store, is_anonymous: bool = False) -> None:
        super().__init__(store.path, store._engine)
        self._is_anonymous = is_anonymous
        hosts = {str(one.content.get("hostname") or "") for one in self._described("host")}
        short = {host.partition(".")[0] for host in hosts}
        self._hosts = _any_of((hosts | short) - COMMON - {""}, after=r"(?:\.[\w-]+)*")
        tables = [one.content for one in self._described("data") if one.content["definition"].get("kind") == "table"]
        self._tables = {str(name): f"table {number}" for number, name in enumerate(_names(tables), 1)}
        columns = list(dict.fromkeys(column for table in tables for column in _columns(table)))
        self._columns = {column: f"column {number}" for number, column in enumerate(columns, 1)}
        self._own_words = _any_of({*self._tables, *self._columns}) if is_anonymous else None
        self._user = _any_of({_user()} - {"", "root"}, around=r"\w.") if is_anonymous else None

    def _described(self, kind: str) -> list[Description]:
        """Returns all descriptions of a kind as they are stored, in the order in which they were stored."""
        query = sa.select(descriptions).where(descriptions.c.kind == kind)
        with self._engine.connect() as connection:
            return [Description.model_validate(row._asdict()) for row in connection.execute(query)]

    def text(self, text: str) -> str:
        """Returns a text without the names that a reader does not need."""
        text = URI.sub(self._without_authority, text)
        text = PATH.sub(self._shortened, text)
        if self._is_anonymous:
            text = SHORT_PATH.sub(PLACE, text)
        for pattern in (ADDRESS, NAMED_HOST, DOMAIN):
            text = pattern.sub(HOST, text)
        if self._hosts:
            text = self._hosts.sub(HOST, text)
        if self._user:
            text = self._user.sub(USER, text)
        if self._own_words:
            text = self._own_words.sub(lambda found: self._name(found.group()), text)
        if self._is_anonymous:
            text = QUOTED.sub(self._quoted, text)
        return text

    def _without_authority(self, found: re.Match[str]) -> str:
        """Returns a URI without the host or bucket that it names, and with the last part of its path only."""
        if self._is_anonymous:
            return PLACE
        scheme, rest = found.groups()
        last = PurePosixPath(rest.partition("?")[0]).name if "/" in rest else ""
        return f"{scheme}://…/{last}" if last else f"{scheme}://…"

    def _shortened(self, found: re.Match[str]) -> str:
        """Returns the last part of a path. An anonymous view does not have that either."""
        last = re.split(r"[/\\]", found.group().rstrip("/"))[-1]
        return PLACE if self._is_anonymous else f"…/{last}"

    def _name(self, name: str) -> str:
        return self._tables.get(name) or self._columns.get(name, name)

    def _quoted(self, found: re.Match[str]) -> str:
        names = {*self._tables.values(), *self._columns.values(), PLACE, HOST, USER}
        return found.group() if found.group()[1:-1] in names else VALUE

    def _values(self, content: Any) -> Any:
        """Returns a content with all texts replaced, also inside of lists and dictionaries."""
        if isinstance(content, str):
            return self.text(content)
        if isinstance(content, Mapping):
            return {key: self._values(value) for key, value in content.items()}
        if isinstance(content, list | tuple):
            return type(content)(self._values(value) for value in content)
        return content

    def invocation(
        self,
        suite: str | None = None,
        identity: str | None = None,
        command: Command | None = None,
        environment: tuple[str, ...] | None = None,
    ) -> Invocation:
        found = super().invocation(suite, identity, command, environment)
        origin = {
            ORIGIN.sub(lambda name: f"'{self._cluster(name.group(1))}'", part): description
            for part, description in found.origin.items()
        }
        return found.model_copy(update={"suite": self._suite(found.suite), "origin": origin})

    def _cluster(self, cluster: str) -> str:
        """Returns the name of a cluster. Only a path or an address has names that a reader does not need."""
        return self.text(cluster) if "/" in cluster or ":" in cluster else cluster

    def _suite(self, suite: str) -> str:
        """Returns the name of a suite. A path becomes the name of its file, and an anonymous view lacks that, too."""
        is_path = "/" in suite or "." in suite
        return OWN_SUITE if is_path and self._is_anonymous else PurePosixPath(suite).name

    def description(self, identity: str) -> Description:
        found = super().description(identity)
        if found.kind not in CLEANED:
            return found
        content = self._values(found.content)
        if found.kind == "profile":  # prices are found by the name of the cluster
            content["name"] = self._cluster(str(found.content["name"]))
        return found.model_copy(update={"content": content})

    def _read(self, query: sa.Select[Any]) -> list[RunRecord]:
        return [self._cleaned(record) for record in super()._read(query)]

    def _cleaned(self, record: RunRecord) -> RunRecord:
        case = record.case
        changed: dict[str, Any] = {"cluster": self._cluster(case.cluster)}
        if self._is_anonymous:
            changed["dataset"] = self._name(case.dataset) if record.data else self.text(case.dataset)
            if "by" in case.params:
                changed["params"] = {**case.params, "by": self._name(str(case.params["by"]))}
        error = record.error
        if error:
            error = ErrorInfo(type=error.type, message=self.text(error.message))
        return record.model_copy(
            update={"case": case.model_copy(update=changed), "error": error, "suite": self._suite(record.suite)}
        )

    def table(self, record: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Returns a record's table as `Store.table` does, but with clean texts.

        In an anonymous view, numbers replace the keys of groups.
        """
        found = super().table(record, name, columns)
        if name not in (GROUPS, TRIALS):
            return found
        texts = {
            column: [*map(_text, found.column(column).to_pylist())]
            for column in ("key", "error")
            if column in found.column_names
        }
        keys, errors = texts.get("key"), texts.get("error")
        if errors is not None:
            cleaned = [
                None if error is None else self.text(error if key is None else self._without(error, key))
                for error, key in zip(errors, keys or [None] * len(errors), strict=True)
            ]
            found = _with(found, "error", cleaned)
        if keys is not None and self._is_anonymous:
            found = _with(found, "key", [f"group {number}" for number in range(1, len(keys) + 1)])
        return found

    def _without(self, error: str, key: str) -> str:
        """Returns an error of a group without the group's key, if the view is anonymous."""
        pattern = _any_of({key} - {""}) if self._is_anonymous else None
        return pattern.sub(GROUP, error) if pattern else error


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _with(table: pa.Table, column: str, values: Sequence[str | None]) -> pa.Table:
    """Returns the table with other values in a column."""
    return table.set_column(table.column_names.index(column), column, pa.array(values, pa.string()))


def _any_of(words: Iterable[str], after: str = "", around: str = r"\w") -> re.Pattern[str] | None:
    """Returns a pattern that finds these words, the longest first, and what follows them if it matches `after`.

    None of the characters `around` may stand directly before or after them. None if there are no words.
    """
    ordered = sorted(words, key=len, reverse=True)
    if not ordered:
        return None
    return re.compile(rf"(?<![{around}])(?:{'|'.join(map(re.escape, ordered))}){after}(?![{around}])")


def _user() -> str:
    """Returns the name of the user who writes the report. Empty if the system does not know it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def _names(tables: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(table["name"]) for table in tables))


def _columns(table: Mapping[str, Any]) -> Iterator[str]:
    """Yields the names of all columns of a user's table, from the description of the data set."""
    definition, profile = table["definition"], table.get("profile", {})
    named = [
        definition.get("label"),
        definition.get("group"),
        definition.get("time"),
        *(definition.get("features") or ()),
    ]
    named += [column.get("name") for column in profile.get("columns", [])]
    named += [name for column in table.get("columns", []) for name in (column.get("source"), column.get("name"))]
    yield from dict.fromkeys(str(name) for name in named if name)
