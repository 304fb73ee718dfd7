"""IOB tags, and the typed spans (chunks, entities) that they encode."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

OUTSIDE = "O"

TagScheme = Literal["iob2", "iob1", "bioes", "io"]
_PREFIXES = {"iob2": "BI", "iob1": "BI", "bioes": "BIES"}


class Span(NamedTuple):
    """A span of type ``type`` over the tokens ``start`` (inclusive) to ``end`` (exclusive) of a sentence."""

    type: str
    start: int
    end: int


def spans(tags: Sequence[str]) -> list[Span]:
    """Extract the spans of a sentence as the CoNLL-2003 ``conlleval`` script does.

    ``B-X`` always starts a span. ``I-X`` continues an open span of type X and otherwise starts one, so that IOB1,
    IOB2 and malformed sequences are all accepted.
    """
    found: list[Span] = []
    open_type, start = None, 0
    for position, tag in enumerate([*tags, OUTSIDE]):  # the extra tag ends the last span
        prefix, _, name = tag.partition("-")
        if open_type is not None and (prefix != "I" or name != open_type):
            found.append(Span(open_type, start, position))
            open_type = None
        if tag != OUTSIDE and open_type is None:
            open_type, start = name, position
    return found


class TagReader:
    """Converts tags of any scheme to IOB2.

    - `iob2`: B starts an entity, I continues it.
    - `iob1`: I starts an entity too; B only one that directly follows another of the same type.
    - `bioes`: E ends an entity, S is an entity of a single token.
    - `io`: types alone (`PER`) or with the prefix I (`I-PER`); adjacent tokens of one type are one entity.

    Args:
        names: all tags of the dataset. The attribute `names` contains the IOB2 tags: the same if they are IOB2,
            otherwise `O`, then B and I of each type.
        scheme: the scheme of `names`.

    Raises:
        ValueError: a name does not belong to the scheme.
    """

    def __init__(self, names: Iterable[str], scheme: TagScheme) -> None:
        names = list(names)
        self._scheme = scheme
        self._parts = {name: self._split(name, names) for name in names}
        self.names = names
        types = dict.fromkeys(kind for _, kind in self._parts.values() if kind)
        if scheme != "iob2":
            self.names = [OUTSIDE, *(f"{prefix}-{kind}" for kind in types for prefix in "BI")]
        elif alone := [kind for kind in types if ("B", kind) not in self._parts.values()]:
            raise ValueError(
                f"'I-{alone[0]}' has no 'B-{alone[0]}' in {names}; accepted: a B-TYPE for every I-TYPE, or "
                "dataset.tag_scheme=iob1 if I-TYPE may start an entity"
            )

    def read(self, tags: Sequence[str]) -> list[str]:
        """Convert the tags of a sentence to IOB2.

        Raises:
            ValueError: the scheme does not allow a tag after the preceding one.
        """
        read = []
        parts = [("", ""), *(self._parts[tag] for tag in tags), ("", "")]
        for i, ((prefix_before, kind_before), (prefix, kind)) in enumerate(pairwise(parts)):
            is_inside = prefix in ("I", "E")
            continues = is_inside and kind == kind_before
            is_allowed = True
            if self._scheme == "iob2":
                is_allowed = continues or not is_inside
            elif self._scheme == "bioes":
                is_allowed = continues if prefix_before in ("B", "I") else not is_inside
            if not is_allowed:
                shown = ["the start", *tags, "the end"]
                raise ValueError(f"invalid tag sequence: {shown[i + 1]} after {shown[i]}")
            read.append(f"{'I' if continues else 'B'}-{kind}" if kind else OUTSIDE)
        return read[:-1]

    def _split(self, name: str, names: list[str]) -> tuple[str, str]:
        """The prefix and the type of a tag; both are empty for O."""
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
                f"{name!r} is not a tag of the scheme {self._scheme!r} in {names}; accepted: 'O', {shown}, or "
                f"another scheme: dataset.tag_scheme={' or '.join(s for s in get_args(TagScheme) if s != self._scheme)}"
            )
        return prefix, kind
