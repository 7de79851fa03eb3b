"""Makes random numbers that are the same on every machine, with Philox streams and exact arithmetic.

Every value in a file is computed only with integers, +, -, *, /, sqrt and comparisons, because IEEE 754 defines
the rounding of these operations. exp, log, sin and BLAS are not used, because their last bit differs between
processors.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Philox

from workloads.datasets.training_slices import Array

TRUTH_BLOCK = 2**64 - 1
"""The block number of the stream for the coefficients that generate the data. All blocks of rows share these
coefficients."""

BELL_STD = float(np.sqrt((2**32 - 1) / 3))
"""The standard deviation of a sum of four integers, each uniform over 0 … 65,535. It is the root of 4·(2^32 - 1)/12.
"""
BELL_MEAN = 2 * 65_535
"""The mean of a sum of four integers, each uniform over 0 … 65,535."""


@dataclass
class Stream:
    """The random numbers of one block of rows. Each `column` of a block has its own stream.

    The generator is Philox4x64 with the key (seed, block) (Salmon et al., Parallel random numbers: as easy as 1, 2,
    3, 2011).
    """

    seed: int
    block: int

    def words(self, column: int, count: int) -> Array:
        """Returns uniform 64-bit integers, shape (count,)."""
        key, counter = ([self.seed, self.block], [0, 0, column, 0])
        generator = Philox(key=np.array(key, dtype=np.uint64), counter=np.array(counter, dtype=np.uint64))
        integers: Array = generator.random_raw(count)
        return integers

    def bell(self, column: int, count: int) -> Array:
        """Returns bell-shaped values with mean 0 and standard deviation 1, float32, shape (count,).

        Each value is a sum of four uniform integers, shifted and scaled. This is the Irwin-Hall distribution with
        four terms: its kurtosis is 2.7, and no absolute value is larger than 2·√3.
        """
        words = self.words(column, count)
        pairs = words & np.uint64(0x0000FFFF_0000FFFF)
        words >>= np.uint64(16)
        words &= np.uint64(0x0000FFFF_0000FFFF)
        pairs += words
        halves = pairs.view(np.uint32)
        sums = (halves[0::2] + halves[1::2]).astype(np.float32)
        sums -= np.float32(BELL_MEAN)
        sums *= np.float32(1 / BELL_STD)
        return sums

    def uniform(self, column: int, count: int) -> Array:
        """Returns uniform multiples of 2^-53 in [0, 1), float64, shape (count,)."""
        return (self.words(column, count) >> np.uint64(11)) * 2.0**-53

    def integers(self, column: int, count: int, below: int) -> Array:
        """Returns uniform integers in 0 … below - 1, int64, shape (count,); below ≤ 2^31."""
        return ((self.words(column, count) >> np.uint64(33)) * np.uint64(below) >> np.uint64(31)).astype(np.int64)


def sigmoid(z: Array) -> Array:
    """Returns ½·(1 + z / √(1 + z²)), which is close to the logistic function of 2·z and the same on every machine."""
    p: Array = 0.5 * (1 + z / np.sqrt(1 + z * z))
    return p


def exact_sum(values: Array) -> int:
    """Returns the sum of values in [0, 1], in units of 2^-32. The order of the values does not change the sum."""
    return int(np.floor(values * 2.0**32).astype(np.int64).sum())
