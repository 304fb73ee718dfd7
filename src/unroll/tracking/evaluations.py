"""An evaluation's figures, added to the MLflow run of its training."""

import tempfile
from pathlib import Path

from unroll.evaluation.figures import confusion_figure
from unroll.evaluation.runs import read_confusion
from unroll.files import read_json
from unroll.tracking.runs import find_run


def log_evaluation(folder: Path) -> None:
    """Add test metrics, speed, the tables that the run folder `folder` holds, and the confusion picture.

    Multilabel has no such picture: no label is taken for another.

    Raises:
        ValueError: the training's run is not in this tracking store; the files stay where they are.
    """
    record = read_json(folder / "run.json")
    run = find_run(record["run_id"])
    speed = {"tokens_per_second": read_json(folder / "throughput.json")["tokens_per_second"]}
    run.log_metrics({**read_json(folder / "metrics.json"), **speed})
    for name in ("classes.csv", "confusion.csv", "history.csv", "predictions.parquet"):
        run.client.log_artifact(run.run_id, str(folder / name), "evaluation")
    if record["task"] == "multilabel":
        return
    with tempfile.TemporaryDirectory() as work:
        picture = Path(work) / "confusion.png"
        confusion_figure(read_confusion(folder / "confusion.csv")).savefig(picture, dpi=120)
        run.client.log_artifact(run.run_id, str(picture), "evaluation")
