"""Converts entities that are given by their characters in a text into tags of its tokens."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from unroll.data.tags import OUTSIDE

SpanEdges = Literal["cut", "widen", "drop"]
Offsets = list[tuple[int, int]]


class TaggedText(NamedTuple):
    """The start and end (exclusive) of T tokens, their IOB2 tags, and the number of spans with an edge in a token."""

    offsets: Offsets
    tags: list[str]
    inexact: int


def tag_spans(text: str, spans: Any, offsets: Offsets, edges: SpanEdges) -> TaggedText:
    """Find the tags of the tokens of a text.

    Args:
        spans: a list of ``{start, end, label}``, ``{start_offset, end_offset, label}`` or ``[start, end, label]``, in
            characters, with `end` exclusive; white space at their ends is left out. In place of `label` they may have
            `type`, or `labels` with one label.
        offsets: the start and end of each token, in order.
        edges: what to do with a span that starts or ends inside a token: `cut` the token there, `widen` the span to
            the whole token, or `drop` the span.

    Raises:
        ValueError: the spans cannot be read, overlap or are not in the text; the message is short.
    """
    if not isinstance(spans, list):
        raise ValueError("missing spans" if spans is None else f"spans are not a list but {type(spans).__name__}")
    found = sorted(_trimmed(text, span) for span in spans)
    if any(end > start for (_, end, _), (start, _, _) in pairwise(found)):
        raise ValueError("spans overlap")
    starts = [start for start, _ in offsets]
    inside = {
        edge
        for span in found
        for edge in span[:2]
        if (i := bisect_left(starts, edge) - 1) >= 0 and starts[i] < edge < offsets[i][1]
    }
    exact = [span for span in found if inside.isdisjoint(span[:2])]
    inexact = len(found) - len(exact)
    if edges == "drop":
        found = exact
    elif edges == "cut":
        cuts = sorted(inside)
        bounds = ([a, *cuts[bisect_right(cuts, a) : bisect_left(cuts, b)], b] for a, b in offsets)
        offsets = [part for of_token in bounds for part in pairwise(of_token)]
        starts = [start for start, _ in offsets]
    ends = [end for _, end in offsets]
    tags = [OUTSIDE] * len(offsets)
    for start, end, label in found:
        first, last = bisect_right(ends, start), bisect_left(starts, end)
        if first >= last:
            raise ValueError("a span has no token")
        if any(tag != OUTSIDE for tag in tags[first:last]):
            raise ValueError("two spans in one token")
        tags[first:last] = [f"B-{label}"] + [f"I-{label}"] * (last - first - 1)
    return TaggedText(offsets, tags, inexact)


def span_parts(span: Any) -> Sequence[Any]:
    """The start, end and label of a span in one of the accepted forms, None where missing."""
    if isinstance(span, Mapping):
        edges = [span[name] if span.get(name) is not None else span.get(f"{name}_offset") for name in ("start", "end")]
        labels = (_single(span.get(name)) for name in ("label", "labels", "type"))
        return [*edges, next((label for label in labels if label is not None), None)]
    if isinstance(span, list | tuple) and len(span) == 3:
        return [*span[:2], _single(span[2])]
    raise ValueError("spans are not all {start, end, label} or [start, end, label]")


def _single(label: Any) -> Any:
    """The label of a span, which may stand alone in a list, as Label Studio writes it."""
    if not isinstance(label, list):
        return label
    if len(label) > 1:
        raise ValueError("a span has several labels")
    return label[0] if label else None


def _trimmed(text: str, span: Any) -> tuple[int, int, str]:
    *edges, label = span_parts(span)
    start, end = (_number(name, edge) for name, edge in zip(("start", "end"), edges, strict=True))
    if isinstance(label, Mapping | list):
        raise ValueError(f"the label of a span is {label!r}, not a name")
    label = "" if label is None else str(label).strip()
    if not label:
        raise ValueError("a span has no label")
    if start < 0 or end > len(text):
        raise ValueError("a span is not in the text")
    if end < start:
        raise ValueError("a span ends before it starts")
    covered = text[start:end]
    if not covered.strip():
        raise ValueError("a span is empty")
    return start + len(covered) - len(covered.lstrip()), start + len(covered.rstrip()), label


def _number(name: str, value: Any) -> int:
    if value is None:
        raise ValueError(f"a span has no {name}")
    try:
        if isinstance(value, bool) or int(value) != float(value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"the {name} of a span is {value!r}, not a number of characters") from None
    return int(value)
