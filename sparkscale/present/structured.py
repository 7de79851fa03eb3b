"""Writes blocks as JSON, for programs."""

import dataclasses
import json
import math
from collections.abc import Iterable
from typing import Any

from sparkscale.analysis.blocks import Block


def as_json(blocks: Iterable[Block]) -> str:
    """Returns a JSON array of blocks, each an object with its `kind`.

    An infinite number, such as the seconds of a timeout, becomes null.
    """
    objects = [{"kind": type(block).__name__.lower(), **_plain(block)} for block in blocks]
    return json.dumps(objects, indent=1, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
