"""A network that was exported to ONNX; needs neither PyTorch nor the packages of training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from unroll.data.padding import cut, pad
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit
from unroll.data.schema import DataSchema
from unroll.data.tokens import TOKEN_TASKS, Tokens
from unroll.inference.decoders import build_decoder
from unroll.inference.model_folder import ONNX_MODEL, loading, read_folder

WORDS, CASING, LENGTHS, CHARACTERS, ROWS = "words", "casing", "lengths", "characters", "rows"  # inputs of the graph
SCORES = "scores"  # its output
DECODER = "decoder"  # key of the metadata
BATCH_TOKENS = 16384  # bounds the memory of a batch of long texts
_CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxModel:
    """Predicts with an ONNX graph on one thread; see `unroll.inference.exporting` for the graph."""

    def __init__(self, graph: Path | bytes, schema: DataSchema, device: str = "cpu") -> None:
        options = onnxruntime.SessionOptions()
        # The products of a recurrence are too small to be divided between threads.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        source = graph if isinstance(graph, bytes) else str(graph)
        self.schema = schema
        providers: list[Any] = [_CPU]
        if provider_of(device) == CUDA:
            providers.insert(0, (CUDA, {"use_tf32": "0"}))  # its 10 bits could turn a label
        self._session = onnxruntime.InferenceSession(source, options, providers=providers)
        self._inputs = [value.name for value in self._session.get_inputs()]
        self._decoder = build_decoder(json.loads(self._session.get_modelmeta().custom_metadata_map[DECODER]))

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "OnnxModel":
        """Load an exported model; raises ValueError if there is none in `folder`, or it is damaged, or no such device.

        Args:
            device: `auto`, `cpu` or `cuda`.
        """
        provider_of(device)
        with loading(folder):
            schema, _ = read_folder(folder, ONNX_MODEL)
            model = cls(folder / ONNX_MODEL, schema, device)
        if device == "cuda" and model.device != "cuda":  # ONNX Runtime falls back to the CPU silently
            raise ValueError("device='cuda': ONNX Runtime finds no GPU that it can use; accepted: auto, cpu")
        return model

    @property
    def device(self) -> str:
        """What the graph runs on."""
        return "cuda" if CUDA in self._session.get_providers() else "cpu"

    def predict(
        self, split: EncodedSplit, batch_size: int, probabilities: bool = True, chains: bool = False
    ) -> list[Prediction]:
        """Predict one `Prediction` per sequence, in the order of the split; see `LoadedModel`."""
        predictions: dict[int, Prediction] = {}
        is_per_token = split.task in TOKEN_TASKS
        order = np.argsort(split.lengths, kind="stable")
        for index in cut(order, split.lengths, batch_size, BATCH_TOKENS):
            tokens = pad(split, index, characters=CHARACTERS in self._inputs).tokens
            scores = self.scores(tokens)
            labels = self._decoder.labels(scores, tokens.lengths)  # (B,), (B, L) or (B, T)
            is_wanted = probabilities or not is_per_token
            posterior = self._decoder.posterior(scores, tokens.lengths) if is_wanted else None
            for row, (position, length) in enumerate(zip(index.tolist(), tokens.lengths.tolist(), strict=True)):
                part = (row, slice(length)) if is_per_token else row
                predictions[position] = Prediction.of(part, labels, posterior)
        return [predictions[position] for position in range(len(split))]

    def scores(self, tokens: Tokens[np.ndarray]) -> np.ndarray:
        """Run the graph: tokens (B, T) → scores (B, L) or (B, T, L)."""
        feed = {WORDS: tokens.words, CASING: tokens.casing, LENGTHS: tokens.lengths}
        if tokens.spelling is not None:
            feed |= {CHARACTERS: tokens.spelling.characters, ROWS: tokens.spelling.rows}
        scores: np.ndarray = self._session.run([SCORES], {name: feed[name] for name in self._inputs})[0]
        return scores


def provider_of(device: str) -> str:
    """The provider of ONNX Runtime for a device; `auto` is the CPU unless its build for CUDA is installed.

    Raises:
        ValueError: this build of ONNX Runtime does not have the device.
    """
    has_cuda = CUDA in onnxruntime.get_available_providers()
    if device == "mps" or (device == "cuda" and not has_cuda):
        how = "" if device == "mps" else "; the package onnxruntime-gpu has it"
        raise ValueError(
            f"device={device!r}: an exported model runs on ONNX Runtime {onnxruntime.__version__}, which does not have "
            f"it{how}; accepted: auto, cpu{', cuda' * has_cuda}"
        )
    return CUDA if has_cuda and device != "cpu" else _CPU
