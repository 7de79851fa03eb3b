"""The grid that a run has on its data, and the executions behind its cells."""

from pathlib import Path

import pytest

from sparkscale.analysis.questions.decide.costs import Costs
from sparkscale.analysis.questions.decide.grid import Piece
from sparkscale.contract.errors import ConfigError
from sparkscale.decide.grid import UNKNOWN_CLUSTER_SECONDS, RunGrid, executions_of, grid_of
from sparkscale.measure.run.run import Request, open_run
from tests.measure.observing import Silent

DATA = """
rounds = 4
[dataset.small]
kind = "classification"
rows = {rows}
features = 4
"""
BLOCK = """
[[measure]]
workload = "data_parallel.logistic_regression"
datasets = ["small"]
"""
TWO_SIZES = f'{BLOCK}engines = ["sklearn", "mllib"]\nfractions = ["1/64", "1"]\n'
ONE_THREAD = f'{BLOCK}engines = ["sklearn"]\nrounds = 2\nthreads = 1\n'
ISOLATED = f'{BLOCK}engines = ["sklearn"]\nisolate = true\n'
SMALL_ONLY = f'{BLOCK}engines = ["sklearn", "mllib"]\nfractions = ["1/64"]\n'


def grid(folder: Path, *blocks: str, rows: int = 4000) -> RunGrid:
    path = folder / "grid.toml"
    path.write_text(DATA.format(rows=rows) + "".join(blocks))
    request = Request(suite=str(path), out=folder / "out", command="decide")
    with open_run(request, Silent) as run:
        assert run.invocation.executions == 0
        return grid_of(run.invocation, run.plan, run.data)


def test_cells_are_cases_without_seeds_and_without_isolated_ones(tmp_path: Path) -> None:
    found = grid(tmp_path, TWO_SIZES, ONE_THREAD, ISOLATED)
    described = [
        (cell.engine, cell.fraction, cell.threads, cell.rounds, bool(cell.unsupported)) for cell in found.cells
    ]
    cores = max(cell.cores for cell in found.cells)
    assert sorted(described) == sorted(
        [
            ("sklearn", 1 / 64, cores, 4, False),
            ("sklearn", 1.0, cores, 4, False),
            ("mllib", 1 / 64, 1, 4, False),
            ("mllib", 1.0, 1, 4, False),
            ("sklearn", 1.0, 1, 2, False),
        ]
    )
    assert executions_of(found.cells) == 4 * 4 + 2
    assert {cell.cores for cell in found.cells if cell.threads == 1 and cell.placement == "node"} == {1}
    node, spark = ({cell.worker for cell in found.cells if cell.placement == place} for place in ("node", "spark"))
    assert not node & spark


def test_a_piece_is_the_execution_of_its_round(tmp_path: Path) -> None:
    found = grid(tmp_path, TWO_SIZES, ONE_THREAD, ISOLATED)
    pieces = [Piece(found.cells[0], 2), Piece(found.cells[1], 3)]
    ((profile, executions),) = found.chosen(pieces)
    assert profile.name == "local"
    assert [(one.case.experiment, one.round) for one in executions] == [
        (piece.cell.key, piece.round) for piece in pieces
    ]
    assert [one.case.sample_seed for one in executions] == [2, 3]


def test_cells_that_cannot_run_keep_their_reason(tmp_path: Path) -> None:
    found = grid(tmp_path, TWO_SIZES, rows=1000)
    unsupported = [cell for cell in found.cells if cell.unsupported]
    assert {cell.fraction for cell in unsupported} == {1 / 64}
    assert all("too few" in cell.unsupported for cell in unsupported)
    assert executions_of(found.cells) == 4 * 2
    ((_, executions),) = found.unsupported()
    assert {one.round for one in executions} == {1}
    assert len(executions) == len(unsupported)


def test_a_suite_of_isolated_cases_only_has_no_grid(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has only cases in workers of their own"):
        grid(tmp_path, ISOLATED)


def test_a_grid_on_which_nothing_can_run_names_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No engine of the suite grid can run here\. sklearn: .*; mllib: "):
        grid(tmp_path, SMALL_ONLY, rows=1000)


def test_daemons_that_do_not_run_cost_their_start(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(f'clusters = ["local", "standalone-1x1"]\n{DATA.format(rows=4000)}{TWO_SIZES}')
    with open_run(Request(suite=str(path), out=tmp_path / "out", command="decide"), Silent) as run:
        found = grid_of(run.invocation, run.plan, run.data)
        starting = found.starting(run)
    assert starting == {"standalone-1x1": UNKNOWN_CLUSTER_SECONDS}
    running, stopped = Costs(found.cells), Costs(found.cells, clusters=starting)
    for cell in found.cells:
        is_more = (cell.placement, cell.cluster) == ("spark", "standalone-1x1")
        more = stopped.predicted([Piece(cell, 1)])[0] - running.predicted([Piece(cell, 1)])[0]
        assert more == pytest.approx(UNKNOWN_CLUSTER_SECONDS if is_more else 0)


def test_a_worker_that_waits_saves_its_start_and_its_warm_ups(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(DATA.format(rows=4000) + TWO_SIZES)
    request = Request(suite=str(path), out=tmp_path / "out", command="decide")
    with open_run(request, Silent, keeps_worker=True) as run:
        found = grid_of(run.invocation, run.plan, run.data)
        assert found.waiting(run) is None
        node = [cell for cell in found.cells if cell.placement == "node"]
        for profile, executions in found.chosen([Piece(node[0], 2)]):
            run.measure(profile, executions)
        waiting = found.waiting(run)
        records = run.store.records(run.invocation.id)
    assert waiting is not None
    assert (waiting.round, waiting.cluster, waiting.worker) == (2, "local", node[0].worker)
    assert waiting.warm == {cell.key for cell in node}

    def seconds(piece: Piece, costs: Costs) -> float:
        return costs.predicted([piece])[0]

    cold, warm = Costs(found.cells, records), Costs(found.cells, records, waiting)
    assert seconds(Piece(node[1], 2), warm) == cold.of_cell(node[1])[0] < seconds(Piece(node[1], 2), cold)
    for elsewhere in (Piece(node[1], 3), Piece(next(c for c in found.cells if c.placement == "spark"), 2)):
        assert seconds(elsewhere, warm) == seconds(elsewhere, cold)
