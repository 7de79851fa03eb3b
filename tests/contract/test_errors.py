"""The exit code of each error: 2 if the user can correct it, 1 if a measurement failed."""

from sparkscale.contract.errors import (
    BusyError,
    ClusterError,
    ConfigError,
    DatasetError,
    DeviceError,
    EngineUnsupported,
    InvalidResult,
    ModelError,
    OutputError,
    RecordingError,
    ScratchError,
    StoreError,
)


def test_a_mistake_of_the_user_exits_with_2_and_a_failed_measurement_with_1() -> None:
    of_the_user = (ConfigError, BusyError, DatasetError, ModelError, ClusterError, StoreError)
    of_a_measurement = (OutputError, ScratchError, RecordingError, DeviceError, EngineUnsupported, InvalidResult)
    assert [error.__name__ for error in of_the_user if error.exit_code != 2] == []
    assert [error.__name__ for error in of_a_measurement if error.exit_code != 1] == []
