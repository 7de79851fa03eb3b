"""Row groups dealt out to processes that each read, predict and write their own."""

from sparkscale.contract.dataset import ROW
from workloads.inference.job import Job
from workloads.inference.output import Output
from workloads.io.filesystem import RowGroup


def dealt(groups: list[RowGroup], shares: int) -> list[list[RowGroup]]:
    """Row groups in at most so many shares of about as many rows; those of a share in their order."""
    found: list[list[int]] = [[] for _ in range(min(shares, len(groups)))]
    rows = [0] * len(found)
    for number in sorted(range(len(groups)), key=lambda number: -groups[number].rows):
        least = rows.index(min(rows))
        found[least].append(number)
        rows[least] += groups[number].rows
    return [[groups[number] for number in sorted(share)] for share in found]


def write_share(job: Job, output: Output, share: list[RowGroup]) -> str:
    """A task: loads the model, and writes the predictions of a share as one part; returns the part's name."""
    predictor = job.predictor()
    columns = [ROW, *job.data.features]
    return output.write(job.predicted(predictor, group.read(columns)) for group in share)
