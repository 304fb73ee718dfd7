"""Evaluates one run: from the configuration to test scores in the run folder and in MLflow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unroll.config.build import build_options
from unroll.data.prepared import PreparedData
from unroll.plan.fingerprint import evaluation_inputs
from unroll.run_folder import RunFolder


@dataclass(frozen=True)
class Evaluation:
    """An evaluation, given by the resolved configuration of the evaluate stage."""

    config: dict[str, Any]

    @property
    def folder(self) -> RunFolder:
        return RunFolder(Path(self.config["run"]))

    def inputs(self) -> dict[str, str]:
        """Checksums of everything that the evaluation depends on."""
        return evaluation_inputs(self.config, PreparedData(Path(self.config["data"])), self.folder)


def evaluate_run(evaluation: Evaluation) -> dict[str, float]:
    """Score a trained model on the test split; return the metrics.

    Raises:
        ValueError: the run folder contains no trained model, or one trained on other data.
    """
    from unroll.evaluation.evaluate import EvaluateOptions, evaluate
    from unroll.tracking.offline import tolerating
    from unroll.tracking.upload import upload

    data, folder = PreparedData(Path(evaluation.config["data"])), evaluation.folder
    (folder.path / "evaluated.json").unlink(missing_ok=True)
    metrics = evaluate(data, folder.path, build_options(EvaluateOptions, evaluation.config))
    folder.stamp_evaluation(evaluation.inputs())
    with tolerating(f"the evaluation in {folder.path}"):
        upload(folder.path)
    return metrics
