"""The per-group pattern: its parameters and phases, the outcomes of groups, and the quality of the models."""

from typing import Any, ClassVar, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute
from pydantic import Field

from sparkscale.contract.case import Capacity, ParameterSet, Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import Grouping, PreparedDataset
from sparkscale.contract.declared import Figure
from sparkscale.contract.errors import DatasetError, InvalidResult
from sparkscale.contract.record import GROUPS
from workloads.base import CPU_AND_GPU, Engine, Params, Pattern, Quality, Sample
from workloads.io.execution_folders import sweep
from workloads.io.filesystem import files_below
from workloads.per_group import results
from workloads.per_group.group_rows import has_time
from workloads.per_group.groups import Groups, grouping_named, groups_of, sizes_of
from workloads.per_group.training import GroupOutcome, Job, Scale, Trainer
from workloads.quality.qualities import BRIER, BRIER_SKILL, BY_BRIER, BY_GROUP_RMSE, GROUP_R2, GROUP_RMSE

MIB = 2**20


class GroupParams(Params):
    """The parameters of every per-group workload.

    `by` names a grouping of the data set. If it is empty, the first grouping is used.
    """

    by: str = ""
    deadline_seconds: float = Field(default=60.0, gt=0)
    """The time limit for one group, from its rows to its scored model."""
    most_model_bytes: int = Field(default=16 * MIB, ge=1)
    most_memory_share: float = Field(default=0.25, gt=0, le=1)
    """The largest share of an executor's memory that a group may need. A group that needs more is refused, and its
    rows are not shuffled.
    """


SHARED = frozenset(GroupParams.model_fields)


def rows_of_groups(data: PreparedDataset, params: GroupParams, fraction: float, sample_seed: int) -> int:
    """Returns the number of training rows in the sample's groups.

    Returns 0 if the data set lacks the grouping that `params.by` names. Then the engine's `obstacle` gives the
    reason.
    """
    if grouping_named(data, params.by) is None:
        return 0
    groups = groups_of(data, params.by, fraction, sample_seed)
    return int(groups.sizes.train[groups.codes].sum())


FIGURES = (
    Figure(name="groups", unit="groups"),
    Figure(name="models", unit="models"),
    *(
        Figure(name=f"groups_{outcome.replace(' ', '_')}", unit="groups", direction="lower")
        for outcome in get_args(GroupOutcome)
        if outcome != "ok"
    ),
    *(Figure(name=f"group_rows_{which}", unit="rows") for which in ("least", "median", "most")),
    Figure(name="group_seconds_median", unit="s", direction="lower"),
    Figure(name="group_seconds_most", unit="s", direction="lower"),
    Figure(name="training_seconds", unit="s", direction="lower"),
    Figure(name="model_bytes", unit="bytes", direction="lower"),
    Figure(name="busy_seconds", unit="s", direction="lower"),
    Figure(name="layout_bytes", unit="bytes", direction="lower"),
    Figure(name="tasks", unit="tasks"),
    Figure(
        name="task_skew",
        unit="ratio",
        direction="lower",
        summary="the longest task's seconds over the mean task's",
        metric=True,
    ),
)

PER_GROUP = Pattern(
    name="per_group",
    phases=("layout", "load", "fit"),
    time_to_model=("load", "fit"),
    tables=(GROUPS,),
    report="per_group",
    figures=FIGURES,
    rows=rows_of_groups,
    within_groups=True,
)


class GroupEngine(Engine):
    """An engine of this pattern: one way to bring groups to a trainer. `made_for` binds it to a trainer.

    The phases are `layout`, `load` and `fit`. `layout` writes the rows by group; in most engines it does nothing.
    `fit` returns the folder with the results and models, in the form that the module `results` writes.
    """

    devices = CPU_AND_GPU
    trainer: ClassVar[type[Trainer]]
    lays_out: ClassVar[bool] = False
    """If true, the engine has a layout that can be used several times."""

    @classmethod
    def traits(cls) -> frozenset[str]:
        return super().traits() | ({"lays_out"} if cls.lays_out else frozenset())

    @classmethod
    def made_for(cls, trainer: type[Trainer]) -> "type[GroupEngine]":
        """Returns this engine bound to a trainer."""
        return cls.specialised(trainer, trainer=trainer)

    def arguments(self, params: Any, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return self.trainer().arguments(params)

    def layout(self, run: Context) -> Any:
        """Writes the rows by group, and returns their location. Most engines do nothing and return None."""

    def case_params(
        self, parameter_set: ParameterSet, params: Params, sample: Sample, capacity: Capacity | None = None
    ) -> dict[str, Any]:
        """Returns the `params` of a case. Every parameter set has the parameters of GroupParams.

        An empty `by` is replaced by the first grouping.
        """
        shared = params.model_dump(include=set(SHARED))
        shared["by"] = shared["by"] or next(iter(sample.groupings), "")
        return {**super().case_params(parameter_set, params, sample, capacity), **shared}

    @classmethod
    def obstacle(cls, data: PreparedDataset, params: Any, fraction: float, sample_seed: int) -> str | None:
        grouping = grouping_named(data, params.by)
        if grouping is None:
            offered = ", ".join(offered_grouping.name for offered_grouping in data.groupings)
            missing = f"no grouping '{params.by}'" if params.by else "no groups"
            return f"{data.name} has {missing}: " + (
                f"choose `by` from {offered}" if offered else "name the column of a table with --group"
            )
        if cls.trainer.needs_time and not has_time(data):
            return (
                f"{data.name} has no time column, and a forecast needs one: name the table's time column with --time"
            )
        sizes = sizes_of(data, grouping)
        if not cls.trainer.own_holdout and not np.any((sizes.train > 0) & (sizes.holdout > 0)):
            return (
                f"whole groups of {data.name} are held out, so no group's model could be judged: "
                "use --holdout random, or name a time column with --time"
            )
        rows = sizes.rows[groups_of(data, params.by, fraction, sample_seed).codes]
        if rows.max() < grouping.min_rows:
            return (
                f"each of the {len(rows):,} groups is too small: the largest has {rows.max():,} rows, and at least "
                f"{grouping.min_rows} are needed"
            )
        return super().obstacle(data, params, fraction, sample_seed)


def case_groups(run: Context) -> Groups:
    """Returns the groups of the case. Groups that need too much of an executor's memory are refused."""
    share = float(run.case.params["most_memory_share"])
    memory = run.executor_memory_bytes
    most = float("inf") if memory is None else share * memory
    return groups_of(run.data, str(run.case.params["by"]), run.case.fraction, run.case.sample_seed, most)


def job_of(run: Context, trainer: type[Trainer], grouping: Grouping, threads: int, in_task: bool) -> Job:
    """Returns the job that every training process gets.

    If `in_task` is true, the processes run Spark tasks, and must bind their GPU themselves.
    """
    params = run.case.params
    return Job(
        trainer=trainer,
        task=run.data.task,
        device=run.case.device,
        arguments=run.arguments,
        features=tuple(run.data.features) if trainer.uses_features else (),
        group=grouping.column,
        has_time=has_time(run.data),
        scale=scale_of(run.data),
        seed=run.case.model_seed,
        threads=threads,
        min_rows=grouping.min_rows,
        deadline_seconds=float(params["deadline_seconds"]),
        most_model_bytes=int(params["most_model_bytes"]),
        bind_gpu=run.bind_gpu if in_task and run.case.device == "gpu" else None,
    )


def scale_of(data: PreparedDataset) -> Scale:
    """Returns the mean and standard deviation of each feature over the training rows.

    For a category, mean and standard deviation are computed as if all codes were equally frequent.
    """
    mean, std = [], []
    for column in data.columns:
        levels = len(column.vocabulary)
        is_numeric = column.kind == "numeric"
        mean.append(column.mean if is_numeric else (levels - 1) / 2)
        std.append((column.std if is_numeric else float(np.sqrt((levels**2 - 1) / 12))) or 1.0)
    return Scale(np.array(mean), np.array(std))


def check(run: Context) -> None:
    """Removes the files that earlier executions of this case left. Runs before any clock starts.

    Raises DatasetError if every group is too large for an executor.
    """
    groups = case_groups(run)
    if not len(groups.trained):
        raise DatasetError(f"No group can be trained: {_refusal(run, groups, int(groups.refused[0]))}.")
    sweep(run, results.MODELS)
    sweep(run, results.LAYOUTS)


QUALITY_NAMES: dict[Task, tuple[str, str]] = {
    "regression": ("group_rmse", "group_r2"),
    "classification": ("brier", "brier_skill"),
}
"""The two qualities of each learning task.

The first quality comes from the mean squared error over all held-out rows, if each row is predicted by its group's
model. In a classification it is this error (Brier, Verification of forecasts expressed in terms of probability,
1950). In a regression it is the square root. The second quality is one minus a ratio: the mean squared error
divided by the error of predicting each group's training mean.
"""


def score(run: Context, folder: str) -> dict[str, float]:
    """Stores the table of groups, and adds figures. Returns the qualities over all groups that have a model.

    QUALITY_NAMES has their names. The second one is 0 or less if the models together are no better than the mean of
    each group's training rows. Raises
    InvalidResult if a group has no result or several results, if a group did not get exactly its own rows, or if no
    group has a model.
    """
    groups = case_groups(run)
    table = results.read(folder).sort_by("group")
    codes = table.column("group").to_numpy()
    if not np.array_equal(codes, groups.trained):
        raise InvalidResult(
            f"Each of {len(groups.trained):,} groups must have one result, but there are {len(codes):,} results of "
            f"{len(np.unique(codes)):,} groups."
        )
    _check_rows(table, groups)
    table = pa.concat_tables([table, _refused(run, groups, table.schema)]).sort_by("group")
    keys = pa.array(groups.sizes.keys[table.column("group").to_numpy()], pa.string())
    run.table(GROUPS, table.add_column(0, "key", keys))
    _figures(run, table, groups)
    return _quality(run, table)


def _check_rows(table: pa.Table, groups: Groups) -> None:
    """Raises InvalidResult if the trainer got fewer or more rows of a group than the group has."""
    codes = table.column("group").to_numpy()
    given = [table.column(name).to_numpy() for name in ("given_rows", "given_holdout_rows")]
    known = [groups.sizes.train[codes], groups.sizes.holdout[codes]]
    wrong = np.flatnonzero((given[0] != known[0]) | (given[1] != known[1]))
    if len(wrong):
        first = wrong[0]
        raise InvalidResult(
            f"{len(wrong):,} of {len(codes):,} groups did not get all of their rows, or got too many: "
            f"{groups.sizes.keys[codes[first]]} got {given[0][first]:,} training rows and {given[1][first]:,} "
            f"held-out rows, but has {known[0][first]:,} and {known[1][first]:,}."
        )


def _refusal(run: Context, groups: Groups, code: int) -> str:
    """Returns the reason why a group is too large to be trained, with the group's key and size."""
    share, memory = float(run.case.params["most_memory_share"]), run.executor_memory_bytes or 0
    needed = groups.bytes_of(code, len(run.data.columns))
    return (
        f"group {groups.sizes.keys[code]} has {int(groups.sizes.rows[code]):,} rows and needs about "
        f"{needed / MIB:,.0f} MiB, more than {share:.0%} of an executor's {memory / MIB:,.0f} MiB: not shuffled"
    )


def _refused(run: Context, groups: Groups, schema: pa.Schema) -> pa.Table:
    """Returns a table with one row for each refused group, with the reason."""
    rows = [
        {
            "group": int(code),
            "rows": int(groups.sizes.train[code]),
            "holdout_rows": int(groups.sizes.holdout[code]),
            "given_rows": 0,
            "given_holdout_rows": 0,
            "outcome": "refused",
            "error": _refusal(run, groups, code),
            "busy_seconds": 0.0,
        }
        for code in groups.refused
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def _figures(run: Context, table: pa.Table, groups: Groups) -> None:
    """Adds figures from the table of groups: numbers and sizes of groups, and times of groups and tasks."""
    outcomes = table.column("outcome").to_numpy(zero_copy_only=False)
    run.figure("groups", len(outcomes))
    run.figure("models", int((outcomes == "ok").sum()))
    for outcome in np.unique(outcomes[outcomes != "ok"]):
        run.figure(f"groups_{outcome.replace(' ', '_')}", int((outcomes == outcome).sum()))
    rows = groups.sizes.rows[groups.codes]
    for name, value in (("least", rows.min()), ("median", np.median(rows)), ("most", rows.max())):
        run.figure(f"group_rows_{name}", float(value))
    fit_seconds = table.column("seconds").drop_null().to_numpy()
    if len(fit_seconds):
        run.figure("group_seconds_median", float(np.median(fit_seconds)))
        run.figure("group_seconds_most", float(fit_seconds.max()))
        run.figure("training_seconds", float(fit_seconds.sum()))
        run.figure("model_bytes", float(np.sum(table.column("model_bytes").drop_null().to_numpy())))
    run.figure("busy_seconds", float(np.sum(table.column("busy_seconds").to_numpy())))
    layout_bytes = sum(info.size or 0 for info in files_below(results.layout_folder(run)))
    if layout_bytes:
        run.figure("layout_bytes", layout_bytes)
    trained = table.filter(pa.compute.is_valid(table.column("task")))
    task_seconds = trained.group_by("task").aggregate([("busy_seconds", "sum")]).column("busy_seconds_sum").to_numpy()
    if len(task_seconds):
        run.figure("tasks", len(task_seconds))
        run.figure("task_skew", float(task_seconds.max() / task_seconds.mean()) if task_seconds.mean() else 1.0)


def _quality(run: Context, table: pa.Table) -> dict[str, float]:
    with_model = table.filter(pa.compute.equal(table.column("outcome"), "ok"))
    if not with_model.num_rows:
        first = table.column("error").drop_null().to_pylist()[:1]
        raise InvalidResult(f"None of the {table.num_rows:,} groups has a model; the first says: {''.join(first)}.")
    weight = with_model.column("holdout_rows").to_numpy()
    error, constant = (
        float(np.average(with_model.column(name).to_numpy(), weights=weight))
        for name in ("squared_error", "constant_squared_error")
    )
    skill = 1 - error / constant if constant else 0.0
    first, second = QUALITY_NAMES[run.data.task]
    return {first: error if run.data.task == "classification" else float(np.sqrt(error)), second: skill}


GROUPED = Quality(
    score,
    {"classification": BY_BRIER, "regression": BY_GROUP_RMSE},
    (BRIER, BRIER_SKILL, GROUP_RMSE, GROUP_R2),
    check=check,
)
