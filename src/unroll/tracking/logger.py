"""Lightning's scores, epoch by epoch, in an MLflow run."""

import time
from argparse import Namespace
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from unroll.tracking.offline import is_of_the_store, log, reason
from unroll.tracking.runs import TrackedRun


class EpochLogger(Logger):
    """Logs an epoch's scores with the epoch, from 1, as their step.

    Where the store fails once, it is not asked again: training goes on, and `unroll.tracking.upload` fills the gap
    from history.csv. A client is made in each process, for none can be sent to one.

    Attributes:
        is_lost: whether it failed.
    """

    def __init__(self, run: TrackedRun) -> None:
        super().__init__()
        self._uri = run.client.tracking_uri
        self._run_id = run.run_id
        self.is_lost = False

    @property
    def name(self) -> str:
        return "mlflow"

    @property
    def version(self) -> str:
        return self._run_id

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The run has them already."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if self.is_lost:
            return
        now, epoch = int(time.time() * 1000), int(metrics["epoch"]) + 1
        points = [Metric(name, value, now, epoch) for name, value in metrics.items() if name != "epoch"]
        try:
            MlflowClient(self._uri).log_batch(self._run_id, metrics=points)
        except Exception as error:
            if not is_of_the_store(error):
                raise
            self.is_lost = True
            log.warning("warning: MLflow fails (%s); training goes on without it", reason(error))
