"""Calls the command line in this process."""

import io
import subprocess
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

from sparkscale.cli.main import main


def called(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Returns the exit code and the texts that the command line has for these arguments."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code: object = 0
    with redirect_stdout(out), redirect_stderr(err), mock.patch.object(sys, "argv", ["sparkscale", *arguments]):
        try:
            main()
        except SystemExit as end:
            code = end.code
        except Exception:
            traceback.print_exc()
            code = 1
    stdout, stderr = (stream.buffer.getvalue().decode() for stream in (out, err))
    return subprocess.CompletedProcess(arguments, code if isinstance(code, int) else 0, stdout, stderr)
