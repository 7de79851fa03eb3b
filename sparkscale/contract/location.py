"""Locations of data: a local path, or a URI such as s3://bucket/folder?region=eu-north-1."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

HADOOP_SCHEMES = {"s3": "s3a"}
"""Hadoop's names of URI schemes, if `pyarrow.fs` uses another name."""

GLOB = re.compile(r"[\[\]{}*?\\]")
"""Characters with a special meaning in a path that Spark reads (org.apache.hadoop.fs.GlobPattern)."""


def scheme(location: str) -> str:
    """Returns the URI's scheme; empty for a path."""
    found, separator, _ = location.partition("://")
    return found.lower() if separator else ""


def join(location: str, relative: str) -> str:
    """Returns the location `relative` below another location. A URI keeps its query."""
    if not scheme(location):
        return str(Path(location) / relative)
    parts = urlsplit(location)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{relative}"))


def local_path(location: str) -> Path | None:
    """Returns the path of a location on this machine. None for any other location."""
    if scheme(location) == "file":
        return Path(unquote(urlsplit(location).path))
    return None if scheme(location) else Path(location).expanduser()


def for_spark(location: str) -> str:
    """Returns the location in the form of Hadoop's file systems, without a query.

    The content of the query is in Spark's settings. A local path gets its scheme. Otherwise Spark would look for it
    in the site's default file system (`fs.defaultFS`). The result has no escapes, because Spark does not decode them
    in a URI.
    """
    path = local_path(location)
    if path is not None:
        return f"file://{path.absolute()}"
    parts = urlsplit(location)
    return urlunsplit(parts._replace(scheme=HADOOP_SCHEMES.get(scheme(location), scheme(location)), query=""))


def to_read(location: str) -> str:
    """Returns the location as a path for Spark to read.

    Spark takes such a path for a pattern of names, so `[`, `{`, `*` and `?` are escaped.
    """
    return GLOB.sub(r"\\\g<0>", for_spark(location))
