"""The qualities that workloads return, and the rules by which a sample counts as enough."""

from sparkscale.contract.declared import Judged, QualityFigure

AUC = QualityFigure(
    name="auc",
    heading="AUC",
    direction="higher",
    metric="auc_loss",
    metric_unit="1 - AUC",
    summary="one minus the area under the ROC curve on the hold-out",
    too_good=0.999,
    at_least=0.5,
)
LOG_LOSS = QualityFigure(
    name="log_loss",
    heading="log-loss",
    unit="nats",
    direction="lower",
    metric="log_loss",
    metric_unit="nats",
    summary="mean negative log-likelihood on the hold-out",
    skill="skill",
    constant="predicting the training rows' share of class 1",
)
OBJECTIVE = QualityFigure(
    name="objective",
    heading="objective\non its training rows",
    unit="nats",
    direction="lower",
    metric="objective",
    metric_unit="nats",
    summary="what a logistic regression minimises, per training row: how far its optimiser came",
)
RMSE = QualityFigure(
    name="rmse",
    heading="RMSE",
    unit="label units",
    direction="lower",
    metric="rmse",
    metric_unit="label units",
    summary="root of the mean squared error on the hold-out",
    skill="skill",
    constant="predicting the training rows' mean",
)
R2 = QualityFigure(
    name="r2",
    heading="R²",
    direction="higher",
    metric="r2_loss",
    metric_unit="1 - R²",
    summary="mean squared error on the hold-out over the label's variance",
    too_good=0.9999,
)
SKILL = QualityFigure(name="skill", heading="skill", direction="higher")
INERTIA = QualityFigure(
    name="inertia",
    heading="inertia",
    unit="squared deviations",
    direction="lower",
    metric="inertia",
    metric_unit="squared deviations",
    summary="mean squared distance of a hold-out row to its centre",
    skill="variance_explained",
    constant="the mean of all rows",
)
VARIANCE_EXPLAINED = QualityFigure(
    name="variance_explained",
    heading="variance explained",
    unit="share",
    direction="higher",
    metric="variance_lost",
    metric_unit="share",
    summary="one minus the share of the hold-out's variance that components or clusters explain",
    skill="variance_explained",
    constant="the mean of all rows",
)
KEPT_CELLS = QualityFigure(
    name="kept_cells",
    heading="cells kept",
    unit="share",
    direction="higher",
    metric="cells_lost",
    metric_unit="share",
    summary="cells that a pipeline of all training rows would have made otherwise",
)
KEPT_ROWS = QualityFigure(name="kept_rows", heading="rows kept whole", unit="share", direction="higher")
EQUAL_CELLS = QualityFigure(name="equal_cells", heading="cells equal to pandas'", unit="share", direction="higher")
ACCURACY = QualityFigure(
    name="accuracy",
    heading="accuracy",
    unit="share",
    direction="higher",
    metric="error_rate",
    metric_unit="share",
    summary="one minus the accuracy of the neighbours' vote",
    skill="skill",
    constant="predicting the training rows' most frequent class",
)
RECALL = QualityFigure(
    name="recall",
    heading="recall",
    unit="share",
    direction="higher",
    metric="recall_loss",
    metric_unit="1 - recall",
    summary="true neighbours that were not found",
)
GROUP_RMSE = QualityFigure(
    name="group_rmse",
    heading="RMSE",
    unit="label units",
    direction="lower",
    metric="group_rmse",
    metric_unit="label units",
    summary="root of the mean squared error, each group by its model",
    skill="group_r2",
    constant="each group's own mean",
)
GROUP_R2 = QualityFigure(name="group_r2", heading="R²", direction="higher", too_good=0.9999)
BRIER = QualityFigure(
    name="brier",
    heading="Brier score",
    unit="squared probability",
    direction="lower",
    metric="brier",
    metric_unit="squared probability",
    summary="mean squared error of a probability, each group by its model",
    skill="brier_skill",
    constant="each group's own mean",
)
BRIER_SKILL = QualityFigure(name="brier_skill", heading="its skill", direction="higher")
DIFFERENCE = QualityFigure(
    name="difference",
    heading="largest difference",
    direction="lower",
    summary="largest difference of a prediction from the reference",
)

BY_AUC = Judged(
    quality="auc",
    direction="higher",
    tolerance=0.005,
    within="an AUC within 0.005",
    estimator="auc",
    scale="logit",
    second="log_loss",
    truth="the true probabilities",
)
BY_RMSE = Judged(
    quality="rmse",
    direction="lower",
    tolerance=0.01,
    relative=True,
    within="an RMSE within 1 %",
    estimator="rmse",
    scale="log",
    form=".4g",
    given_up_form="+.2%",
    second="r2",
    truth="the true expectations",
)
BY_LOG_LOSS = Judged(
    quality="log_loss", direction="lower", tolerance=0.01, relative=True, within="a log-loss within 1 %"
)
BY_INERTIA = Judged(
    quality="inertia",
    direction="lower",
    tolerance=0.01,
    relative=True,
    within="an inertia within 1 %",
    estimator="mean_score",
    scale="log",
    form=".4g",
    given_up_form="+.2%",
    second="variance_explained",
)
BY_VARIANCE_EXPLAINED = Judged(
    quality="variance_explained",
    direction="higher",
    tolerance=0.005,
    within="a share of variance explained within 0.005",
    estimator="explained",
    second="variance_explained",
)
BY_ACCURACY = Judged(
    quality="accuracy",
    direction="higher",
    tolerance=0.01,
    within="an accuracy within 0.01",
    estimator="accuracy",
    scale="logit",
    second="recall",
)
BY_KEPT_CELLS = Judged(
    quality="kept_cells",
    direction="higher",
    tolerance=0.005,
    within="a share of cells kept within 0.5 %",
    estimator="mean_score",
    form=".2%",
    given_up_form="+.2%",
    second="kept_rows",
)
BY_GROUP_RMSE = Judged(
    quality="group_rmse", direction="lower", tolerance=0.01, relative=True, within="an RMSE within 1 %", form=".4g"
)
BY_BRIER = Judged(
    quality="brier", direction="lower", tolerance=0.01, relative=True, within="a Brier score within 1 %", form=".4g"
)
BY_DIFFERENCE = Judged(quality="difference", direction="lower", tolerance=0.0, within="no difference", form=".3g")
