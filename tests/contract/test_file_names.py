"""Names that become the names of files and folders."""

import pytest

from sparkscale.contract.errors import ConfigError
from sparkscale.contract.file_names import LONGEST, checked, folder_name


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "../up", "a/b", "/etc", "two\nlines", "nul\0", "n" * 101])
def test_what_would_lie_elsewhere_is_no_name(name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be the name of a cluster|name of the cluster .* is longer"):
        checked("cluster", name)


@pytest.mark.parametrize("name", ["local", "my cluster", "größe_漢字", "v1.2", "n" * LONGEST])
def test_any_other_name_is_kept(name: str) -> None:
    assert checked("cluster", name) == name


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("flights", "flights"),
        ("größe_漢字", "gr--e_--"),
        ("a/b [v1] {x}", "a-b--v1---x-"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("n" * 247, "n" * LONGEST),
    ],
)
def test_a_folders_name_is_ascii_and_short(text: str, folder: str) -> None:
    assert folder_name(text) == folder
