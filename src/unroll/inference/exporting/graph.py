"""Builds ONNX graphs: names the values, collects nodes and weights, and finds what exports a part of a network."""

from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

OPSET, IR_VERSION = 17, 9  # read by onnxruntime 1.13 and later

Value = str  # the name of a tensor in the graph
Exporter = Callable[..., Any]  # adds a part of a network to a graph


class Graph:
    """An ONNX graph under construction; a loop's body is a graph of its own, which sees the values of its `outer` one.

    `graph("MatMul", x, w)` adds a node and returns the name of its output; `outputs=2` returns a list of names.
    """

    def __init__(self, outer: "Graph | None" = None) -> None:
        self._names: count[int] = outer._names if outer else count()
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._outer = outer

    def __call__(self, kind: str, *inputs: Value, **attributes: Any) -> Value:
        return self.several(kind, *inputs, outputs=1, **attributes)[0]

    def several(self, kind: str, *inputs: Value, outputs: int, **attributes: Any) -> list[Value]:
        """Add a node with several outputs."""
        names = [self.name(kind) for _ in range(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, names, name=names[0], **attributes))
        return names

    def name(self, kind: str) -> Value:
        return f"{kind.lower()}_{next(self._names)}"

    def constant(self, value: "np.ndarray | np.generic | torch.Tensor | float", name: str = "weight") -> Value:
        """Add a weight, of the type of `value`; a float becomes float32."""
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().numpy()
        array = np.array(value, np.float32 if isinstance(value, float) else None, order="C")
        if self._outer:
            return self._outer.constant(array, name)
        key = self.name(name)
        self._weights.append(numpy_helper.from_array(array, key))
        return key

    def scan(
        self, step: "Callable[[Graph, list[Value], list[Value]], list[Value]]", states: list[Value], steps: list[Value]
    ) -> list[Value]:
        """Run `step(body, states, inputs) → new states` over the first axis of each of `steps`; return all states.

        `states` are the initial values; a returned value has the new axis first.
        """
        body = Graph(outer=self)
        before, inputs = [body.name("state") for _ in states], [body.name("input") for _ in steps]
        after = step(body, before, inputs)
        kept = [body("Identity", state) for state in after]
        graph = helper.make_graph(
            body._nodes,
            self.name("body"),
            [_float(name) for name in before + inputs],
            [_float(name) for name in after + kept],
        )
        outputs = len(states) * 2
        results = self.several("Scan", *states, *steps, outputs=outputs, body=graph, num_scan_inputs=len(steps))
        return results[len(states) :]

    def linear(self, x: Value, weight: torch.Tensor, bias: "torch.Tensor | None" = None) -> Value:
        """x Wᵀ + b of the last axis."""
        product = self("MatMul", x, self.constant(weight.detach().T))
        return product if bias is None else self("Add", product, self.constant(bias))

    def rename(self, value: Value, name: Value) -> None:
        """Give another name to the output of the node that was added last."""
        assert self._nodes[-1].output[0] == value
        self._nodes[-1].output[0] = name

    def model(self, inputs: dict[Value, list[str]], outputs: dict[Value, list[str]]) -> onnx.ModelProto:
        """The finished model.

        Args:
            inputs, outputs: names of the dimensions of each; inputs are int64 and outputs float32.
        """
        graph = helper.make_graph(
            self._nodes,
            "unroll",
            [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            self._weights,
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="unroll"
        )


def _float(name: Value) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


class Sequences:
    """Values that a graph computes from the lengths of a batch of sequences, each at most once.

    Within the graph, time is the first axis: values are (T, B, F), as ONNX's recurrent operators have them.

    Args:
        lengths: int64, (B,).
        ids: int64, (T, B), of any features of the steps; only its shape is used.
    """

    def __init__(self, graph: Graph, lengths: Value, ids: Value) -> None:
        self.graph, self.lengths, self._ids = graph, lengths, ids

    @cached_property
    def lengths32(self) -> Value:
        """The lengths as ONNX's recurrent operators want them, int32."""
        return self.graph("Cast", self.lengths, to=TensorProto.INT32)

    @cached_property
    def batch(self) -> Value:
        """B, as an int64 of shape (1,)."""
        return self.graph("Shape", self._ids, start=1, end=2)

    @cached_property
    def mask(self) -> Value:
        """True at a token, False at padding, (T, B, 1)."""
        g = self.graph
        steps = g("Squeeze", g("Shape", self._ids, start=0, end=1))
        zero, one = g.constant(np.int64(0)), g.constant(np.int64(1))
        positions = g("Unsqueeze", g("Range", zero, steps, one), g.constant(np.array([1])))  # (T, 1)
        return g("Unsqueeze", g("Less", positions, self.lengths), g.constant(np.array([2])))

    @cached_property
    def _last_rows(self) -> Value:
        """The row of each sequence's last step among the T · B rows."""
        g = self.graph
        batch = g("Squeeze", self.batch)
        zero, one = g.constant(np.int64(0)), g.constant(np.int64(1))
        last = g("Mul", g("Sub", self.lengths, one), batch)
        return g("Add", last, g("Range", zero, batch, one))

    def zeros(self, *sizes: int, batch_first: bool = True) -> Value:
        """Zeros (B, *sizes), or with `batch_first=False` (sizes[0], B, *sizes[1:])."""
        g = self.graph
        before, after = ([], sizes) if batch_first else (sizes[:1], sizes[1:])
        parts = [g.constant(np.array(before, np.int64))] * bool(before)
        shape = g("Concat", *parts, self.batch, g.constant(np.array(after, np.int64)), axis=0)
        return g("ConstantOfShape", shape)

    def replace_padding(self, x: Value, value: float) -> Value:
        """x: (T, B, F) → x with `value` at padding."""
        return self.graph("Where", self.mask, x, self.graph.constant(value))

    def reverse(self, x: Value) -> Value:
        """x: (T, B, F) → each sequence reversed within its length; padding stays where it is."""
        return self.graph("ReverseSequence", x, self.lengths, time_axis=0, batch_axis=1)

    def mean(self, x: Value) -> Value:
        """x: (T, B, F) → the mean over each sequence's steps, (B, F)."""
        g = self.graph
        total = g("ReduceSum", self.replace_padding(x, 0.0), g.constant(np.array([0])), keepdims=0)
        divisor = g("Unsqueeze", g("Cast", self.lengths, to=TensorProto.FLOAT), g.constant(np.array([1])))
        return g("Div", total, divisor)

    def final(self, x: Value, size: int, directions: int) -> Value:
        """x: (T, B, `size`) → (B, `size`): each direction's part at the step that it reads last."""
        g = self.graph
        rows = g("Reshape", x, g.constant(np.array([-1, size])))  # (T · B, size)
        last = g("Gather", rows, self._last_rows)
        if directions == 1:
            return last
        half = size // 2
        forward = _columns(g, last, 0, half, axis=1)
        first = g("Gather", x, g.constant(np.int64(0)), axis=0)  # (B, size)
        return g("Concat", forward, _columns(g, first, half, size, axis=1), axis=1)


def _columns(graph: Graph, x: Value, start: int, end: int, axis: int) -> Value:
    bounds = [graph.constant(np.array([value])) for value in (start, end, axis)]
    return graph("Slice", x, *bounds)


class NoExporter(ValueError):
    """A part of a network cannot be exported."""


def find_exporter(table: Mapping[type[nn.Module], Exporter], part: object) -> Exporter:
    """The exporter of the part's class; raises NoExporter, which lists the classes, if there is none."""
    kind = type(part)
    if not issubclass(kind, nn.Module) or kind not in table:
        accepted = ", ".join(it.__name__ for it in table)
        raise NoExporter(f"{kind.__name__} cannot be exported to ONNX; accepted in its place: {accepted}")
    return table[kind]
