"""Which file system a path lies on."""

from pathlib import Path

from sparkscale import mounts


def test_the_innermost_mount_counts_and_of_several_the_last(tmp_path: Path) -> None:
    """A path that is not there lies where its nearest folder does; a longer name beside it is another folder."""
    (tmp_path / "home" / "fast").mkdir(parents=True)
    (tmp_path / "homes").mkdir()
    known = [
        ("/", "ext4"),
        (str(tmp_path / "home"), "ext4"),
        (str(tmp_path / "home"), "nfs4"),
        (str(tmp_path / "home" / "fast"), "xfs"),
    ]
    found = {
        path: mounts.kind_of(tmp_path / path, known) for path in ("home/new/er", "home/fast/new", "homes/x", "x")
    }
    assert found == {"home/new/er": "nfs4", "home/fast/new": "xfs", "homes/x": "ext4", "x": "ext4"}


def test_this_machine_knows_its_own() -> None:
    assert mounts.kind_of(Path("/proc")) == "proc"
    assert not mounts.is_local(Path("/proc"))
