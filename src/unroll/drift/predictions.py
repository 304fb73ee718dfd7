"""What a trained model says of new text, beside what it said of the test split."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.tokens import Task
from unroll.drift.features import Feature, Numbers, label_features
from unroll.drift.labels import LabelSet
from unroll.inference.trained_model import TrainedModel

BATCH_SIZE = 64


def prediction_features(data: PreparedData, run: Path, new: EncodedSplit) -> list[Feature]:
    """Predicted labels or entities, and the mean confidence in a text's predictions.

    Raises:
        ValueError: `run` holds no trained and evaluated model, or one of other labels, words or tokens.
    """
    if not (run / "model").is_dir():
        raise ValueError(f"run={run}: no trained model there; accepted: a folder as models/DATASET/MODEL/SEED")
    if not (run / "predictions.parquet").is_file():
        raise ValueError(f"run={run}: no predictions of the test split there; first: python pipelines/evaluate.py")
    trained = TrainedModel.load(run / "model")
    if changed := trained.schema.differences(data.schema):
        raise ValueError(f"run={run}: its model has another {', '.join(changed)} than {data.folder}")

    table = pq.read_table(run / "predictions.parquet", columns=["predicted", "probabilities"])
    tested = LabelSet.of_names(data.task, data.label_names, table["predicted"].to_pylist())
    answers = trained.predict(new, BATCH_SIZE)
    labels = [found.labels for found in answers]
    joined = np.concatenate(labels) if data.task == "labeling" else np.array(labels)
    confidences = (
        _confidences(data.task, (np.array(row) for row in table["probabilities"].to_pylist())),
        _confidences(data.task, (_shown(data.task, found) for found in answers)),
    )
    return [
        *label_features("predictions", "test", tested, LabelSet(data.task, data.label_names, joined, new.offsets)),
        Numbers("confidence", "test", *confidences, ".1%"),
    ]


def _shown(task: Task, found: Prediction) -> np.ndarray:
    """The probabilities that predictions.parquet has of a text: every label's, or each token's predicted label's."""
    if task != "labeling":
        return found.probabilities
    return np.take_along_axis(found.probabilities, found.labels[:, None], axis=1)[:, 0]  # (T,)


def _confidences(task: Task, probabilities: Iterable[np.ndarray]) -> np.ndarray:
    """(N,) how sure a model is of its label, or in the mean of each label's presence or absence, or of each tag.

    To four decimals: those after depend on how batches are padded, and many texts have a confidence of about 1.
    """
    if task == "multilabel":
        probabilities = (np.maximum(shown, 1 - shown) for shown in probabilities)
    mean_or_max = np.max if task == "classification" else np.mean
    return np.round([mean_or_max(shown) for shown in probabilities], 4)
