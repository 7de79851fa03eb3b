"""The data set `devices`: readings of many devices, for one model per device.

The number of rows of device d is proportional to 1/(d + 1)^skew (Zipf), so one device is huge and many are tiny. Each
device has its own level, trend, daily season, slopes and noise. Its rows are in the order of time, with a reading
every quarter of an hour. The latest fifth of its rows is the hold-out.
"""

from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from sparkscale.contract.case import Task
from sparkscale.contract.dataset import LABEL, TIME, TRUTH, Column, Grouping, HoldoutRule
from sparkscale.contract.errors import ConfigError
from workloads.datasets.random_streams import Stream
from workloads.datasets.source import write_keys
from workloads.datasets.synthetic import Evidence, Synthetic
from workloads.datasets.tabular import irreducible_rmse, squared_error
from workloads.datasets.training_slices import Array, Shape, mix

STEP_SECONDS = 900
DAY_SECONDS = 86_400
START = 1_704_067_200
"""2024-01-01 UTC, in seconds since 1970."""
HELD_OUT_OF = 5
"""The latest 1 / HELD_OUT_OF of each device's rows is held out."""
LABEL_COLUMN = 2**32
GROUP = "device"
SEED_KEY = 0
"""The key for hashing the data set's seed. With the key 0, the hash of the seed 0 is 0."""
TIME_FEATURES = ("days", "season_sine", "season_cosine")


class Devices(Synthetic):
    """Synthetic sensor readings.

    `features` is the number of sensors plus three features of time: the days since the first reading, and the sine
    and cosine of the time of day.
    """

    SUMMARY: ClassVar[str] = "synthetic: sensor readings of many devices, few of them huge; in time order"

    kind: Literal["devices"] = "devices"
    features: int = Field(default=8, ge=4, le=1000)
    devices: int = Field(default=1000, ge=2, le=1_000_000)
    skew: float = Field(default=1.0, ge=0, le=4, description="0: all alike; 1: Zipf's law")
    noise: float = Field(default=1.0, ge=0, description="mean of the devices' own noise")

    @property
    def kind_name(self) -> str:
        return "devices"

    @property
    def task(self) -> Task:
        return "regression"

    @property
    def shape(self) -> Shape:
        return Shape(
            self.task,
            self.columns(),
            groups=(f"group_{GROUP}",),
            has_time=True,
            has_truth=True,
            compression="none",
        )

    @property
    def layout(self) -> tuple[HoldoutRule, str]:
        return "time", "device"

    def check(self, storage: str) -> None:
        if self.rows < 2 * self.devices:
            raise ConfigError(
                f"{self.title}: {self.devices:,} devices need at least two rows each: ask for {2 * self.devices:,} "
                "rows or more, or for fewer devices."
            )
        super().check(storage)

    def columns(self) -> tuple[Column, ...]:
        largest_days = float(self.sizes[0]) * STEP_SECONDS / DAY_SECONDS
        scale = {"days": (largest_days / 2, largest_days / np.sqrt(12)), "season_sine": (0.0, 0.73)}
        scale["season_cosine"] = scale["season_sine"]
        return (
            *(Column(name=n, kind="numeric", mean=scale[n][0], std=float(scale[n][1])) for n in TIME_FEATURES),
            *(Column(name=f"sensor_{n:03d}", kind="numeric") for n in range(self.sensors)),
        )

    @property
    def sensors(self) -> int:
        return self.features - len(TIME_FEATURES)

    @cached_property
    def sizes(self) -> Array:
        """Returns the number of rows of each device, at least two, in descending order; shape (devices,).

        Weights are rounded to float32, because the last bit of `pow` differs between machines.
        """
        weights = (np.arange(1, self.devices + 1, dtype=np.float64) ** -self.skew).astype(np.float32)
        whole = np.floor(weights.astype(np.float64) * 2.0**24).astype(np.int64)
        spare = self.rows - 2 * self.devices
        total = sum(whole.tolist())
        shares = np.array([spare * w // total for w in whole.tolist()], dtype=np.int64)
        shares[: spare - int(shares.sum())] += 1
        return shares + 2

    @cached_property
    def ends(self) -> Array:
        """Returns the last row id of each device, plus one."""
        return np.cumsum(self.sizes)

    def locate(self, row: Array) -> tuple[Array, Array]:
        """Returns the device of each row id, and the row's position among the rows of its device."""
        device = np.searchsorted(self.ends, row, side="right")
        return device, row - (self.ends[device] - self.sizes[device])

    def held_out(self, row: Array) -> Array:
        device, number = self.locate(row)
        mask: Array = number >= self.sizes[device] - held_out_rows(self.sizes)[device]
        return mask

    def units(self, row: Array) -> Array:
        return self.locate(row)[0].astype(np.int32)

    def device_value(self, device: Array, number: int) -> Array:
        """Returns a random number for each device, uniform in [-1, 1).

        `number` is the number of a property of devices, such as the level (0) or the trend (1).
        """
        keys = device.astype(np.uint64) + mix(np.array([self.seed]), SEED_KEY)
        return (mix(keys, number + 1) >> np.uint64(11)) * 2.0**-52 - 1

    def draw(self, block: int, row: Array) -> dict[str, Array]:
        stream = Stream(self.seed, block)
        device, number = self.locate(row)
        seconds = number * STEP_SECONDS
        days = seconds / DAY_SECONDS
        phase = (seconds % DAY_SECONDS) / DAY_SECONDS
        sine, cosine = wave(phase), wave((phase + 0.25) % 1)
        sensors = [stream.bell(n, len(row)) for n in range(self.sensors)]
        truth = 20 + 10 * self.device_value(device, 0) + 0.02 * self.device_value(device, 1) * days
        truth += 3 * self.device_value(device, 2) * sine + 3 * self.device_value(device, 3) * cosine
        for n, sensor in enumerate(sensors):
            truth += 2 * self.device_value(device, 8 + n) * sensor
        noise = self.noise * (1 + 0.5 * self.device_value(device, 4)) * stream.bell(LABEL_COLUMN, len(row))
        values = [days, sine, cosine, *sensors]
        return {
            **{c.name: v.astype(np.float32) for c, v in zip(self.columns(), values, strict=True)},
            LABEL: truth + noise,
            TRUTH: truth,
            TIME: START + seconds,
            f"group_{GROUP}": device.astype(np.int32),
        }

    def groupings(self, root: str) -> tuple[Grouping, ...]:
        held_out = held_out_rows(self.sizes)
        keys = pa.array([f"device-{number:07d}" for number in range(self.devices)])
        return (write_keys(root, GROUP, keys, self.sizes - held_out, held_out),)

    def evidence(self, held_out: dict[str, Array]) -> Evidence:
        return squared_error(held_out)

    def ceiling(self, evidence: Evidence) -> dict[str, float]:
        return irreducible_rmse(evidence)


def held_out_rows(sizes: Array) -> Array:
    """Returns the number of held-out rows of each device: a fifth of the device's rows, but at least one."""
    return np.asarray(np.maximum(1, sizes // HELD_OUT_OF))


def wave(phase: Array) -> Array:
    """Returns values close to sin(2π·phase), for phases in [0, 1).

    Two parabolas replace the sine, so that the values are the same on every machine.
    """
    centred = 2 * phase - 1
    return np.asarray(-4 * centred * (1 - np.abs(centred)))
