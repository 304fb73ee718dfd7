"""The job's side of a study: it says which process it is, and gives up where its scores leave no hope."""

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from optuna.pruners import NopPruner
from optuna.trial import Trial
from pytorch_lightning import Callback, LightningModule, Trainer

from unroll.sweep.heartbeat import heartbeat
from unroll.sweep.outcomes import Pruned
from unroll.sweep.owner import this_process
from unroll.sweep.studies import WORKER, load_study


@contextmanager
def trial_callbacks(devices: int) -> Iterator[list[Callback]]:
    """For a job that is a trial of a study, what reports its scores, and a heartbeat; nothing for any other.

    Raises:
        ValueError: the training is shared by several processes, which cannot give up together.
    """
    sweeper = HydraConfig.get().sweeper
    if sweeper.get("trial") is None:
        yield []
        return
    study = load_study(sweeper.study, sweeper.storage)
    study.pruner = instantiate(sweeper.pruner)
    (trial,) = (Trial(study, one._trial_id) for one in study.get_trials(deepcopy=False) if one.number == sweeper.trial)
    trial.set_user_attr(WORKER, this_process())
    is_pruned = not isinstance(study.pruner, NopPruner)
    if is_pruned and devices != 1:
        raise ValueError(
            f"trainer.devices={devices}: a training of several processes cannot be pruned; "
            "accepted: trainer.devices=1, or hydra/sweeper/pruner=none"
        )
    with heartbeat([trial]):
        yield [TrialPruning(trial)] if is_pruned else []


class TrialPruning(Callback):
    """Reports the validation score of each epoch to the study, and ends the training where its pruner says so.

    Raises:
        Pruned: from within the training.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._reported = set(trial.study.trials[trial.number].intermediate_values)  # before it was killed

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        epoch, monitor = trainer.current_epoch + 1, str(module.monitor)
        score = float(trainer.callback_metrics[monitor])
        if epoch not in self._reported:
            self._trial.report(score, epoch)
        if self._trial.should_prune():
            raise Pruned(f"given up after epoch {epoch}: {monitor} {score:.4f}")
