"""Writes an answer in a fixed form, so that the answers of `decide` and of a full grid can be compared."""

from collections.abc import Mapping

from sparkscale.contract.case import show_fraction


def of_sample(engine: str, fraction: float | None) -> str:
    """Returns the choice of a fraction for an engine, such as "1/4 for xgboost". None: only all rows are enough."""
    return f"{'all rows' if fraction is None else show_fraction(fraction)} for {engine}"


def of_engine(engine: str) -> str:
    """Returns the choice of the fastest engine."""
    return engine


def of_cluster(paying: Mapping[str, float]) -> str:
    """Returns the choice of engines on Spark that pay, such as "mllib from 290000 rows".

    `paying` holds the number of rows from which each is faster, with two digits. It is empty if Spark does not pay.
    """
    parts = [f"{engine} from {float(f'{rows:.2g}'):.0f} rows" for engine, rows in sorted(paying.items())]
    return "; ".join(parts) or "no"


def of_workers(engine: str, profile: str, beats: int | None, is_resolved: bool = True) -> str:
    """Returns the choice of an engine and a profile, and the fewest cores that beat one node. None: none do.

    The fewest cores are left out if they are not resolved.
    """
    fastest = f"{engine} on {profile}"
    if not is_resolved:
        return fastest
    return f"{fastest}; {f'{beats} cores beat' if beats else 'none beats'} one node"
