"""Cluster profiles: what they grant, and what is wrong with a bad one."""

import os
from pathlib import Path

import psutil
import pytest

from cluster import profile
from sparkscale.contract.errors import ConfigError


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_local_grants_every_usable_core() -> None:
    budget = profile.budget(profile.load("local"))
    assert set(budget.cpus) == os.sched_getaffinity(0)
    assert budget.heap_bytes < budget.memory_bytes < psutil.virtual_memory().total


def test_a_users_profile_is_read_by_path(tmp_path: Path) -> None:
    found = profile.load(written(tmp_path, 'kind = "local"\ncores = 1\nmemory = "512m"\n[conf]\n"spark.a" = "b"\n'))
    assert (found.name, found.conf) == ("mine", (("spark.a", "b"),))
    assert profile.budget(found).memory_bytes == 512 * 2**20
    assert profile.budget(found).cores == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind = ", r"mine\.toml is no valid TOML: .+"),
        ('kind = "moon"', r"mine\.toml: kind: .*'local'"),
        ('kind = "local"\nmemory = "lots"', r"mine\.toml: memory: .*75%"),
        ('kind = "local"\ncoers = 2', r"mine\.toml: coers: .*not permitted"),
    ],
)
def test_a_bad_profile_is_named_with_its_fault(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        profile.load(written(tmp_path, text))


def test_an_unknown_profile_names_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"Unknown cluster 'moon': choose from local"):
        profile.load("moon")


@pytest.mark.parametrize(("text", "what"), [("cores = 4096", "4096 cores"), ('memory = "9999g"', "9999g of memory")])
def test_more_than_the_host_has_is_refused(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        profile.budget(profile.load(written(tmp_path, f'kind = "local"\n{text}')))
