"""Writes a trained network as a folder that predicts without PyTorch."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unroll.files import whole_folder, write_bytes, write_checksums, write_json
from unroll.inference.exporting.network import network_model
from unroll.inference.exporting.quantization import quantize
from unroll.inference.model_folder import CONFIG, ONNX_MODEL
from unroll.inference.onnx_model import OnnxModel
from unroll.inference.predictor import Predictor
from unroll.inference.trained_model import TrainedModel
from unroll.nn import SequenceModel
from unroll.nn.model import WEIGHTS

LEAST_AGREEMENT = 0.995  # of the labels of an int8 model with those of the float one


class Exported(NamedTuple):
    """The size of the model in bytes, and the share of equal labels of int8 and float32, None for float32."""

    size: int
    agreement: float | None


def export(folder: Path, output: Path, int8: bool = False, texts: Sequence[Any] = ()) -> Exported:
    """Export the network of a model folder to ONNX, with its vocabulary, tokenizer and configuration.

    Args:
        output: the folder to write, which `Predictor.load` reads; an earlier export there is replaced.
        int8: whether to store large weights as 8-bit integers, which makes the folder about four times smaller.
        texts: with `int8`, texts like those that the model will read, to compare its labels with those in float32.

    Raises:
        ValueError: there is no model in `folder`, or one that cannot be exported; `output` contains something else; or
            int8 changes more than 1 - LEAST_AGREEMENT of the labels.
    """
    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and not (output / ONNX_MODEL).is_file())):
        raise ValueError(f"output={output}: it exists and is not an exported model; accepted: a new folder")
    if int8 and not texts:
        raise ValueError("int8 without texts; accepted: texts on which its labels are compared with those in float32")
    if output.resolve() == folder.resolve():
        raise ValueError(f"output={output}: the model itself; accepted: another folder")
    if (folder / ONNX_MODEL).is_file() and not (folder / WEIGHTS).is_file():
        raise ValueError(f"the model in {folder} is exported; accepted: one with its weights, in the folder of a run")
    trained = TrainedModel.load(folder)
    if not isinstance(trained.model, SequenceModel):
        raise ValueError(f"the model in {folder} is a {type(trained.model).__name__}; accepted: a network")
    model = network_model(trained.model)
    agreement = None
    if int8:
        exact, model = OnnxModel(model.SerializeToString(), trained.schema), quantize(model)
        agreement = _agreement(exact, OnnxModel(model.SerializeToString(), trained.schema), texts)
        if agreement < LEAST_AGREEMENT:
            raise ValueError(
                f"int8 keeps {agreement:.2%} of the labels of {folder}; accepted: {LEAST_AGREEMENT:.1%} or more; "
                "export it without int8"
            )
    with whole_folder(output) as work:
        write_bytes(work / ONNX_MODEL, model.SerializeToString())
        write_json(work / CONFIG, trained.schema.save(work) | {"model": trained.config})
        write_checksums(work)
    return Exported((output / ONNX_MODEL).stat().st_size, agreement)


def add_export(folder: Path, output: Path) -> bool:
    """Copy a model folder, with its export to ONNX in float32 beside the weights; False for a baseline, which has none.

    `Predictor.load` uses the export, and `TrainedModel.load` the weights.

    Raises:
        NoExporter: the network has a part that cannot be exported.
        ValueError: there is no model in `folder`.
    """
    trained = TrainedModel.load(folder)
    if not isinstance(trained.model, SequenceModel):
        return False
    model = network_model(trained.model)
    with whole_folder(output) as work:
        shutil.copytree(folder, work, dirs_exist_ok=True)
        write_bytes(work / ONNX_MODEL, model.SerializeToString())
        write_checksums(work)
    return True


def _agreement(exact: OnnxModel, quantized: OnnxModel, texts: Sequence[Any]) -> float:
    """The share of labels of texts, or of tokens, that are equal."""
    found, expected = (_labels(model, texts) for model in (quantized, exact))
    return float(np.mean([a == b for a, b in zip(found, expected, strict=True)]))


def _labels(model: OnnxModel, texts: Sequence[Any]) -> list[Any]:
    """One label or set of labels per text, or one label per token."""
    answers = Predictor(model).predict(texts)
    if model.schema.task == "classification":
        return [answer["label"] for answer in answers]
    if model.schema.task == "multilabel":
        return [set(answer["labels"]) for answer in answers]
    return [label for answer in answers for label in answer["labels"]]
