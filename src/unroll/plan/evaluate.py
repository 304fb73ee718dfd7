"""Evaluates one run: from the configuration to test scores in the run folder and in MLflow."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from unroll.config import build_options
from unroll.data.prepared import PreparedData
from unroll.locks import run_lock
from unroll.plan.fingerprint import evaluation_inputs
from unroll.run_folder import RunFolder


@dataclass(frozen=True)
class Evaluation:
    """An evaluation, given by the resolved configuration of the evaluate stage."""

    config: dict[str, Any]

    @property
    def folder(self) -> RunFolder:
        return RunFolder(Path(self.config["run"]))

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Checksums of everything that the evaluation depends on, computed at the first use."""
        return evaluation_inputs(self.config, PreparedData(Path(self.config["data"])), self.folder)


def evaluate_run(evaluation: Evaluation, keep: bool = False) -> dict[str, float]:
    """Score a trained model on the test split; return the metrics. Wait for a training in the same folder.

    Args:
        keep: keep the results with those of the training.
    """
    from unroll.evaluation.evaluate import EvaluateOptions, evaluate
    from unroll.inference.model_folder import CONFIG, is_network
    from unroll.nn.devices import announce, choose
    from unroll.tracking.offline import tolerating
    from unroll.tracking.upload import upload

    data, folder = PreparedData(Path(evaluation.config["data"])), evaluation.folder
    options = build_options(EvaluateOptions, evaluation.config)
    with run_lock(folder.path, wait=True):
        inputs = evaluation.inputs  # before the model is read
        if not keep and (folder.model / CONFIG).exists() and is_network(folder.model):
            announce(choose(options.device), options.device)
        folder.discard_evaluation()
        metrics = evaluate(data, folder.path, options)
        folder.stamp("evaluated", inputs)
        if keep:
            folder.keep()
        with tolerating(f"the evaluation in {folder.path}"):
            upload(folder.path)
    return metrics
