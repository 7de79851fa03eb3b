"""What kind of file system a path lies on."""

import os
from pathlib import Path

import psutil

LOCAL = {
    "bcachefs",
    "btrfs",
    "ext2",
    "ext3",
    "ext4",
    "f2fs",
    "jfs",
    "overlay",
    "ramfs",
    "reiserfs",
    "tmpfs",
    "xfs",
    "zfs",
}
"""Those whose memory-mapped files and locks work as one machine's processes expect."""


def kind_of(path: Path, mounts: list[tuple[str, str]] | None = None) -> str:
    """Its type as the kernel calls it, "nfs4" say; empty where it is not known.

    `mounts` holds mount points and types in the order in which they were mounted (this machine's).
    """
    real = os.path.realpath(_there(path))
    known = (
        mounts if mounts is not None else [(one.mountpoint, one.fstype) for one in psutil.disk_partitions(all=True)]
    )
    above = [(point, kind) for point, kind in known if real == point or real.startswith(point.rstrip("/") + "/")]
    return max(reversed(above), key=lambda mount: len(mount[0]), default=("", ""))[1]


def is_local(path: Path) -> bool:
    """Whether it is on a disk or in the memory of this machine, as far as that is known."""
    return kind_of(path) in LOCAL


def runs_programs(path: Path) -> bool:
    """Whether programs, and libraries of machine code, may be run from there: not where it is mounted `noexec`."""
    return not os.statvfs(_there(path)).f_flag & os.ST_NOEXEC


def _there(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    found = path.absolute()
    while not found.exists() and found != found.parent:
        found = found.parent
    return found
