"""Names and removes the folders that executions write, on storage that several machines may share.

A folder's name contains the execution's id, which begins with a mark of the machine. So no machine removes a
folder to which another machine still writes. Before the next execution of a case, a machine removes the folders of
its own earlier executions. It removes folders of other machines if nobody has written to them for a week.
"""

import time

from pyarrow import fs

from sparkscale.contract.context import Context
from sparkscale.contract.execution import machine_of
from sparkscale.contract.location import join
from workloads.io.filesystem import remove_folder, resolve

ABANDONED_SECONDS = 7 * 86_400


def folder_of(run: Context, kind: str) -> str:
    """Returns the execution's folder for files of one kind, such as "models"."""
    return join(run.storage, f"{kind}/{run.case.id}-{run.execution}")


def sweep(run: Context, kind: str) -> None:
    """Removes the folders of this kind that earlier executions of the same case left.

    Folders of other machines are removed only if they are abandoned.
    """
    system, path = resolve(join(run.storage, kind))
    for folder in system.get_file_info(fs.FileSelector(path, allow_not_found=True)):
        if not folder.base_name.startswith(run.case.id) or folder.type != fs.FileType.Directory:
            continue
        ours = folder.base_name.startswith(f"{run.case.id}-{machine_of(run.execution)}-")
        if ours or _is_abandoned(system, folder):
            remove_folder(join(run.storage, f"{kind}/{folder.base_name}"))


def _is_abandoned(system: fs.FileSystem, folder: fs.FileInfo) -> bool:
    """True if the folder and its files were last written more than ABANDONED_SECONDS ago.

    In an object store a folder has no time, so only the times of its files count.
    """
    inside = system.get_file_info(fs.FileSelector(folder.path, allow_not_found=True, recursive=True))
    times = [info.mtime_ns for info in (folder, *inside) if info.mtime_ns is not None]
    return bool(times) and time.time() - max(times) / 1e9 > ABANDONED_SECONDS
