"""The packages that a record names."""

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest

from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.measure.run.origin import check_same_origin
from sparkscale.measure.worker import descriptions
from sparkscale.store.store import Store


def test_every_requirement_has_its_release_and_what_is_absent_is_null() -> None:
    """The list was kept by hand, and lacked what was added later."""
    packages = descriptions.packages()
    for name in ("pyspark", "keras", "optuna", "joblib", "scikit-learn", "xgboost", "torch"):
        assert packages[name] == importlib.metadata.version(name)
    assert packages["sparkscale"] == importlib.metadata.version("sparkscale")
    assert {"cuml-cu12", "spark-rapids-ml"} <= packages.keys()
    assert "sklearn" not in packages


def test_an_engine_is_known_by_its_import_whichever_package_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cuML comes in a package for each release of CUDA; only one of them is a requirement."""
    assert "cuml-cu13" not in descriptions.packages()
    info = tmp_path / "cuml_cu13-26.6.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cuml-cu13\nVersion: 26.6.0\n")
    (info / "top_level.txt").write_text("cuml\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    packages = descriptions.packages()
    assert packages["cuml"] == "26.6.0"
    assert packages["cuml-cu12"] is None


def test_a_resumed_run_notices_another_release_of_any_requirement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras was in no record, so a run went on with whatever release there was."""
    installed = importlib.metadata.version("keras")
    with Store.open(tmp_path / "out") as store:
        observed: dict[str, Any] = {
            "host": store.describe("host", descriptions.host()),
            "software": store.describe("software", descriptions.software(None)),
            "code": descriptions.code_state(),
        }
        origin = RunRecord.model_construct(**observed)
        before = [origin]
        check_same_origin(before, store)
        info = tmp_path / "keras-0.0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: keras\nVersion: 0.0.1\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(ConfigError, match=rf"measured with keras {installed}, not 0\.0\.1: start a new run"):
            check_same_origin(before, store)
