"""Says in one sentence which folder cannot be written.

The sentence also names the environment variable with which the user can choose another folder.
"""

import errno
import re
import tempfile
from pathlib import Path

FULL = {errno.ENOSPC: "is full", errno.EDQUOT: "is full: its quota is used up"}
CLOSED = {
    errno.EROFS: "cannot be written, because its file system is read-only",
    errno.EACCES: "may not be read or written by this user",
    errno.EPERM: "may not be changed by this user",
}
NO_TEMPORARY = "No folder for temporary files can be written: name one with TMPDIR."


def sentence(error: OSError) -> str | None:
    """Returns a sentence for the user that says which folder cannot be used, why, and what to do.

    Returns None if the error is not about a folder.
    """
    if error.errno == errno.ENOENT and "No usable temporary directory" in str(error):
        return NO_TEMPORARY
    where = _path(error)
    if error.errno not in FULL and not (error.errno in CLOSED and where):
        return None
    variable = _variable(where) if where else None
    if variable:
        remedy = f"name another folder with {variable}"
    elif error.errno in FULL:
        remedy = "make room there, or use another folder (TMPDIR, XDG_CACHE_HOME, --out)"
    else:
        remedy = "use another folder, or have its owner change that"
    return f"{where or 'A disk that sparkscale writes to'} {(FULL | CLOSED)[error.errno]}: {remedy}."


def _path(error: OSError) -> Path | None:
    """Returns the path that the error is about. None if it is unknown.

    Arrow's errors name the path only in their message.
    """
    if isinstance(error.filename, str | Path):
        return Path(error.filename).absolute()
    named = re.search(r"'(/[^']+)'", str(error))
    return Path(named[1]) if named else None


def _variable(path: Path) -> str | None:
    """Returns the name of the environment variable that sets the folder of this path. None if no variable does."""
    from cluster.profile import cache_folder

    if path.is_relative_to(cache_folder().absolute()):
        return "XDG_CACHE_HOME"
    try:
        temporary = Path(tempfile.gettempdir())
    except OSError:  # there is no temporary folder
        return None
    return "TMPDIR" if path.is_relative_to(temporary.absolute()) else None
