"""IOB tags of a sentence, and the typed spans (chunks, entities) that they spell."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

OUTSIDE = "O"


class Span(NamedTuple):
    """Tokens ``start`` (inclusive) to ``end`` (exclusive) of one sentence, named ``type``."""

    type: str
    start: int
    end: int


def spans(tags: Sequence[str]) -> list[Span]:
    """Read the spans of one sentence as the CoNLL-2003 ``conlleval`` script does.

    ``B-X`` always opens a span. ``I-X`` goes on with an open span of type X and opens one otherwise, so
    IOB1, IOB2 and malformed sequences are all read. Tags must satisfy :func:`check_tag_names`.
    """
    found: list[Span] = []
    open_type, start = None, 0
    for position, tag in enumerate([*tags, OUTSIDE]):  # the extra tag closes a span at the end
        prefix, _, name = tag.partition("-")
        if open_type is not None and (prefix != "I" or name != open_type):
            found.append(Span(open_type, start, position))
            open_type = None
        if tag != OUTSIDE and open_type is None:
            open_type, start = name, position
    return found


def check_tag_names(names: Iterable[str]) -> None:
    """Raise ValueError unless ``names`` are ``O``, ``B-TYPE``, and ``I-TYPE`` with its ``B-TYPE``."""
    names = list(names)
    for name in names:
        prefix, _, entity_type = name.partition("-")
        if name != OUTSIDE and (prefix not in ("B", "I") or not entity_type):
            raise ValueError(f"{name!r} is no IOB tag: accepted are 'O', 'B-TYPE' and 'I-TYPE', got {names}")
        if prefix == "I" and f"B-{entity_type}" not in names:
            raise ValueError(f"{name!r} has no 'B-{entity_type}': every I-TYPE needs its B-TYPE, got {names}")
