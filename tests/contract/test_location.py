"""Locations: paths and URIs."""

from pathlib import Path

import pytest

from sparkscale.contract import location


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("/data", "/data/a/b"),
        ("s3://bucket/data", "s3://bucket/data/a/b"),
        ("s3://bucket/data/?region=eu-north-1", "s3://bucket/data/a/b?region=eu-north-1"),
        ("file:///data", "file:///data/a/b"),
        ("hdfs://host:9000/data", "hdfs://host:9000/data/a/b"),
    ],
)
def test_joining_keeps_a_uris_query(base: str, expected: str) -> None:
    assert location.join(base, "a/b") == expected


def test_spark_gets_hadoops_scheme_and_no_query() -> None:
    assert location.for_spark("s3://bucket/data?region=eu-north-1") == "s3a://bucket/data"
    assert location.for_spark("gs://bucket/data") == "gs://bucket/data"
    assert location.for_spark("/data") == "file:///data", "or a site's fs.defaultFS would be asked for it"
    assert location.for_spark("file:///data/a%20b") == "file:///data/a b"


def test_what_spark_reads_is_no_pattern() -> None:
    assert location.to_read("/data/store [v1] {x}/a*b?") == r"file:///data/store \[v1\] \{x\}/a\*b\?"
    assert location.to_read("s3://bucket/a{b}?region=x") == r"s3a://bucket/a\{b\}"


def test_what_is_local() -> None:
    assert location.local_path("/data") == Path("/data")
    assert location.local_path("file:///data") == Path("/data")
    assert location.local_path("file:///my%20data") == Path("/my data")
    assert location.local_path("s3://bucket/data") is None
