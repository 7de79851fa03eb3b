"""The kernel's page cache of files: how much of them it holds, and how it is made to forget them."""

import ctypes
import mmap
import os
from collections.abc import Sequence
from pathlib import Path

DROP_CACHES = Path("/proc/sys/vm/drop_caches")
PAGE_CACHE = "1"
"""What to write there to free clean pages of files; proc_sys_vm(5)."""

TOLERATED_SHARE = 0.01
"""The share of pages that may stay: the kernel keeps a few on lists of each CPU for a moment."""


def drop(files: Sequence[Path]) -> float:
    """Makes the kernel forget these files; returns the share of their pages that it still holds.

    Each file is written out and given up (posix_fadvise(2), POSIX_FADV_DONTNEED), which needs no privilege and
    touches nothing else. Where pages stay, as some file systems keep them, the whole page cache is dropped, if this
    process may do that.
    """
    for file in files:
        _give_up(file)
    if resident_share(files) > TOLERATED_SHARE:
        _drop_all()
    return resident_share(files)


def _give_up(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)  # a page that is not yet written stays
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _drop_all() -> None:
    """Does nothing where this process may not."""
    try:
        DROP_CACHES.write_text(PAGE_CACHE)
    except OSError:
        return


def resident_share(files: Sequence[Path]) -> float:
    """The share of the files' pages that the page cache holds, from 0 to 1; 0 for files without a page."""
    held = pages = 0
    for file in files:
        found = residency(file)
        held += sum(found)
        pages += len(found)
    return held / pages if pages else 0.0


def residency(file: Path) -> list[bool]:
    """Tells for each page of a file whether the page cache holds it, by mincore(2).

    Only the owner of a file, and who may write it, gets a true answer: to others the kernel says that it holds all.
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
