"""Metrics of patterns that train a model for each group."""

from sparkscale.analysis.metrics import Metric, scored, time_to_model, timed
from sparkscale.contract.record import RunRecord


def models_per_second(record: RunRecord) -> float:
    """Returns the number of groups with a model, divided by the time to model."""
    return record.figures.get("models", 0.0) / time_to_model(record)


def time_with_layout(record: RunRecord) -> float:
    """Returns the seconds of layout + load + fit, which is the cost of using a layout once."""
    return time_to_model(record) + record.seconds["layout"]


def metrics(patterns: tuple[str, ...]) -> tuple[Metric, ...]:
    """Returns the metrics of these patterns, except those that follow from a workload's declaration."""
    return (
        Metric(
            "time_with_layout",
            "s",
            "lower",
            1,
            "seconds until all groups have models, rows laid out by group included: layout + load + fit",
            lambda records: [time_with_layout(record) for record in timed(records) if "layout" in record.seconds],
            patterns,
        ),
        Metric(
            "models_per_second",
            "1/s",
            "higher",
            1,
            "models of groups over the seconds of load + fit",
            lambda records: [models_per_second(record) for record in timed(records) if "models" in record.figures],
            patterns,
        ),
        Metric(
            "groups_without_model",
            "groups",
            "lower",
            1,
            "groups that have no model, for whatever reason",
            lambda records: [
                r.figures["groups"] - r.figures["models"] for r in scored(records) if "groups" in r.figures
            ],
            patterns,
        ),
    )
