"""Where data lies: a local path, or a URI such as s3://bucket/folder?region=eu-north-1."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

HADOOP_SCHEMES = {"s3": "s3a"}
"""What Hadoop calls the schemes for which it has another name than `pyarrow.fs`."""

GLOB = re.compile(r"[\[\]{}*?\\]")
"""What has a meaning in a path that Spark reads (org.apache.hadoop.fs.GlobPattern)."""


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
    """The location as Hadoop's file systems write it: without a query, for Spark's own settings say the rest.

    A local path has its scheme, or a site's default file system would be asked for it (`fs.defaultFS`). Spark decodes
    no escapes of a URI, so there are none.
    """
    path = local_path(location)
    if path is not None:
        return f"file://{path.absolute()}"
    parts = urlsplit(location)
    return urlunsplit(parts._replace(scheme=HADOOP_SCHEMES.get(scheme(location), scheme(location)), query=""))


def to_read(location: str) -> str:
    """The same for what Spark reads, which it takes for a pattern of names: `[`, `{`, `*` and `?` stand for
    themselves.
    """
    return GLOB.sub(r"\\\g<0>", for_spark(location))
