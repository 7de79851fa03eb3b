"""Files that are written as a whole."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sparkscale.present.writing import write_whole


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_text)
        write_whole("a text", tmp_path / "pipe")
        assert read.result(timeout=60) == "a text"
    assert (tmp_path / "pipe").is_fifo()
