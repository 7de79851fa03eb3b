"""Locations of data: a local path, or a URI such as s3://bucket/folder?region=eu-north-1."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

HADOOP_SCHEMES = {"s3": "s3a"}
"""Maps names of URI schemes in `pyarrow.fs` to the names in Hadoop, where these differ."""

GLOB = re.compile(r"[\[\]{}*?\\]")
"""Characters with a special meaning in a path that Spark reads (org.apache.hadoop.fs.GlobPattern)."""


def scheme(location: str) -> str:
    """Returns the scheme of a URI; empty for a path."""
    found, separator, _ = location.partition("://")
    return found.lower() if separator else ""


def join(location: str, relative: str) -> str:
    """Returns the location of the path `relative` below `location`. A URI keeps its query."""
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

    Spark's settings have the content of the query. A local path gets the scheme `file`, because Spark would
    otherwise look for the path in the default file system (`fs.defaultFS`). A `file` URI loses its escapes (such
    as %20), because Spark does not decode them.
    """
    path = local_path(location)
    if path is not None:
        return f"file://{path.absolute()}"
    parts = urlsplit(location)
    return urlunsplit(parts._replace(scheme=HADOOP_SCHEMES.get(scheme(location), scheme(location)), query=""))


def to_read(location: str) -> str:
    """Returns the location as a path for Spark to read.

    Spark reads such a path as a pattern, so characters with a special meaning, such as `*`, are escaped.
    """
    return GLOB.sub(r"\\\g<0>", for_spark(location))
