"""Converts the large weights of an exported network to 8-bit integers."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from unroll.inference.exporting.network import WORD_TABLE

# ONNX Runtime has no 8-bit GRU or RNN, and the tables of a character CNN contain -∞, which no 8-bit scale has.
OPERATORS = ["LSTM", "MatMul"]
_PREPROCESSED = {"onnx.quant.pre_process": "onnxruntime.quant"}  # keeps it from a warning by the root logger


def quantize(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert the weights of LSTMs and matrix products, and the vectors of the words, to int8 with a scale.

    Activations are converted while the network runs (dynamic quantization). A row of the words' vectors has its own
    scale, a matrix one for all.
    """
    helper.set_model_props(model, _properties(model) | _PREPROCESSED)
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "int8.onnx"
        quantize_dynamic(model, path, op_types_to_quantize=OPERATORS, weight_type=QuantType.QInt8)
        quantized = onnx.load(path)
    _quantize_words(quantized.graph)
    return quantized


def _properties(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def _quantize_words(graph: onnx.GraphProto) -> None:
    """Replace the lookup of float32 rows by one of int8 rows and one of their scales."""
    table = next(weight for weight in graph.initializer if weight.name.startswith(WORD_TABLE))
    place, lookup = next((i, node) for i, node in enumerate(graph.node) if table.name in node.input)
    ids, vectors = lookup.input[1], lookup.output[0]
    rows = numpy_helper.to_array(table)  # (V, E)
    scales = np.maximum(np.abs(rows).max(axis=1, keepdims=True) / 127, np.finfo(np.float32).tiny)  # (V, 1)
    graph.initializer.remove(table)
    graph.initializer.append(numpy_helper.from_array(np.rint(rows / scales).astype(np.int8), table.name))
    graph.initializer.append(numpy_helper.from_array(scales, "word_scales"))
    nodes = [
        helper.make_node("Gather", [table.name, ids], ["word_integers"]),
        helper.make_node("Cast", ["word_integers"], ["word_numbers"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["word_scales", ids], ["word_scale"]),
        helper.make_node("Mul", ["word_numbers", "word_scale"], [vectors]),
    ]
    graph.node.remove(lookup)
    for node in reversed(nodes):
        graph.node.insert(place, node)
