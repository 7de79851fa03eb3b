"""The errors that sparkscale raises.

SparkscaleError
├── ConfigError          the user's mistake: a suite, a filter, an option, a profile
├── BusyError            another run is measuring on this machine
├── DatasetError         a data set that cannot be read or made
├── ModelError           a prepared model that cannot be read, or does not fit the rows
├── OutputError          what a case is to write cannot be written: a full disk, a folder that is there already
├── ScratchError         the folder that a worker writes to while it measures has vanished, or cannot be made
├── ClusterError         Java or Spark does not start, a worker that cannot be reached
├── StoreError           the record store cannot be read or written
├── RecordingError       asv did not take what was measured, or a process that measures ended
├── DeviceError          a library computed elsewhere than on the device it was asked to
├── EngineUnsupported    this engine cannot run this case; its message is the reason
└── InvalidResult        the case ran, but its result is wrong

Each message says what was wrong, where, and what to do.
"""


class SparkscaleError(Exception):
    """Base of all. `exit_code` is what the command line ends with: 2 is the user's to mend."""

    exit_code = 2


class ConfigError(SparkscaleError):
    """A suite, filter, option or profile that does not fit."""


class BusyError(SparkscaleError):
    """Two runs on one machine at once would measure each other."""


class DatasetError(SparkscaleError):
    """A data set that cannot be read or made."""


class ModelError(SparkscaleError):
    """A prepared model that cannot be read, or does not fit the rows it is applied to."""


class OutputError(SparkscaleError):
    """What a case is to write cannot be written."""

    exit_code = 1


class ScratchError(SparkscaleError):
    """The folder that a worker writes to while it measures has vanished, or cannot be made."""

    exit_code = 1


class ClusterError(SparkscaleError):
    """Java or Spark does not start, or a worker process cannot be reached."""


class StoreError(SparkscaleError):
    """The record store cannot be read or written."""


class RecordingError(SparkscaleError):
    """asv did not take what was measured, or a process that measures for it ended."""

    exit_code = 1


class DeviceError(SparkscaleError):
    """A case for a GPU that ran on the CPU: its time is of something else."""

    exit_code = 1


class EngineUnsupported(SparkscaleError):
    """Raised by an engine that cannot run on this cluster, device or task."""

    exit_code = 1


class InvalidResult(SparkscaleError):
    """Raised by scoring: the case ran, but its result is wrong, so its time means nothing."""

    exit_code = 1


def plain(message: str) -> str:
    """A message of pydantic's as part of a sentence: without what it adds to a validator's own words."""
    return message.removeprefix("Value error, ").removesuffix(".")
