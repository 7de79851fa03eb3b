"""Artefacts: made once by whoever comes first, made anew when half-written or damaged."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sparkscale.contract.errors import DatasetError
from workloads.io.prepared import MANIFEST, Build, Manifest, prepare, read

DEFINITION = {"name": "sample", "version": 1}


def build(folder: str) -> tuple[dict[str, Any], dict[str, str]]:
    (Path(folder) / "rows").mkdir()
    (Path(folder) / "rows" / "part-0").write_bytes(b"0123456789")
    return {"rows": 10}, {}


def made(storage: Path, definition: dict[str, Any] = DEFINITION, building: Build = build) -> tuple[Path, Manifest]:
    folder, manifest = prepare(str(storage), "sample", definition, building)
    return Path(folder), manifest


def forbidden(_: str) -> tuple[dict[str, Any], dict[str, str]]:
    raise AssertionError("must not be built again")


def test_it_is_built_once_and_then_only_read(tmp_path: Path) -> None:
    folder, manifest = made(tmp_path)
    again, same = made(tmp_path, building=forbidden)
    assert (again, same) == (folder, manifest)
    assert manifest.content == {"rows": 10}


def test_another_definition_is_another_artefact(tmp_path: Path) -> None:
    first, _ = made(tmp_path)
    second, _ = made(tmp_path, {**DEFINITION, "version": 2})
    assert first != second


def truncate(folder: Path) -> None:
    (folder / "rows" / "part-0").write_bytes(b"01234")


def flip(folder: Path) -> None:
    (folder / "rows" / "part-0").write_bytes(b"0123456780")


def delete(folder: Path) -> None:
    (folder / "rows" / "part-0").unlink()


def add(folder: Path) -> None:
    (folder / "rows" / "part-1").write_bytes(b"stray")


def no_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def cut_manifest(folder: Path) -> None:
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text[: len(text) // 2])


@pytest.mark.parametrize("damage", [truncate, flip, delete, add, no_manifest, cut_manifest])
def test_a_damaged_copy_is_detected_said_and_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    folder, manifest = made(tmp_path)
    damage(folder)
    with caplog.at_level(logging.WARNING):
        _, repaired = made(tmp_path)
    assert repaired.content_hash == manifest.content_hash
    assert (folder / "rows" / "part-0").read_bytes() == b"0123456789"
    assert "prepared again" in caplog.text


def test_a_build_that_breaks_leaves_nothing_that_looks_valid(tmp_path: Path) -> None:
    def breaks(folder: str) -> tuple[dict[str, Any], dict[str, str]]:
        (Path(folder) / "half").write_text("half")
        raise OSError("disk full")

    with pytest.raises(DatasetError, match="disk full"):
        made(tmp_path, building=breaks)
    assert list((tmp_path / "datasets").iterdir()) == []
    folder, _ = made(tmp_path)
    assert not (folder / "half").exists()


def test_a_changed_time_alone_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, _ = made(tmp_path)
    (folder / "rows" / "part-0").touch()
    made(tmp_path, building=forbidden)
    assert not caplog.text


def test_a_file_that_was_changed_in_place_is_found_by_its_time(tmp_path: Path) -> None:
    """Same size, other bytes: only a file whose size and time are the manifest's is trusted unread."""
    folder, _ = made(tmp_path)
    (folder / "rows" / "part-0").write_bytes(b"9876543210")
    made(tmp_path)
    assert (folder / "rows" / "part-0").read_bytes() == b"0123456789"


def test_a_storage_may_be_a_uri(tmp_path: Path) -> None:
    folder, manifest = prepare(tmp_path.as_uri(), "sample", DEFINITION, build_by_uri)
    assert folder == f"{tmp_path.as_uri()}/datasets/sample-{manifest.id}"
    again, _ = prepare(tmp_path.as_uri(), "sample", DEFINITION, forbidden)
    assert again == folder


def build_by_uri(folder: str) -> tuple[dict[str, Any], dict[str, str]]:
    assert folder.startswith("file://")
    return build(folder.removeprefix("file://"))


SLOW_BUILD = """
import json, sys, time
from pathlib import Path
from workloads.io.prepared import prepare

def build(folder):
    time.sleep(1)
    (Path(folder) / "file").write_text("content")
    with open(sys.argv[2], "a") as log:
        log.write("built\\n")
    return {}, {}

folder, manifest = prepare(sys.argv[1], "shared", {"name": "shared"}, build)
print(json.dumps([str(folder), manifest.content_hash]))
"""


def test_two_processes_at_once_build_it_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", SLOW_BUILD, str(tmp_path / "store"), str(log)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len({json.dumps(json.loads(text)) for text in printed}) == 1
    assert log.read_text() == "built\n"


def test_a_kill_in_the_middle_leaves_nothing_that_looks_valid(tmp_path: Path) -> None:
    code = SLOW_BUILD.replace("time.sleep(1)", "print('building', flush=True); time.sleep(60)")
    command = [sys.executable, "-c", code, str(tmp_path), str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "building\n"
        process.kill()
    (left,) = tmp_path.glob("datasets/shared-*")
    assert not (left / MANIFEST).exists()
    assert read(str(left)) is None
    folder, _ = prepare(str(tmp_path), "shared", {"name": "shared"}, build)
    assert (Path(folder) / MANIFEST).is_file()
