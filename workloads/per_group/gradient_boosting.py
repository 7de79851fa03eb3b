"""Gradient-boosted trees, one model per group: most of the time is training, 50 ms or more per group on one thread.

All engines use XGBoost and grow the same trees, because a group's rows are in the order of their ids and one thread
sums the histograms. Only `pandas-loop` may use all cores, so its sums of floats may differ in the last digit.
"""

from typing import Any

from pydantic import Field

from workloads.base import Workload
from workloads.libraries.xgboost import DEFAULTS, OBJECTIVES, BoostedTrees, boosting_arguments, on_its_device
from workloads.per_group.engines import engines_for
from workloads.per_group.pattern import GROUPED, PER_GROUP, GroupParams
from workloads.per_group.training import Array, Job, Trainer, deadline_deferred


class GroupBoostingParams(GroupParams, BoostedTrees):
    """The parameters of a group's trees.

    Because a group has few rows, the trees learn more slowly and have larger leaves than the trees of
    data_parallel.gradient_boosting.
    """

    trees: int = Field(default=400, ge=1)
    depth: int = Field(default=4, ge=1)
    learning_rate: float = Field(default=0.015, gt=0)
    min_child_weight: float = Field(default=5.0, ge=0)


class XGBoost(Trainer):
    """xgboost.train on histograms. Categories are ordinal codes, and a model is stored as UBJSON."""

    tasks = frozenset({"classification", "regression"})
    devices = frozenset({"cpu", "gpu"})
    group_cost_rows = 2500
    defaults = DEFAULTS

    def arguments(self, params: GroupBoostingParams) -> dict[str, Any]:
        return boosting_arguments(params)

    def fit(self, job: Job, x: Array, y: Array) -> Any:
        import xgboost

        arguments = dict(job.arguments)
        rounds = arguments.pop("n_estimators")
        with deadline_deferred():
            train = xgboost.QuantileDMatrix(x, y, max_bin=arguments["max_bin"], nthread=job.threads)
        device = f"cuda:{job.gpu}" if job.device == "gpu" else "cpu"
        fixed = {"tree_method": "hist", "device": device, "nthread": job.threads, "seed": job.seed}
        return xgboost.train(
            {**fixed, "objective": OBJECTIVES[job.task], **arguments},
            train,
            num_boost_round=rounds,
            callbacks=on_its_device(job.device),
        )

    def predict(self, job: Job, model: Any, x: Array) -> Array:
        import xgboost

        # inplace_predict would compute where the rows are, which is in the host's memory
        values = model.predict(xgboost.DMatrix(x)) if job.device == "gpu" else model.inplace_predict(x)
        result: Array = values.astype(float)
        return result

    def pack(self, model: Any) -> bytes:
        return bytes(model.save_raw("ubj"))

    def unpack(self, content: bytes) -> Any:
        import xgboost

        return xgboost.Booster(model_file=bytearray(content))


WORKLOAD = Workload(
    name="per_group.gradient_boosting",
    summary="Gradient-boosted trees, a model per group",
    pattern=PER_GROUP,
    quality=GROUPED,
    params=GroupBoostingParams(),
    engines=engines_for(XGBoost),
)
