"""Finds out which kind of file system a path is on."""

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
"""Types of file systems on which memory-mapped files and locks work for all processes of one machine."""


def kind_of(path: Path, mounts: list[tuple[str, str]] | None = None) -> str:
    """Returns the kernel's name for the type of the path's file system, such as "nfs4". Empty if it is not known.

    `mounts` lists pairs of mount point and type, in the order of mounting. If it is None, the mounts of this
    machine are used.
    """
    real = os.path.realpath(_nearest_existing(path))
    known = (
        mounts
        if mounts is not None
        else [(partition.mountpoint, partition.fstype) for partition in psutil.disk_partitions(all=True)]
    )
    containing = [(point, kind) for point, kind in known if real == point or real.startswith(point.rstrip("/") + "/")]
    return max(reversed(containing), key=lambda mount: len(mount[0]), default=("", ""))[1]


def is_local(path: Path) -> bool:
    """Returns true if the path is known to be on a disk or in the memory of this machine."""
    return kind_of(path) in LOCAL


def runs_programs(path: Path) -> bool:
    """Returns true if programs and native libraries may run from the path. False if it is mounted `noexec`."""
    return not os.statvfs(_nearest_existing(path)).f_flag & os.ST_NOEXEC


def _nearest_existing(path: Path) -> Path:
    """Returns the path, or the nearest folder above it that exists."""
    existing = path.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    return existing
