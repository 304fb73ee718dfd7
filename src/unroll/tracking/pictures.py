"""Pictures of a network in its MLflow run: how far its output feels a token, and what it makes of a test example.

They are those of `unroll.explain` and `unroll.sensitivity`.
"""

import tempfile
from pathlib import Path

import numpy as np

from unroll.data.prepared import PreparedData
from unroll.data.tokens import TOKEN_TASKS
from unroll.files import whole_file
from unroll.inference.model_folder import is_network
from unroll.run_folder import RunFolder
from unroll.tracking.provenance import Provenance
from unroll.tracking.runs import TrackedRun

PICTURES = "pictures"  # folder among the artifacts of a run
SENSITIVITY, EXPLANATION = "sensitivity.png", "explanation.png"
TEXTS, TEXTS_OF_TAGS = 100, 25  # of the mean; up to 16 tokens of a text with tags have a gradient
LENGTH = 12  # tokens that the example has, or as many more or less as there are


def log_pictures(run: TrackedRun, folder: RunFolder) -> list[str]:
    """Draw and log the pictures that are missing from the run; return what was missing, as text.

    A baseline has none. They are left out if the data of the training are no longer where they were.
    """
    if not is_network(folder.model):
        return []
    present = {Path(file.path).name for file in run.client.list_artifacts(run.run_id, PICTURES)}
    if {SENSITIVITY, EXPLANATION} <= present:
        return []
    provenance = Provenance.load(folder.provenance)
    prepared = Path(str(provenance.config.get("data")))
    if not (prepared / "dataset.json").is_file():
        return []
    data = PreparedData(prepared)
    if data.checksum != provenance.tags["dataset.checksum"]:
        return []
    with tempfile.TemporaryDirectory() as work:
        draw(folder, folder.read_record().model, data, Path(work))
        run.client.log_artifacts(run.run_id, work, PICTURES)
    return ["pictures"]


def draw(folder: RunFolder, name: str, data: PreparedData, output: Path) -> None:
    """Draw the pictures of a network that was trained on these data into the folder `output`.

    The example is the first one of the test split with about LENGTH tokens, the same for all networks.
    """
    import torch

    from unroll.inference.explaining.explain import explain_data, explain_example
    from unroll.inference.explaining.figures import explanation_figure, sensitivity_figure
    from unroll.inference.predictor import Predictor
    from unroll.inference.trained_model import TrainedModel

    torch.set_num_threads(1)  # more are slower
    predictor = Predictor(TrainedModel.load(folder.model))
    mean = explain_data(predictor, data, texts=TEXTS_OF_TAGS if data.task in TOKEN_TASKS else TEXTS)
    example = int(np.argmin(np.abs(data.split("test").lengths - LENGTH)))
    figures = {
        SENSITIVITY: sensitivity_figure({name: mean}),
        EXPLANATION: explanation_figure(explain_example(predictor, data, example)),
    }
    for file, figure in figures.items():
        with whole_file(output / file) as new:
            figure.savefig(new, dpi=120, format="png")
