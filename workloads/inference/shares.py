"""Divides row groups among processes. Each process reads, predicts and writes its own share."""

from sparkscale.contract.dataset import ROW
from workloads.inference.job import Job
from workloads.inference.output import Output
from workloads.io.filesystem import RowGroup


def even_shares(groups: list[RowGroup], shares: int) -> list[list[RowGroup]]:
    """Divides row groups into at most `shares` lists with about the same number of rows.

    Within each list, row groups keep their order.
    """
    numbers_of_shares: list[list[int]] = [[] for _ in range(min(shares, len(groups)))]
    rows = [0] * len(numbers_of_shares)
    for number in sorted(range(len(groups)), key=lambda number: -groups[number].rows):
        smallest = rows.index(min(rows))
        numbers_of_shares[smallest].append(number)
        rows[smallest] += groups[number].rows
    return [[groups[number] for number in sorted(numbers)] for numbers in numbers_of_shares]


def write_share(job: Job, output: Output, share: list[RowGroup]) -> str:
    """Loads the model, predicts a share of the row groups, and writes one part. Returns the part's name.

    Runs in a Spark task or in a process of joblib.
    """
    predictor = job.predictor()
    columns = [ROW, *job.data.features]
    return output.write(job.predicted(predictor, group.read(columns)) for group in share)
