"""Forecasts judged on curves that others measured, and on made-up ones whose shape is known."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sparkscale.analysis.questions import learning_curve
from sparkscale.cli.main import app
from sparkscale.contract.errors import ConfigError
from sparkscale.evidence import learning_curves

PUBLIC = Path(__file__).parents[3] / "shared" / "data" / "learning-curves" / "lcdb11.csv"


@pytest.mark.skipif(not PUBLIC.exists(), reason=f"{PUBLIC} is not here")
def test_forecasts_of_public_curves_hold_on_the_half_that_did_not_calibrate_them() -> None:
    judged = learning_curves.judged(learning_curves.read(PUBLIC), 4)
    assert len(judged.measured) > 300
    assert 0.85 <= judged.covered(learning_curve.CALIBRATION, False) <= 0.95
    assert judged.factor == pytest.approx(learning_curve.CALIBRATION, abs=0.051)
    assert judged.errors(judged.forecast)[0] < 0.006 < judged.errors(judged.last)[0]


def test_a_file_that_is_no_table_of_curves_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text("dataset,learner,rows,error_rate,standard_error\na,b,10,0.5,0.1\na,b,x,0.4,0.1\n")
    with pytest.raises(ConfigError, match=r"curves.csv, line 3: the columns dataset, learner, rows"):
        learning_curves.read(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        learning_curves.read(tmp_path / "absent.csv")


def test_the_command_prints_a_row_for_each_multiple(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    lines = [",".join(learning_curves.COLUMNS)]
    for dataset in range(8):
        for rows in 16 * 2 ** np.arange(9):
            error = 0.1 + rows**-0.5 + 0.001 * generator.standard_normal()
            lines.append(f"d{dataset},tree,{rows},{error:.4f},0.001")
    path = tmp_path / "curves.csv"
    path.write_text("\n".join(lines))
    done = CliRunner().invoke(app, ["evidence", "curves", str(path)])
    assert done.exit_code == 0, done.output
    assert "4 × the rows" in done.output
    assert "2 × the rows" in done.output
