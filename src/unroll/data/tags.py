"""IOB tags, and the typed spans (chunks, entities) that they encode."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

OUTSIDE = "O"

TagScheme = Literal["iob2", "iob1", "bioes", "io"]
TAG_SCHEMES: tuple[TagScheme, ...] = get_args(TagScheme)
_PREFIXES = {"iob2": "BI", "iob1": "BI", "bioes": "BIES"}


class Span(NamedTuple):
    """A span of type ``type`` over the tokens ``start`` (inclusive) to ``end`` (exclusive) of a sentence."""

    type: str
    start: int
    end: int


def spans(tags: Sequence[str]) -> list[Span]:
    """Extract the spans of a sentence as the CoNLL-2003 ``conlleval`` script does.

    ``B-X`` always starts a span. ``I-X`` continues an open span of type X and otherwise starts one, so that IOB1,
    IOB2 and malformed sequences are all accepted. Tags must satisfy :func:`check_tag_names`.
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


def check_tag_names(names: Iterable[str]) -> None:
    """Raise ValueError unless ``names`` are ``O``, ``B-TYPE``, and ``I-TYPE`` with its ``B-TYPE``."""
    names = list(names)
    for name in names:
        prefix, _, entity_type = name.partition("-")
        if name != OUTSIDE and (prefix not in ("B", "I") or not entity_type):
            raise ValueError(f"{name!r} is not an IOB tag in {names}; accepted: 'O', 'B-TYPE' and 'I-TYPE'")
        if prefix == "I" and f"B-{entity_type}" not in names:
            raise ValueError(
                f"{name!r} has no 'B-{entity_type}' in {names}; accepted: a B-TYPE for every I-TYPE, or "
                "dataset.tag_scheme=iob1 if I-TYPE may start an entity"
            )


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
        if scheme == "iob2":
            check_tag_names(names)
            self.names = names
        else:
            types = dict.fromkeys(kind for _, kind in self._parts.values() if kind)
            self.names = [OUTSIDE, *(f"{prefix}-{kind}" for kind in types for prefix in "BI")]

    def read(self, tags: Sequence[str]) -> list[str]:
        """Convert the tags of a sentence to IOB2.

        Raises:
            ValueError: the scheme does not allow a tag after the preceding one.
        """
        read = []
        before, name_before = ("", ""), "the start"
        for name in tags:
            prefix, kind = part = self._parts[name]
            self._check_step(before, part, name_before, name)
            continues = kind == before[1] and prefix not in ("B", "S")
            if self._scheme == "bioes":
                continues = continues and before[0] in ("B", "I")
            read.append(f"{'I' if continues else 'B'}-{kind}" if kind else OUTSIDE)
            before, name_before = part, name
        self._check_step(before, ("", ""), name_before, "the end")
        return read

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
                f"another scheme: dataset.tag_scheme={' or '.join(s for s in TAG_SCHEMES if s != self._scheme)}"
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
