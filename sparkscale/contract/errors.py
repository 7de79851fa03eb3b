"""The errors that sparkscale raises.

SparkscaleError
├── ConfigError          the user's mistake: a suite, a filter, an option, a profile
├── BusyError            another run is measuring on this machine
├── DatasetError         a data set cannot be read or prepared
├── ModelError           a prepared model cannot be read, or does not fit the rows
├── OutputError          a case cannot write its output: the disk is full, or the folder exists already
├── ScratchError         the folder that a worker writes to while it measures has vanished, or cannot be made
├── ClusterError         Java or Spark does not start, or a worker cannot be reached
├── StoreError           the record store cannot be read or written
├── RecordingError       asv did not record what was measured, or a process that measures for it failed
├── GateError            an arm of a gate cannot be measured, or was measured by other code
├── DeviceError          a library did not compute on the requested device
├── EngineUnsupported    this engine cannot run this case; its message is the reason
└── InvalidResult        the case ran, but its result is wrong

Each message says what is wrong, where, and what to do.
"""


class SparkscaleError(Exception):
    """The base of all errors. `exit_code` is the exit code of the command: 2 if the user can correct it."""

    exit_code = 2


class ConfigError(SparkscaleError):
    """A suite, filter, option or profile is wrong."""


class BusyError(SparkscaleError):
    """Another run is measuring on this machine. Two runs at once would disturb each other."""


class DatasetError(SparkscaleError):
    """A data set cannot be read or prepared."""


class ModelError(SparkscaleError):
    """A prepared model cannot be read, or does not fit the rows that it is applied to."""


class OutputError(SparkscaleError):
    """A case cannot write its output."""

    exit_code = 1


class ScratchError(SparkscaleError):
    """The folder that a worker writes to while it measures has vanished, or cannot be made."""

    exit_code = 1


class ClusterError(SparkscaleError):
    """Java or Spark does not start, or a worker process cannot be reached."""


class StoreError(SparkscaleError):
    """The record store cannot be read or written."""


class RecordingError(SparkscaleError):
    """asv did not record what was measured, or a process that measures for it failed."""

    exit_code = 1


class GateError(SparkscaleError):
    """An arm of a gate cannot be measured, or was measured by other code. It says nothing about what is worse."""


class DeviceError(SparkscaleError):
    """A case for a GPU ran on the CPU, so its time says nothing about the GPU."""

    exit_code = 1


class EngineUnsupported(SparkscaleError):
    """Raised by an engine that cannot run on this cluster, on this device or for this learning task."""

    exit_code = 1


class InvalidResult(SparkscaleError):
    """Raised by scoring: the case ran, but its result is wrong, so its time means nothing."""

    exit_code = 1


def plain(message: str) -> str:
    """Returns a message of Pydantic as part of a sentence: without "Value error, " and the final period."""
    return message.removeprefix("Value error, ").removesuffix(".")
