"""`sparkscale compare`: opens two sides, chooses the cases to compare, and compares them."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from sparkscale.analysis.blocks import Block
from sparkscale.analysis.questions.compare.compare import Compared, compare
from sparkscale.analysis.questions.compare.pairing import selected
from sparkscale.analysis.questions.compare.parts import Limits
from sparkscale.analysis.questions.compare.report import ROW_KEYS, report
from sparkscale.analysis.questions.compare.side import Side
from sparkscale.contract import filter as filters
from sparkscale.contract.errors import ConfigError
from sparkscale.history import sides


@dataclass(frozen=True)
class Comparison:
    """The user's request. `head` is None if two values of a property are compared within the base (`column`).

    `wanted` holds the values of each property that cases must have. `column` is a property, its value in the base and
    its value in the head. `threshold` replaces the thresholds of the head's suites.
    """

    base: str
    head: str | None
    out: Path
    metrics: tuple[str, ...] | None = None
    threshold: float | None = None
    wanted: dict[str, list[str]] = field(default_factory=dict)
    column: tuple[str, str, str] | None = None
    ignored: tuple[str, ...] = ()
    row_keys: tuple[str, ...] = ROW_KEYS
    across: bool = False


@dataclass(frozen=True)
class Result:
    """The comparison, and its report."""

    compared: Compared
    blocks: tuple[Block, ...]


def result(request: Comparison) -> Result:
    """Returns the comparison of two sides.

    Raises ConfigError if the request is wrong, if the sides have no case in common, or if they must not be compared
    and `across` is false.
    """
    _check(request)
    with ExitStack() as stack:
        names = request.base, request.base if request.head is None else request.head
        base, head = (stack.enter_context(sides.opened(name, request.out)) for name in names)
        base, head = _chosen(request, base, head)
        rules = Limits(rules=head.thresholds)
        limits = rules if request.threshold is None else Limits(request.threshold, beside=rules.metrics)
        ignored = [*request.ignored, *([request.column[0]] if request.column else [])]
        compared = compare(base, head, request.metrics, limits, ignored)
        if compared.pairing.refusals and not request.across:
            raise ConfigError(
                f"{head.name} cannot be compared with {base.name}: {'; '.join(compared.pairing.refusals)}. "
                "To compare them all the same, use --across."
            )
        if not compared.pairing.pairs:
            raise ConfigError(
                f"{base.name} and {head.name} have no case in common: nothing is compared. If the cases differ in "
                "some property only, name it with --ignore, such as --ignore set,parameters."
            )
        return Result(compared, tuple(report(compared, request.row_keys)))


def _check(request: Comparison) -> None:
    """Raises ConfigError if a property is unknown, or if the second side is missing."""
    column = [request.column[0]] if request.column else []
    for option, keys in (("--ignore", request.ignored), ("--row", request.row_keys), ("--column", column)):
        for key in keys:
            if key not in filters.PROPERTIES:
                raise ConfigError(f"{option}: unknown property '{key}': choose from {', '.join(filters.PROPERTIES)}.")
    if request.head is None and request.column is None:
        raise ConfigError("HEAD is missing: name a second side, or compare cases of BASE with --column KEY=A,B.")


def _chosen(request: Comparison, base: Side, head: Side) -> tuple[Side, Side]:
    """Returns both sides with the cases that the request wants."""
    if request.wanted:
        base, head = (selected(side, request.wanted) for side in (base, head))
    if request.column:
        key, *values = request.column
        base, head = (
            selected(side, {key: [value]}, f"{side.name}, {value}")
            for side, value in zip((base, head), values, strict=True)
        )
    return base, head


def column(text: str | None) -> tuple[str, str, str] | None:
    """Reads KEY=A,B. Raises ConfigError if it does not name two values."""
    if text is None:
        return None
    key, _, rest = text.partition("=")
    values: Sequence[str] = [value.strip() for value in rest.split(",") if value.strip()]
    if len(values) != 2:
        raise ConfigError(f"--column {text} does not name two values: write it like engine=sklearn,xgboost.")
    return key.strip(), values[0], values[1]
