"""Measures how much of given files the kernel's page cache holds, and drops files from the page cache."""

import ctypes
import mmap
import os
from collections.abc import Sequence
from pathlib import Path

DROP_CACHES = Path("/proc/sys/vm/drop_caches")
PAGE_CACHE = "1"
"""If this value is written to DROP_CACHES, the kernel drops the clean pages of all files (proc_sys_vm(5))."""

TOLERATED_SHARE = 0.01
"""This share of the pages may still be in the page cache after a drop.

The reason is that the kernel keeps a few pages on each CPU's lists for a moment.
"""


def drop(files: Sequence[Path]) -> float:
    """Drops these files from the page cache. Returns the share of their pages that is still there, from 0 to 1.

    Each file is written to disk and released (posix_fadvise(2), POSIX_FADV_DONTNEED). That needs no privilege and
    touches no other file. Some file systems keep the pages nevertheless. Then the whole page cache is dropped, if
    this process may do so.
    """
    for file in files:
        _release(file)
    if resident_share(files) > TOLERATED_SHARE:
        _drop_all()
    return resident_share(files)


def _release(file: Path) -> None:
    """Writes a file's pages to disk and lets the kernel drop them."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)  # the kernel only drops pages that are written to disk
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _drop_all() -> None:
    """Drops the whole page cache. Does nothing if this process may not do that."""
    try:
        DROP_CACHES.write_text(PAGE_CACHE)
    except OSError:
        return


def resident_share(files: Sequence[Path]) -> float:
    """Returns the share of the files' pages that the page cache holds, from 0 to 1; 0 if all files are empty."""
    held = pages = 0
    for file in files:
        resident = residency(file)
        held += sum(resident)
        pages += len(resident)
    return held / pages if pages else 0.0


def residency(file: Path) -> list[bool]:
    """Returns one value for each page of a file: true if the page cache holds the page. Source: mincore(2).

    This works only for the owner of a file and for users who may write it. For all others, the kernel says that every
    page is in the cache.
    """
    size = file.stat().st_size
    if size == 0:
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    with file.open("rb") as opened:
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, opened.fileno(), 0)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), f"mmap of {file}")
    pages = -(-size // mmap.PAGESIZE)
    held = ctypes.create_string_buffer(pages)
    try:
        if libc.mincore(address, size, held):
            raise OSError(ctypes.get_errno(), f"mincore of {file}")
    finally:
        libc.munmap(address, size)
    return [bool(byte & 1) for byte in held.raw]
