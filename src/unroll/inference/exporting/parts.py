"""Finds the exporter of a part of a network."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

Exporter = Callable[..., Any]


class NoExporter(ValueError):
    """A part of a network cannot be exported."""


def find_exporter(table: Mapping[type[nn.Module], Exporter], part: object) -> Exporter:
    """The exporter of the part's class; raises NoExporter, which lists the classes, if there is none."""
    kind = type(part)
    if not issubclass(kind, nn.Module) or kind not in table:
        accepted = ", ".join(it.__name__ for it in table)
        raise NoExporter(f"{kind.__name__} cannot be exported to ONNX; accepted in its place: {accepted}")
    return table[kind]
