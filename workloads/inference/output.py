"""The output folder of predictions. A reader sees either all parts of the output or none.

A process writes each attempt at a part under a unique name, in a folder that readers ignore. When all parts are
complete, the parts of successful attempts are moved to the folder where readers look. The marker file is written
last. So a Spark task that died or ran twice does no harm. Spark's own writers follow the same rules.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from sparkscale.contract.errors import OutputError, SparkscaleError
from sparkscale.contract.location import for_spark, join
from workloads.inference.models import PREDICTION
from workloads.io.filesystem import make_folder, remove_folder, resolve
from workloads.io.prepared import exists

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

log = logging.getLogger(__name__)

ATTEMPTS = "_attempts"
MARKER = "_SUCCESS"
FULL = "No space left on device"
"""Linux's message for ENOSPC. Errors of PyArrow, Python and the JVM contain it."""


@dataclass(frozen=True)
class Output:
    """A folder of predictions. Can be pickled."""

    location: str

    def begin(self) -> None:
        """Makes the folders. Call this before any part is written."""
        make_folder(join(self.location, ATTEMPTS))

    def write(self, tables: Iterable[pa.Table]) -> str:
        """Writes one part, table by table, to the folder that readers ignore. Returns the name of its file."""
        system, path = resolve(self.location)
        name = f"{uuid4().hex}.parquet"
        with pq.ParquetWriter(f"{path}/{ATTEMPTS}/{name}", PREDICTION, filesystem=system) as writer:
            for table in tables:
                writer.write_table(table)
        return name

    def commit(self, names: Iterable[str]) -> None:
        """Moves the parts with these names to the folder where readers look, and then writes the marker.

        All other parts are removed, because they come from failed or repeated attempts.
        """
        system, path = resolve(self.location)
        for number, name in enumerate(names):
            system.move(f"{path}/{ATTEMPTS}/{name}", f"{path}/part-{number:05d}.parquet")
        system.delete_dir(f"{path}/{ATTEMPTS}")
        with system.open_output_stream(f"{path}/{MARKER}"):
            pass

    def write_frame(self, frame: "DataFrame") -> None:
        """Lets Spark write a frame of row ids and predictions (schema PREDICTION).

        Spark never shows parts of failed attempts to readers.
        """
        frame.write.mode("error").parquet(for_spark(self.location))

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Removes the output if an error ends the `with` block. The block writes the output.

        Raises OutputError if the output exists already, or if an error says that the disk is full.
        """
        if exists(self.location):
            raise OutputError(f"The output {self.location} exists: nothing was written over it.")
        try:
            yield
        except Exception as error:
            try:
                self.remove()
            except OSError as left:  # a task of the same job may still be writing
                log.warning("The output %s could not be removed completely: %s", self.location, left)
            if isinstance(error, SparkscaleError) or FULL not in str(error):
                raise
            raise OutputError(f"The disk is full: the output {self.location} cannot be written.") from error

    @property
    def is_complete(self) -> bool:
        """True if the output was written completely."""
        system, path = resolve(self.location)
        return bool(system.get_file_info(f"{path}/{MARKER}").type == fs.FileType.File)

    def remove(self) -> None:
        """Removes the folder with all its files, if it exists.

        The marker is deleted first, so that a half-deleted folder never looks complete.
        """
        if self.is_complete:
            system, path = resolve(self.location)
            system.delete_file(f"{path}/{MARKER}")
        remove_folder(self.location)
