"""What workloads say of themselves."""

from workloads import registry


def test_the_summary_of_every_engine_is_a_sentence() -> None:
    """Tables of `sparkscale list engines` show it."""
    summaries = {
        f"{workload.name} {engine.name}": engine.summary()
        for workload in registry.workloads().values()
        for engine in workload.engines
    }
    assert {name: text for name, text in summaries.items() if not text.endswith(".") or "\n" in text} == {}
