"""Tells which configurations of a job were beyond the memory of their nodes.

Such a job spills, or computes evicted blocks again, and takes more node-seconds than it would on more nodes.
"""

from collections.abc import Sequence
from itertools import pairwise

from sparkscale.analysis.questions.runtime_terms import Configuration

CLIFF = 0.15
"""The share of the node-seconds that a job saves on more nodes only if it was beyond memory before."""


def beyond_memory(measured: Sequence[Configuration]) -> tuple[Configuration, ...]:
    """Returns the configurations that are beyond memory.

    Within one size, a cliff is a fall of the node-seconds by more than CLIFF to the next larger scale-out. The
    configurations before it are beyond memory if they take so many more node-seconds than the first one after it, in
    the median, and more in every run.

    Where a size has no larger scale-out to compare with, it is beyond memory if a smaller size is on as many nodes.
    """
    falling = [each for each in measured if any(_falls(each, after) for after in _after_cliffs(each, measured))]
    return tuple(
        each
        for each in measured
        if each in falling or (not _larger(each, measured) and any(_is_heavier(each, low) for low in falling))
    )


def _after_cliffs(place: Configuration, measured: Sequence[Configuration]) -> list[Configuration]:
    """Returns the first configuration after each cliff at larger scale-outs."""
    series = [place, *_larger(place, measured)]
    return [after for before, after in pairwise(series) if _falls(before, after)]


def _falls(before: Configuration, after: Configuration) -> bool:
    """Returns whether the node-seconds fall so much from one configuration to another."""
    fewest, most = min(before.seconds) * before.scale_out, max(after.seconds) * after.scale_out
    return after.median * after.scale_out < (1 - CLIFF) * before.median * before.scale_out and most < fewest


def _larger(place: Configuration, measured: Sequence[Configuration]) -> list[Configuration]:
    """Returns the configurations of the same size on more nodes, in ascending order."""
    larger = [each for each in measured if each.size == place.size and each.scale_out > place.scale_out]
    return sorted(larger, key=lambda each: each.scale_out)


def _is_heavier(place: Configuration, than: Configuration) -> bool:
    """Returns whether there is more data on no more nodes."""
    return place.size > than.size and place.scale_out <= than.scale_out
