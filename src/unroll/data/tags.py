"""IOB tags of a sentence, and the typed spans (chunks, entities) that they spell."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

OUTSIDE = "O"

TagScheme = Literal["iob2", "iob1", "bioes", "io"]
TAG_SCHEMES: tuple[TagScheme, ...] = get_args(TagScheme)
_PREFIXES = {"iob2": "BI", "iob1": "BI", "bioes": "BIES"}


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
            raise ValueError(
                f"{name!r} has no 'B-{entity_type}': every I-TYPE needs its B-TYPE, got {names}; "
                "where I-TYPE may open an entity: dataset.tag_scheme=iob1"
            )


class TagReader:
    """Reads tags of any scheme as IOB2.

    - `iob2`: B opens an entity, I goes on with it.
    - `iob1`: I opens one too; B only where one of the same type ends just before.
    - `bioes`: E ends an entity, S is one of a single token.
    - `io`: a type by itself (`PER`) or after I (`I-PER`); neighbours of one type are one entity.

    Args:
        names: all tags of the dataset. IOB2 names keep their order; others give `O`, then B and I of each type.

    Raises:
        ValueError: a name is none of the scheme.
    """

    def __init__(self, names: Iterable[str], scheme: TagScheme) -> None:
        names = list(names)
        self._scheme = scheme
        self._parts = {name: self._split(name, names) for name in names}
        if scheme == "iob2":
            check_tag_names(names)
            self.names = names
        else:
            types = dict.fromkeys(kind for _, kind in self._parts.values() if kind)
            self.names = [OUTSIDE, *(f"{prefix}-{kind}" for kind in types for prefix in "BI")]

    def read(self, tags: Sequence[str]) -> list[str]:
        """The IOB2 tags of a sentence.

        Raises:
            ValueError: the scheme does not allow one tag after another; names both.
        """
        read = []
        before, name_before = ("", ""), "the start"
        for name in tags:
            prefix, kind = part = self._parts[name]
            self._check_step(before, part, name_before, name)
            goes_on = kind == before[1] and prefix not in ("B", "S")
            if self._scheme == "bioes":
                goes_on = goes_on and before[0] in ("B", "I")
            read.append(f"{'I' if goes_on else 'B'}-{kind}" if kind else OUTSIDE)
            before, name_before = part, name
        self._check_step(before, ("", ""), name_before, "the end")
        return read

    def _split(self, name: str, names: list[str]) -> tuple[str, str]:
        """Prefix and type, both empty outside."""
        if name == OUTSIDE:
            return "", ""
        if self._scheme == "io":
            has_prefix = all(other == OUTSIDE or other.startswith("I-") for other in names)
            return "I", name.removeprefix("I-") if has_prefix else name
        prefix, _, kind = name.partition("-")
        accepted = _PREFIXES[self._scheme]
        if len(prefix) != 1 or prefix not in accepted or not kind:
            shown = ", ".join(f"'{letter}-TYPE'" for letter in accepted)
            raise ValueError(
                f"{name!r} is no tag of the scheme {self._scheme!r}: accepted are 'O', {shown}, got {names}; "
                f"other schemes: dataset.tag_scheme={' or '.join(s for s in TAG_SCHEMES if s != self._scheme)}"
            )
        return prefix, kind

    def _check_step(self, before: tuple[str, str], part: tuple[str, str], name_before: str, name: str) -> None:
        is_inside = before[0] in ("B", "I")
        if self._scheme == "iob2":
            allowed = part[0] != "I" or part[1] == before[1]
        elif self._scheme == "bioes":
            allowed = part[0] in ("I", "E") and part[1] == before[1] if is_inside else part[0] not in ("I", "E")
        else:
            allowed = True
        if not allowed:
            raise ValueError(f"invalid tag sequence: {name} after {name_before}")
