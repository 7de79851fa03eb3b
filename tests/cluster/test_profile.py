"""Cluster profiles: what they grant, and what is wrong with a bad one."""

import os
from pathlib import Path

import psutil
import pytest

from cluster import profile
from cluster.budget import budget
from cluster.topology import physical_cores, topology
from sparkscale.contract.errors import ConfigError


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_local_grants_every_usable_core() -> None:
    granted = budget(profile.load("local"))
    assert granted.node == granted.driver
    assert set(granted.node.cpus) == os.sched_getaffinity(0)
    assert granted.driver.heap_bytes < granted.driver.memory_bytes < psutil.virtual_memory().total


def test_an_engine_with_fewer_threads_gets_as_many_cpus_and_all_the_memory() -> None:
    granted = budget(profile.load("local"))
    threads = max(1, physical_cores(granted.node.cpus, topology()) // 2)
    limited = granted.with_threads("node", threads)
    assert len(limited.node.cpus) == physical_cores(limited.node.cpus, topology()) == threads
    assert set(limited.node.cpus) <= set(granted.node.cpus)
    assert limited.cores_of("node") == threads
    assert limited.node.model_copy(update={"cpus": granted.node.cpus}) == granted.node
    assert (limited.driver, limited.cores) == (granted.driver, granted.cores)
    assert granted.with_threads("spark", 1) == granted.with_threads("node", len(granted.node.cpus)) == granted


def test_a_users_profile_is_read_by_path(tmp_path: Path) -> None:
    found = profile.load(written(tmp_path, 'kind = "local"\ncores = 1\nmemory = "512m"\n[conf]\n"spark.a" = "b"\n'))
    assert (found.name, found.conf) == ("mine", (("spark.a", "b"),))
    assert budget(found).node.memory_bytes == 512 * 2**20
    assert budget(found).cores == 1


PRICE = {"per_hour": "3.2", "currency": '"EUR"', "source": '"our contract"', "date": "2026-11-28"}


def priced(**fields: str | None) -> str:
    """A profile with a price. None leaves a field out."""
    stated = {name: value for name, value in {**PRICE, **fields}.items() if value is not None}
    return 'kind = "local"\n[price]\n' + "\n".join(f"{name} = {value}" for name, value in stated.items())


def test_a_price_is_read_and_is_the_only_difference_that_it_makes(tmp_path: Path) -> None:
    found = profile.load(written(tmp_path, priced()))
    assert found.price
    assert found.price.text == "3.2 EUR per hour (our contract, 2026-11-28)"
    assert found.without_price == profile.load(written(tmp_path, 'kind = "local"'))
    assert profile.PROFILE.validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"per_hour": "0"}, r"price\.per_hour: .*greater than 0"),
        ({"per_hour": "-1.5"}, r"price\.per_hour: .*greater than 0"),
        ({"per_hour": "nan"}, r"price\.per_hour: "),
        ({"per_hour": "inf"}, r"price\.per_hour: .*finite number"),
        ({"per_hour": '"3.2"'}, r"price\.per_hour: .*valid number"),
        ({"per_hour": None}, r"price\.per_hour: Field required"),
        ({"currency": '"euro"'}, r"price\.currency: 'euro' is no currency of ISO 4217: write three capital letters"),
        ({"currency": None}, r"price\.currency: Field required"),
        ({"source": '" "'}, r"price\.source: say where the price comes from, such as a URL or 'our contract'"),
        ({"source": None}, r"price\.source: Field required"),
        ({"date": '"yesterday"'}, r"price\.date: write the day of the price like 2026-11-28"),
        ({"date": "2026"}, r"price\.date: write the day of the price like 2026-11-28"),
        ({"date": "2026-11-28T10:00:00"}, r"price\.date: write the day of the price like 2026-11-28"),
        ({"per_minute": "1"}, r"price\.per_minute: Extra inputs are not permitted"),
    ],
)
def test_a_bad_price_is_named_with_its_fault(tmp_path: Path, fields: dict[str, str | None], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"mine\.toml: {message}[^\n]*\.$"):
        profile.load(written(tmp_path, priced(**fields)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind = ", r"mine\.toml is no valid TOML: .+"),
        ('kind = "moon"', r"mine\.toml: kind: .*'local'"),
        ('kind = "local"\nmemory = "lots"', r"mine\.toml: memory: .*75%"),
        ('kind = "local"\ncoers = 2', r"mine\.toml: coers: .*not permitted"),
        ("cores = 2", r"mine\.toml: kind: is missing, set one of local, standalone, emulated, connect, external"),
        ('kind = "local"\ncores = 0', r"mine\.toml: cores: ask for one core or more"),
        ('kind = "standalone"\nworkers = 0', r"mine\.toml: workers: .*greater than or equal to 1"),
        ('kind = "connect"\nurl = "http://x"\ncores = 2', r"mine\.toml: url: 'http://x' is no address like sc://"),
        ('kind = "connect"\nurl = "sc://x:1"', r"mine\.toml: cores: set the number of cores that"),
        ('kind = "external"\nmaster = "moon"\nexecutors = 1\ncores = 1\nmemory = "1g"', r"mine\.toml: master: "),
        ('kind = "external"\nmaster = "yarn"\ncores = 1\nmemory = "1g"', r"mine\.toml: executors: Field required"),
    ],
)
def test_a_bad_profile_is_named_with_its_fault(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        profile.load(written(tmp_path, text))


EMULATED = 'kind = "emulated"\nmemory = "1g"\ndriver_memory = "1g"\n'


def emulated(folder: Path, text: str, name: str = "emulated-mine") -> str:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return str(path)


def test_each_emulated_host_has_its_own_cpus_and_memory(tmp_path: Path) -> None:
    found = profile.load(emulated(tmp_path, EMULATED + 'rate = "100mbit"\ndelay = "2.5ms"'))
    assert isinstance(found, profile.Emulated)
    assert (found.hosts, profile.bits_per_second(found.rate), profile.seconds_of(found.delay)) == (2, 1e8, 0.0025)
    assert found.shape == "2 × (1 core, 1g), links of 100mbit 2.5ms"
    granted = budget(found.model_copy(update={"oversubscribe": True}))
    assert [grant.memory_bytes for grant in granted.daemons] == [2**30, 2**30]
    assert granted.node.memory_bytes == 3 * 2**30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hosts = 1", r"hosts: .*greater than or equal to 2"),
        ('rate = "1gb"', r"rate: '1gb' is no rate between 1mbit and 100gbit: write it like 1gbit"),
        ('rate = "0mbit"', "rate: '0mbit' is no rate"),
        ('delay = "1"', r"delay: '1' is no delay of at most 1000ms: write it like 1ms or 200us"),
        ('delay = "0ms"', "delay: '0ms' is no delay"),
        ('storage = "s3://bucket/x"', r"storage: emulated hosts reach no other machine.*name a folder"),
    ],
)
def test_bad_emulated_hosts_are_named_with_their_fault(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"emulated-mine\.toml: {message}[^\n]*\.$"):
        profile.load(emulated(tmp_path, EMULATED + text))


def test_only_emulated_hosts_are_called_emulated(tmp_path: Path) -> None:
    """Tables, histories and comparisons name the cluster, so its name says what it is."""
    with pytest.raises(ConfigError, match="'mine' has emulated hosts, so its name must begin with 'emulated'"):
        profile.load(emulated(tmp_path, EMULATED, name="mine"))
    with pytest.raises(ConfigError, match="'emulated-mine' is of kind 'standalone', but its name says emulated"):
        profile.load(emulated(tmp_path, 'kind = "standalone"'))


def test_an_unknown_profile_names_the_choices() -> None:
    with pytest.raises(
        ConfigError, match=r"Unknown cluster 'moon': choose from connect, emulated-2x1, emulated-2x1-100mbit"
    ):
        profile.load("moon")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('kind = "local"\ncores = 4096', "asks for 4096 cores, but only"),
        ('kind = "local"\nmemory = "9999g"', "asks for 9999g of memory"),
        ('kind = "local"\ngpus = 99', "asks for 99 GPUs, but this host has"),
        (
            'kind = "standalone"\nworkers = 2048\ncores = 2',
            "asks for 4096 cores, .* lower `workers` or `cores`, or set oversubscribe = true",
        ),
        ('kind = "standalone"\nmemory = "60%"\ndriver_memory = "50%"', r"asks for 60% \+ 50% of memory"),
        (
            'kind = "standalone"\nmemory = "600m"',
            "leaves 360 MiB for the heap of a JVM, but Spark needs 450 MiB",
        ),
        ('kind = "standalone"\nworkers = 1\ngpus = 99', "asks for 99 GPUs, but this host has"),
        ('kind = "connect"\nmemory = "99%"\ndriver_memory = "9%"', r"asks for 99% \+ 9% of memory"),
    ],
)
def test_more_than_the_host_has_is_refused(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        budget(profile.load(written(tmp_path, text)))


def test_a_node_gets_what_all_emulated_hosts_get_together() -> None:
    wanted = {"kind": "emulated", "memory": "1g", "driver_memory": "1g", "oversubscribe": True}
    granted = budget(profile.Emulated.model_validate({"name": "emulated-a", "hosts": 3, **wanted}))
    assert len(granted.daemons) == 3
    assert granted.node.memory_bytes == 4 * 2**30
    assert set(granted.node.cpus) == set().union(*(daemon.cpus for daemon in granted.daemons))
    with pytest.raises(ConfigError, match=r"asks for 4096 cores, .* lower `hosts` or `cores`"):
        budget(profile.Emulated(name="emulated-b", kind="emulated", hosts=2, cores=2048))


def test_a_node_gets_what_the_daemons_of_its_host_get_together(tmp_path: Path) -> None:
    """The question is what a cluster buys on the same hardware, so the baseline has all of it."""
    granted = budget(
        profile.load(written(tmp_path, 'kind = "standalone"\nworkers = 1\nmemory = "2g"\ndriver_memory = "1g"'))
    )
    (daemon,) = granted.daemons
    assert granted.node.memory_bytes == daemon.memory_bytes + granted.driver.memory_bytes == 3 * 2**30
    assert granted.node.cpus == daemon.cpus == granted.driver.cpus
    assert (granted.cores_of("node"), granted.cores_of("spark"), granted.oversubscribed) == (1, 1, False)


def test_more_cores_than_there_are_are_shared_and_marked_when_asked_for(tmp_path: Path) -> None:
    usable = len(os.sched_getaffinity(0))
    text = f'kind = "standalone"\nworkers = {usable + 1}\nmemory = "800m"\noversubscribe = true'
    granted = budget(profile.load(written(tmp_path, text)))
    assert granted.oversubscribed
    assert granted.cores == usable + 1
    assert len(granted.node.cpus) == usable


def test_every_profile_that_comes_along_is_valid_and_describes_itself() -> None:
    for name in profile.names():
        found = profile.load(name)
        assert found.summary
        assert found.shape
        assert found.starts_daemons == (found.kind in ("standalone", "emulated", "connect"))


@pytest.mark.parametrize("file", [".toml", "...toml", "..toml"])
def test_a_profile_without_a_name_is_refused(tmp_path: Path, file: str) -> None:
    """Its state would be another file, and the folder of its daemons the cache itself."""
    (tmp_path / file).write_text('kind = "standalone"')
    with pytest.raises(ConfigError, match="cannot be the name of a cluster"):
        profile.load(str(tmp_path / file))
