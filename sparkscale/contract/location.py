"""Where data lies: a local path, or a URI such as s3://bucket/folder?region=eu-north-1."""

from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

HADOOP_SCHEMES = {"s3": "s3a"}
"""What Hadoop calls the schemes for which it has another name than `pyarrow.fs`."""


def scheme(location: str) -> str:
    """The URI's scheme; empty for a path."""
    found, separator, _ = location.partition("://")
    return found.lower() if separator else ""


def join(location: str, relative: str) -> str:
    """The place `relative` below a location; a URI keeps its query."""
    if not scheme(location):
        return str(Path(location) / relative)
    parts = urlsplit(location)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{relative}"))


def local_path(location: str) -> Path | None:
    """The path of a location on this machine; None for any other."""
    if scheme(location) == "file":
        return Path(unquote(urlsplit(location).path))
    return None if scheme(location) else Path(location).expanduser()


def for_spark(location: str) -> str:
    """The location as Hadoop's file systems write it: without a query, for Spark's own settings say the rest."""
    found = scheme(location)
    if not found:
        return location
    return urlunsplit(urlsplit(location)._replace(scheme=HADOOP_SCHEMES.get(found, found), query=""))
