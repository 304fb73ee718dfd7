"""Logs the scores of each epoch to an MLflow run."""

import time
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from unroll.tracking.offline import is_store_error, log, reason
from unroll.tracking.runs import TrackedRun


class EpochLogger(Logger):
    """A Lightning logger that logs the scores of an epoch with the epoch, counted from 1, as the step.

    After the first error of the store, which `is_lost` records, nothing more is logged and the training continues;
    `unroll.tracking.upload` logs the missing epochs from ``history.csv``.
    """

    def __init__(self, run: TrackedRun) -> None:
        super().__init__()
        self._uri = run.client.tracking_uri  # a client cannot be pickled, so each process creates one
        self._run_id = run.run_id
        self.is_lost = False

    @property
    def name(self) -> str:
        return "mlflow"

    @property
    def version(self) -> str:
        return self._run_id

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the parameters are logged when the run is created."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if self.is_lost:
            return
        now, epoch = int(time.time() * 1000), int(metrics["epoch"]) + 1
        points = [Metric(name, value, now, epoch) for name, value in metrics.items() if name != "epoch"]
        try:
            MlflowClient(self._uri).log_batch(self._run_id, metrics=points)
        except Exception as error:
            if not is_store_error(error):
                raise
            self.is_lost = True
            log.warning("warning: MLflow fails (%s); training continues without it", reason(error))
