"""Where predictions are written: parts that a reader sees all at once, or not at all.

Whoever writes gives each attempt at a part a name of its own, in a folder that readers pass over; only the parts of
attempts that succeeded are moved into sight when all are there, and the marker comes last. So a task that died, or
was run twice, adds and takes away nothing. Spark's own writers keep the same rules.
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
"""What Linux says of ENOSPC, and PyArrow, Python and the JVM with it."""


@dataclass(frozen=True)
class Output:
    """A folder of predictions. Picklable."""

    location: str

    def begin(self) -> None:
        """Makes it, for parts."""
        make_folder(join(self.location, ATTEMPTS))

    def write(self, tables: Iterable[pa.Table]) -> str:
        """Writes a part, as it comes, out of sight; returns its name."""
        system, path = resolve(self.location)
        name = f"{uuid4().hex}.parquet"
        with pq.ParquetWriter(f"{path}/{ATTEMPTS}/{name}", PREDICTION, filesystem=system) as writer:
            for table in tables:
                writer.write_table(table)
        return name

    def commit(self, names: Iterable[str]) -> None:
        """Shows these parts and no other, then says that it is complete."""
        system, path = resolve(self.location)
        for number, name in enumerate(names):
            system.move(f"{path}/{ATTEMPTS}/{name}", f"{path}/part-{number:05d}.parquet")
        system.delete_dir(f"{path}/{ATTEMPTS}")
        with system.open_output_stream(f"{path}/{MARKER}"):
            pass

    def write_frame(self, frame: "DataFrame") -> None:
        """Lets Spark write a frame of PREDICTION, whose committer shows no part of an attempt that failed."""
        frame.write.mode("error").parquet(for_spark(self.location))

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What fails while it is written leaves nothing behind.

        Raises OutputError when it is there already, and for a disk that is full, wherever that was noticed.
        """
        if exists(self.location):
            raise OutputError(f"The output {self.location} exists: nothing was written over it.")
        try:
            yield
        except Exception as error:
            try:
                self.remove()
            except OSError as left:  # a task of the same job may still write
                log.warning("Of the output %s something is left: %s", self.location, left)
            if isinstance(error, SparkscaleError) or FULL not in str(error):
                raise
            raise OutputError(f"No room is left where the output {self.location} is written.") from error

    @property
    def is_complete(self) -> bool:
        """Whether whoever wrote it came to the end."""
        system, path = resolve(self.location)
        return bool(system.get_file_info(f"{path}/{MARKER}").type == fs.FileType.File)

    def remove(self) -> None:
        """With all that is in it, if it is there; the marker first."""
        if self.is_complete:
            system, path = resolve(self.location)
            system.delete_file(f"{path}/{MARKER}")
        remove_folder(self.location)
