"""Folders of one execution on a storage that several machines may share.

A folder is named by the execution's id, which begins with the machine's mark, so that no machine removes what another
is writing. What this machine's earlier executions of a case left is swept before the next; what other machines left,
once nobody has written to it for a week.
"""

import time

from pyarrow import fs

from sparkscale.contract.context import Context
from sparkscale.contract.execution import machine_of
from sparkscale.contract.location import join
from workloads.io.filesystem import remove_folder, resolve

ABANDONED_SECONDS = 7 * 86_400


def folder_of(run: Context, kind: str) -> str:
    """Where an execution keeps what is of a kind, such as "models"."""
    return join(run.storage, f"{kind}/{run.case.id}-{run.execution}")


def sweep(run: Context, kind: str) -> None:
    """Removes what earlier executions of the same case have left."""
    system, path = resolve(join(run.storage, kind))
    for found in system.get_file_info(fs.FileSelector(path, allow_not_found=True)):
        if not found.base_name.startswith(run.case.id) or found.type != fs.FileType.Directory:
            continue
        ours = found.base_name.startswith(f"{run.case.id}-{machine_of(run.execution)}-")
        if ours or _is_abandoned(system, found):
            remove_folder(join(run.storage, f"{kind}/{found.base_name}"))


def _is_abandoned(system: fs.FileSystem, found: fs.FileInfo) -> bool:
    """Whether nothing in it was written for long. A folder of an object store has no time of its own."""
    inside = system.get_file_info(fs.FileSelector(found.path, allow_not_found=True, recursive=True))
    times = [info.mtime_ns for info in (found, *inside) if info.mtime_ns is not None]
    return bool(times) and time.time() - max(times) / 1e9 > ABANDONED_SECONDS
