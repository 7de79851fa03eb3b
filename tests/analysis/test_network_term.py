"""The network term: fitted to records of emulated hosts with a known cost of their links."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from sparkscale.analysis.links import Link
from sparkscale.analysis.network_report import network
from sparkscale.analysis.questions.network import AtRate, NetworkTerm, network_terms, term_of
from sparkscale.analysis.report import report_of_runs
from sparkscale.contract.record import RunRecord, SparkMetrics
from sparkscale.store.store import Store
from tests.analysis.reading import printed
from tests.builders import Writer, case, invocation

RATES = {"emulated-fast": 1e9, "emulated-middle": 3e8, "emulated-slow": 1e8}
BYTES_PER_HOST = 100_000_000
FIXED, SHARE = 20.0, 0.75
"""The planted seconds without a network, and the planted share of a transfer that prolongs the job."""


def _changes(
    of: str, cluster: str, session: str | None, spark: SparkMetrics
) -> Callable[[RunRecord], dict[str, Any]]:
    return lambda record: {"id": f"{of}-{cluster}-{record.id}", "session": session, "spark": spark}


def write(
    store: Store,
    rates: Sequence[str] = tuple(RATES),
    rounds: int = 8,
    remote: int | None = 2 * BYTES_PER_HOST,
    noise: float = 0.01,
    seed: int = 0,
    kind: str = "emulated",
    of: str = "one",
    other_seconds: float = 0.0,
    profile: dict[str, Any] | None = None,
    name: str = "",
    carried: float = 0.96,
) -> None:
    """Records of one engine on these clusters. Their links carry the share `carried` of the requested rate.

    `other_seconds` at 100 Mbit/s are those of traffic that is no shuffle.
    """
    generator = np.random.default_rng(seed)
    for cluster in rates:
        rate = carried * RATES[cluster]
        session = store.describe(
            "session",
            {
                "link": {
                    "bits_per_second": RATES[cluster],
                    "delay_seconds": 0.0,
                    "measured": [rate * 1.01, rate * 0.99],
                },
                "profile": {
                    "name": name or cluster,
                    "rate": f"{RATES[cluster]:g}",
                    "memory": "20%",
                    **(profile or {}),
                },
            },
        )
        spark = SparkMetrics(tasks=4, shuffle_remote_bytes=remote, executors=2, hosts=2)
        writer = Writer(store, of, _changes(of, cluster, session if kind == "emulated" else None, spark))
        for number in range(1, rounds + 1):
            where = {"cluster": name or cluster, "cluster_kind": kind}
            measured = case("mllib", 1.0, seed=number).model_copy(update=where)
            seconds = FIXED + SHARE * 4 * (remote or 0) / rate + other_seconds * 0.96e8 / rate
            # the phase `predict` takes another half of a second
            writer(measured, number, seconds=seconds * float(np.exp(generator.normal(0, noise))) - 0.5)


def only(store: Store) -> NetworkTerm:
    (term,) = network_terms(store, store.records())
    return term


def test_the_planted_share_is_found_with_its_interval(store: Store) -> None:
    write(store)
    term = only(store)
    assert term.rates == (1e9, 3e8, 1e8)
    assert term.bytes_per_host == BYTES_PER_HOST
    assert term.share is not None
    assert term.share.interval is not None
    assert term.share.value == pytest.approx(SHARE, abs=0.06)
    assert term.share.interval.low < SHARE < term.share.interval.high
    at_100 = term.seconds(1e8)
    assert at_100 is not None
    assert at_100.value == pytest.approx(SHARE * 8, rel=0.1)
    half = term.seconds(1e8, BYTES_PER_HOST / 2)
    assert half is not None
    assert half.value == pytest.approx(at_100.value / 2)


def test_a_rate_is_predicted_from_the_others(store: Store) -> None:
    write(store)
    term = only(store)
    slow = term.at[-1]
    predicted = term.without(slow).added(slow)
    assert predicted is not None
    assert term.without(slow).rates == (1e9, 3e8)
    assert predicted.value == pytest.approx(float(np.mean(term.differences(slow))), rel=0.25)
    fitted_to_all = term.added(slow)
    assert fitted_to_all is not None
    assert predicted.value != fitted_to_all.value


def drawn(rates: Sequence[float], noise: float, rounds: int, generator: np.random.Generator) -> NetworkTerm:
    """A term of executions with this relative noise."""
    at = []
    for rate in rates:
        planted = FIXED + SHARE * 8 * BYTES_PER_HOST / rate
        seconds = {((number, number), 0): planted * np.exp(generator.normal(0, noise)) for number in range(rounds)}
        at.append(AtRate(Link(rate, rate, 0.0), rate, seconds, BYTES_PER_HOST))
    return NetworkTerm(case("mllib", 1.0), 2, tuple(at))


@pytest.mark.parametrize("rates", [(1e9, 1e8), (1e9, 3e8, 1e8)])
@pytest.mark.parametrize("noise", [0.03, 0.3])
def test_intervals_hold_as_often_as_they_say(rates: Sequence[float], noise: float) -> None:
    """Of 90 % intervals from five rounds, nine of ten contain the planted share, also if noise hides it."""
    generator = np.random.default_rng(1)
    hits = []
    for _ in range(500):
        share = drawn(rates, noise, 5, generator).share
        if share is None:
            continue  # noise made the slowest link look faster beyond doubt
        assert share.interval is not None
        hits.append(share.interval.low <= SHARE <= share.interval.high)
    assert len(hits) >= 485
    assert 0.87 <= float(np.mean(hits)) <= 0.95


def test_an_engine_that_sends_nothing_pays_nothing(store: Store) -> None:
    write(store, remote=1000)
    term = only(store)
    free = term.seconds(1e8)
    assert term.is_free
    assert term.why_none == ""
    assert free is not None
    assert free.value == 0
    assert term.share is None
    assert term.seconds(1e8, 1e9) is None
    assert "sends almost no shuffled bytes to other hosts, so its network term is 0" in printed(
        network(store, store.records()), 200
    )


def test_an_engine_that_is_slower_without_a_shuffle_has_no_term(store: Store) -> None:
    write(store, remote=1000, other_seconds=5.0)
    term = only(store)
    slowest = term.at[-1]
    assert term.why_none.startswith("it sends almost no shuffled bytes to other hosts, but took 4.")
    assert "longer at 100 Mbit/s: the term leaves out its other traffic" in term.why_none
    assert (term.seconds(1e8), term.added(slowest)) == (None, None)
    assert term.words(64_000, 2).startswith("mllib has no network term, because it sends almost no shuffled bytes")
    assert "no network term, because it sends almost no" in printed(network(store, store.records()), 250)


def test_few_shuffled_bytes_of_a_small_size_are_not_few_of_a_large_one(store: Store) -> None:
    write(store, remote=1_000_000)
    term = only(store)
    assert term.is_free
    assert term.words(64_000, 2).endswith("so its network term is 0.")
    assert "measured on emulated hosts with 64,001 rows only" in term.words(6_400_000, 2)


@pytest.mark.parametrize(
    ("rates", "shown"),
    [
        (("emulated-fast", "emulated-middle"), "at 1 Gbit/s (calibrated"),
        (("emulated-middle", "emulated-slow"), "s at 100 Mbit/s (calibrated"),
    ],
)
def test_no_rate_is_stated_that_is_slower_than_the_measured_ones(
    store: Store, rates: tuple[str, ...], shown: str
) -> None:
    """With longer transfers, computing hides a smaller part of them."""
    write(store, rates)
    text = only(store).words(64_000, 2)
    assert shown in text
    assert ("100 Mbit/s" in text) == ("emulated-slow" in rates)


def test_a_cluster_with_another_rate_in_a_later_run_is_another_link(store: Store) -> None:
    store.begin(invocation("two", day=2))
    write(store, ("emulated-fast",), name="emulated-mine")
    write(store, ("emulated-slow",), name="emulated-mine", of="two")
    term = only(store)
    assert term.rates == (1e9, 1e8)
    assert [len(one.seconds) for one in term.at] == [8, 8]


def test_a_rate_that_the_machine_does_not_carry_is_not_stated(store: Store) -> None:
    write(store, ("emulated-fast",), carried=0.4)
    write(store, ("emulated-slow",))
    assert only(store).rates == (4e8, 1e8)
    assert "calibrated on emulated hosts at 400 Mbit/s, 100 Mbit/s" in only(store).words(64_000, 2)


def test_a_repeated_run_adds_rounds(store: Store) -> None:
    store.begin(invocation("two", day=2))
    write(store)
    write(store, rounds=3, of="two")
    assert {len(one.seconds) for one in only(store).at} == {8 + 3}


def test_clusters_that_differ_in_more_than_their_links_are_apart(store: Store) -> None:
    write(store, ("emulated-fast",))
    write(store, ("emulated-slow",), profile={"memory": "10%"})
    assert [term.rates for term in network_terms(store, store.records())] == [(1e9,), (1e8,)]


def test_the_newest_of_equal_terms_counts(store: Store) -> None:
    store.begin(invocation("two", day=2))
    write(store)
    old = network_terms(store, store.records())
    new = [dataclasses.replace(term, hosts=3) for term in old]
    assert term_of([*old, *new], old[0].case) is new[0]


def test_one_rate_tells_nothing(store: Store) -> None:
    write(store, ("emulated-fast",))
    term = only(store)
    assert (
        term.why_none == "it was measured at one rate only: measure it on emulated hosts with links of another rate"
    )
    assert term.seconds(1e8) is None
    assert "no network term, because it was measured at one rate only" in printed(
        network(store, store.records()), 200
    )


def test_few_rounds_give_no_term(store: Store) -> None:
    write(store, rounds=4)
    reason = "it has a time at every rate in 4 rounds only: measure at least 5 on each cluster"
    assert only(store).why_none == reason
    assert (only(store).share, only(store).seconds(1e8)) == (None, None)
    assert reason in " ".join(printed(network(store, store.records()), 250).split())


def test_a_job_that_is_faster_on_the_slower_link_gives_no_term(store: Store) -> None:
    """Such as beside another program, which ended before the cluster with the slower link was measured."""
    write(store, other_seconds=-12.0)
    assert "s less at 100 Mbit/s than on the fastest link, so something else" in only(store).why_none
    assert only(store).seconds(1e8) is None


def test_noise_that_hides_the_term_is_said(store: Store) -> None:
    write(store, noise=0.3, remote=10_000_000, seed=1)
    text = " ".join(printed(network(store, store.records()), 400).split())
    assert "Not resolved: the term may be 0." in text


@pytest.mark.parametrize(("remote", "kind"), [(None, "emulated"), (1000, "standalone")])
def test_records_without_a_link_or_of_earlier_releases_do_not_count(
    store: Store, remote: int | None, kind: str
) -> None:
    write(store, remote=remote, kind=kind)
    assert network_terms(store, store.records()) == []
    assert network(store, store.records()) == []


def test_the_term_of_the_nearest_size_serves_another_case(store: Store) -> None:
    write(store)
    terms = network_terms(store, store.records())
    larger = case("mllib", 1.0).model_copy(update={"rows": 10**9, "cluster": "theirs"})
    term = term_of(terms, larger)
    assert term is not None
    seconds = term.seconds(1e9, 1e9)
    assert seconds is not None
    assert seconds.value == pytest.approx(8 * SHARE, rel=0.1)
    assert term_of(terms, case("sklearn", 1.0)) is None


@pytest.mark.parametrize(
    ("rows", "hosts", "megabytes"),
    [(64_000, 2, 100.0), (640_000, 2, 1000.0), (64_000, 1, 0.0), (64_000, 4, 400 * 3 / 16)],
)
def test_bytes_grow_with_the_rows_and_are_shared_by_the_hosts(
    store: Store, rows: int, hosts: int, megabytes: float
) -> None:
    """On four hosts, three quarters of 400 MB go to another host, and each host receives a quarter of that."""
    write(store)
    assert only(store).bytes_at(rows, hosts) / 1e6 == pytest.approx(megabytes, rel=1e-3)


def test_a_plan_can_say_which_term_was_calibrated_on_emulated_hosts(store: Store) -> None:
    write(store)
    text = only(store).words(640_000, 2)
    assert text.startswith("mllib on 2 hosts: each receives 1,000 MB of shuffled rows from the others, ")
    assert "if they grow with the rows, which adds 6." in text
    assert "calibrated on emulated hosts at 1 Gbit/s, 300 Mbit/s, 100 Mbit/s" in text


def test_runs_at_one_rate_each_are_put_together(store: Store) -> None:
    store.begin(invocation("two", day=2))
    write(store, ("emulated-fast",))
    write(store, ("emulated-slow",), of="two")
    text = " ".join(
        printed(report_of_runs(store, [store.invocation(identity=run) for run in ("one", "two")]), 220).split()
    )
    assert "Calibrated on emulated hosts at 1 Gbit/s, 100 Mbit/s" in text
    assert "no network term, because it was measured at one rate only" in text  # each run alone
    other = store.records("two")[0].model_copy(update={"software": "other"})
    assert len(network_terms(store, [*store.records("one"), other])) == 2


def test_the_report_shows_measured_and_predicted_side_by_side(store: Store) -> None:
    write(store)
    text = " ".join(printed(network(store, store.records()), 220).split())
    assert "The network between emulated hosts" in text
    assert "Calibrated on emulated hosts at 1 Gbit/s, 300 Mbit/s, 100 Mbit/s" in text
    assert "0.96 Gbit/s" in text
    assert "96 Mbit/s" in text
