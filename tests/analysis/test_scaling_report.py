"""Clusters compared: scaling of each engine, and the cores that Spark needs to beat one thread."""

from collections.abc import Callable, Mapping

import pytest

from sparkscale.analysis.blocks import Grid
from sparkscale.analysis.patterns.data_parallel import report
from sparkscale.analysis.patterns.data_parallel.scaling_report import ScalingReport
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.case import Case
from sparkscale.store.store import Store
from tests.builders import Writer, case

ROUNDS = 5
CORES = (1, 2, 4, 8)
Times = Callable[[int, float], float]
"""Seconds for a number of cores and a fraction."""


def on(engine: str, fraction: float, cores: int, number: int, threads: int | None = None) -> Case:
    changes = {"cluster": f"standalone-{cores}x1", "cluster_kind": "standalone", "threads": threads or cores}
    return case(engine, fraction, seed=number).model_copy(update=changes)


def measured(
    store: Store,
    spark: Times,
    one_thread: float | None = None,
    node: float | None = None,
    cores: tuple[int, ...] = CORES,
    fractions: tuple[float, ...] = (1.0,),
    rounds: int = ROUNDS,
) -> list[ScalingReport]:
    write = Writer(store)
    for number in range(1, rounds + 1):
        slower = 1 + number / 100
        for used in cores:
            for fraction in fractions:
                write(on("mllib", fraction, used, number), number, seconds=spark(used, fraction) * slower, cores=used)
            if node:
                write(on("sklearn", 1.0, used, number), number, seconds=node * slower, cores=used)
        if one_thread:
            limited = on("sklearn", 1.0, cores[-1], number, threads=1)
            write(limited, number, seconds=one_thread * slower, cores=1, granted=cores[-1])
    return [item for item in report.reports(store, store.records()) if isinstance(item, ScalingReport)]


def said(reports: list[ScalingReport]) -> tuple[str | None, str]:
    (found,) = reports
    (answer,) = found.answers()
    return answer.verdict, answer.text


def test_a_measured_number_of_cores_beats_one_thread(store: Store) -> None:
    verdict, text = said(measured(store, lambda cores, _: 40 / cores, one_thread=12.0))
    assert verdict == "yes"
    assert "On 64,003 rows, mllib beats sklearn on one thread from 4 cores on" in text


def test_a_law_says_how_many_cores_would(store: Store) -> None:
    verdict, text = said(measured(store, lambda cores, _: 400 / cores, one_thread=25.0))
    assert verdict == "yes"
    assert "from 16 cores on (16–16), a forecast by the universal scalability law from up to 8 measured cores" in text


def test_no_number_of_cores_makes_up_for_a_serial_part(store: Store) -> None:
    verdict, text = said(measured(store, lambda cores, _: 40 / cores + 20, one_thread=10.0))
    assert verdict == "no"
    assert "no number of cores makes up for it (unbounded): with the best number mllib would take 2" in text


def test_few_clusters_say_only_what_was_measured(store: Store) -> None:
    verdict, text = said(measured(store, lambda cores, _: 40 / cores, one_thread=5.0, cores=(2, 4)))
    assert verdict == "no"
    assert "no number of cores measured makes up for it: with 4 cores mllib takes 2 times as long as sklearn" in text


def test_without_one_thread_the_best_node_is_the_rival(store: Store) -> None:
    _, text = said(measured(store, lambda cores, _: 40 / cores, node=5.0, cores=(2, 4)))
    assert "times as long as sklearn on one node with 2 cores" in text


def test_a_core_on_one_node_is_one_thread(store: Store) -> None:
    """On a profile with one core, nothing is limited."""
    _, text = said(measured(store, lambda cores, _: 40 / cores, node=12.0, cores=(1, 2, 4)))
    assert "beats sklearn on one thread from 4 cores on" in text


def grids(reports: list[ScalingReport]) -> Mapping[str, Grid]:
    (found,) = reports
    return {block.title.partition(" scaling")[0]: block for block in found.blocks() if isinstance(block, Grid)}


def test_strong_scaling_has_seconds_speed_up_and_efficiency(store: Store) -> None:
    rows = grids(measured(store, lambda cores, _: 40 / cores + 10))["Strong"].rows
    assert [row[1] for row in rows] == list(CORES)
    seconds, speed_up, efficiency = rows[-1][4:7]
    assert all(isinstance(cell, Spread) for cell in (seconds, speed_up, efficiency))
    assert isinstance(speed_up, Spread)
    assert isinstance(efficiency, Spread)
    assert speed_up.median == pytest.approx(50 / 15)
    assert efficiency.median == pytest.approx(50 / 15 / 8)


@pytest.mark.parametrize("fastest", ["standalone-4x1", "standalone-2x2"])
def test_of_clusters_with_as_many_cores_the_fastest_counts(store: Store, fastest: str) -> None:
    write = Writer(store)
    for number in range(1, ROUNDS + 1):
        for cores, cluster in ((2, "standalone-2x1"), (4, "standalone-4x1"), (4, "standalone-2x2")):
            where = on("mllib", 1.0, cores, number).model_copy(update={"cluster": cluster})
            seconds = 20.0 if cores == 2 else 8.0 if cluster == fastest else 10.0
            write(where, number, seconds=seconds, cores=cores)
    reports = [item for item in report.reports(store, store.records()) if isinstance(item, ScalingReport)]
    rows = grids(reports)["Strong"].rows
    assert [row[1] for row in rows] == [2, 4]
    assert isinstance(rows[-1][4], Spread)
    assert rows[-1][4].median == 8.0


def test_weak_scaling_needs_rows_in_proportion_to_cores(store: Store) -> None:
    found = measured(store, lambda cores, fraction: 40 * fraction / cores + 2, fractions=(1 / 8, 1 / 4, 1 / 2, 1.0))
    rows = grids(found)["Weak"].rows
    assert [(row[1], row[3]) for row in rows] == [(1, 8003), (2, 16003), (4, 32003), (8, 64003)]
    assert isinstance(rows[-1][6], Spread)
    assert rows[-1][6].median == pytest.approx(1.0)


def test_weak_scaling_starts_at_the_fewest_cores_that_were_measured(store: Store) -> None:
    cores, fractions = (2, 4, 8), (1 / 4, 1 / 2, 1.0)
    found = measured(store, lambda used, fraction: 40 * fraction / used + 2, cores=cores, fractions=fractions)
    rows = grids(found)["Weak"].rows
    assert [(row[1], row[3]) for row in rows] == [(2, 16003), (4, 32003), (8, 64003)]


def test_few_rounds_resolve_nothing(store: Store) -> None:
    verdict, text = said(measured(store, lambda cores, _: 40 / cores, one_thread=5.0, cores=(2, 4), rounds=3))
    assert verdict == "not resolved"
    assert "no number of cores measured makes up for it" in text


def test_few_common_rounds_resolve_nothing(store: Store) -> None:
    """One cluster was measured in five rounds, the other in the last of them only."""
    write = Writer(store)
    for number in range(1, ROUNDS + 1):
        write(on("mllib", 1.0, 1, number), number, seconds=40.0, cores=1)
        write(on("sklearn", 1.0, 1, number), number, seconds=25.0, cores=1)
    write(on("mllib", 1.0, 2, ROUNDS), ROUNDS, seconds=20.0, cores=2)
    found = [item for item in report.reports(store, store.records()) if isinstance(item, ScalingReport)]
    assert said(found)[0] == "not resolved"


def test_a_later_cluster_without_common_rounds_replaces_none(store: Store) -> None:
    measured(store, lambda cores, _: 40 / cores, one_thread=12.0)
    write = Writer(store)
    write.count = 1000
    other = on("mllib", 1.0, 2, 9).model_copy(update={"cluster": "standalone-1x2"})
    write(other, 9, seconds=1.0, cores=2)
    found = [item for item in report.reports(store, store.records()) if isinstance(item, ScalingReport)]
    assert "from 4 cores on" in said(found)[1]


def test_one_cluster_is_no_comparison(store: Store) -> None:
    assert measured(store, lambda cores, _: 40 / cores, one_thread=5.0, node=3.0, cores=(2,)) == []


def test_charts_of_scaling_have_the_rounds_of_their_medians_and_the_failures(store: Store) -> None:
    measured(store, lambda cores, _: 40 / cores, one_thread=12.0)
    write = Writer(store)
    write.count = 1000
    write(on("mllib", 1.0, 1, 9), 9, seconds=400.0, cores=1)  # a round that no other cluster has
    write(on("mllib", 1.0, 16, 1), 1, outcome="oom", cores=16)
    (found,) = [item for item in report.reports(store, store.records()) if isinstance(item, ScalingReport)]
    seconds, speed_up = found.charts()
    (mllib,) = seconds.series
    ranges = dict(zip(mllib.x, zip(mllib.low, mllib.high, strict=True), strict=True))
    assert len(seconds.dots) == len(CORES) * ROUNDS
    assert all(ranges[dot.x][0] <= dot.y <= ranges[dot.x][1] for dot in seconds.dots)
    assert [(one.series, one.x, one.reason) for one in seconds.failed] == [("mllib", 16.0, "oom: because oom")]
    assert [series.y for series in speed_up.series] == [pytest.approx((1.0, 2.0, 4.0, 8.0))]
    (ideal,) = speed_up.fits
    assert (ideal.x, ideal.y) == ((1.0, 8.0), (1.0, 8.0))
