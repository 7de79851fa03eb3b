"""`sparkscale gate`: requests that are wrong, before anything is measured."""

import pytest

from sparkscale.cli.options import duration
from sparkscale.contract.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("1.5h", 5400), (" 1H1M1S ", 3661)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration(text, "--within") == seconds


@pytest.mark.parametrize("text", ["", "20", "m", "20 minutes", "-5m", "30m1h", "0s", "0h0m", "1,5h", "nan s"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        duration(text, "--within")
    assert str(raised.value) == f"--within {text} is no duration: write it like 90s, 20m or 1h30m."
