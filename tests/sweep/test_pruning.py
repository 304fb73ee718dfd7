from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from tests.tiny import OPTIONS, tiny_parts
from unroll.data.prepared import PreparedData
from unroll.exceptions import Pruned
from unroll.sweep.pruning import TrialPruning, trial_callbacks
from unroll.training.checkpoints import abandoned_without_checkpoint
from unroll.training.train import train


def study(threshold: float) -> optuna.Study:
    """Its pruner prunes any score below the threshold."""
    return optuna.create_study(direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=threshold))


def give_sweeper(monkeypatch: pytest.MonkeyPatch, **given: Any) -> None:
    sweeper = OmegaConf.create({"pruner": {"_target_": "optuna.pruners.MedianPruner"}} | given)
    monkeypatch.setattr(HydraConfig, "get", lambda: SimpleNamespace(sweeper=sweeper))


def test_a_run_that_is_no_trial_reports_nothing_whatever_its_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    give_sweeper(monkeypatch)
    assert list(trial_callbacks(OmegaConf.create())) == []


@pytest.mark.parametrize("trainer", [{"devices": 2}, {"devices": "auto"}, {}])
def test_a_training_of_perhaps_several_processes_is_not_pruned(
    monkeypatch: pytest.MonkeyPatch, trainer: dict[str, Any]
) -> None:
    give_sweeper(monkeypatch, trial=0)
    with pytest.raises(ValueError, match=r"trainer\.devices=(2|auto): .*; accepted: trainer\.devices=1, or hydra/"):
        trial_callbacks(OmegaConf.create(trainer))
    give_sweeper(monkeypatch, trial=0, pruner={"_target_": "optuna.pruners.NopPruner"})
    assert list(trial_callbacks(OmegaConf.create(trainer))) == []


def test_every_epochs_score_is_reported(reviews: PreparedData, tmp_path: Path) -> None:
    hopeful = study(threshold=0)
    callback = TrialPruning(hopeful.ask())
    result = train(reviews, tiny_parts("gru"), OPTIONS, tmp_path, callbacks=[callback])
    scores = hopeful.trials[0].intermediate_values
    assert list(scores) == [1, 2, 3]
    assert max(scores.values()) == pytest.approx(result["best_score"])


def test_a_hopeless_training_is_pruned_and_leaves_no_checkpoint(reviews: PreparedData, tmp_path: Path) -> None:
    hopeless = study(threshold=2)
    callback = TrialPruning(hopeless.ask())
    with pytest.raises(Pruned, match=r"pruned after epoch 1: val/accuracy"), abandoned_without_checkpoint(tmp_path):
        train(reviews, tiny_parts("gru"), OPTIONS, tmp_path, callbacks=[callback])
    assert list(hopeless.trials[0].intermediate_values) == [1]
    assert not (tmp_path / "checkpoints").exists()


def test_a_score_that_was_reported_before_a_kill_is_not_reported_again() -> None:
    trial = study(threshold=0).ask()
    trial.report(0.25, 1)
    callback = TrialPruning(trial)
    trainer: Any = SimpleNamespace(current_epoch=0, callback_metrics={"val/f1": 0.5})
    callback.on_validation_end(trainer, SimpleNamespace(monitor="val/f1"))  # type: ignore[arg-type]
    assert trial.study.trials[0].intermediate_values == {1: 0.25}
