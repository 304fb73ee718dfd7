"""What a trained model costs when it is used."""

import time
from pathlib import Path

import torch

from unroll.data.prepared import PreparedData
from unroll.inference.model_folder import ModelFolder
from unroll.inference.predict import predict

REPETITIONS = 3


def microseconds_per_token(folder: Path, data: PreparedData, batch_size: int) -> float:
    """The time that the model takes for a token of the validation split, in one thread: the best of three."""
    torch.set_num_threads(1)
    model, split = ModelFolder.load(folder).model, data.split("validation")
    seconds = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        predict(model, split, batch_size)
        seconds.append(time.perf_counter() - start)
    return 1e6 * min(seconds) / len(split.tokens)
