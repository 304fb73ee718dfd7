"""Pruning: a training ends early when its validation scores are unpromising next to those of its study."""

from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig
from optuna.pruners import NopPruner
from optuna.trial import Trial
from pytorch_lightning import Callback, LightningModule, Trainer

from unroll.exceptions import Pruned
from unroll.sweep.trials import load_trial


def trial_callbacks(trainer: DictConfig) -> Sequence[Callback]:
    """The Lightning callback that prunes this job, if it is a trial of a study with a pruner.

    Raises:
        ValueError: the training may use several processes, which cannot be pruned together.
    """
    sweeper = HydraConfig.get().sweeper
    if sweeper.get("trial") is None or isinstance(pruner := instantiate(sweeper.pruner), NopPruner):
        return []
    devices = trainer.get("devices", "auto")
    if devices != 1:
        raise ValueError(
            f"trainer.devices={devices}: a training of several processes cannot be pruned; "
            "accepted: trainer.devices=1, or hydra/sweeper/pruner=none"
        )
    trial = load_trial(sweeper)
    trial.study.pruner = pruner
    return [TrialPruning(trial)]


class TrialPruning(Callback):
    """Reports the validation score of each epoch to the trial; raises `Pruned` if the study's pruner asks for it."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._reported = set(trial.study.trials[trial.number].intermediate_values)  # before an interruption

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        epoch, monitor = trainer.current_epoch + 1, str(module.monitor)
        score = float(trainer.callback_metrics[monitor])
        if epoch not in self._reported:
            self._trial.report(score, epoch)
        if self._trial.should_prune():
            raise Pruned(f"pruned after epoch {epoch}: {monitor} {score:.4f}")
