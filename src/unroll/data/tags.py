"""Tags of tokens, their schemes, and the typed spans (chunks, entities) that they encode."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from unroll.checks import first_names

OUTSIDE = "O"

TagScheme = Literal["iob2", "iob1", "bioes", "bilou", "bmes", "io", "none"]
# The letters of each scheme, and what they mean in BIOES.
LETTERS: dict[TagScheme, dict[str, str]] = {
    "iob2": {"B": "B", "I": "I"},
    "iob1": {"B": "B", "I": "I"},
    "bioes": {"B": "B", "I": "I", "E": "E", "S": "S"},
    "bilou": {"B": "B", "I": "I", "L": "E", "U": "S"},
    "bmes": {"B": "B", "M": "I", "E": "E", "S": "S"},
    "io": {"I": "I"},
}
_OUTSIDES = (OUTSIDE, "o", "_")
_NO_PART = "", ""  # the letter and the type of O


class TagError(ValueError):
    """A tag of a dataset that does not fit the others or the scheme."""

    def __init__(self, tag: str, message: str) -> None:
        super().__init__(message)
        self.tag = tag


def stripped(tag: Any) -> Any:
    """A raw tag without the white space around it; None if nothing is left."""
    return tag.strip() or None if isinstance(tag, str) else tag


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


def valid_iob2(tags: Sequence[str]) -> list[str]:
    """The IOB2 tags of the spans of a sentence: an I- tag that does not continue a span is replaced by B-."""
    valid = [OUTSIDE] * len(tags)
    for kind, start, end in spans(tags):
        valid[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    return valid


class Notation(NamedTuple):
    """How a letter and a type are written as a tag: `B-PER`, `B_PER`, `PER-B` (`is_last`), `b-PER` (`is_lower`)."""

    separator: str = "-"
    is_last: bool = False
    is_lower: bool = False

    @classmethod
    def of(cls, tags: Sequence[str]) -> "Notation":
        """The notation that most of the tags fit."""
        return max(_NOTATIONS, key=lambda notation: sum(notation.split(tag) is not None for tag in tags))

    def split(self, tag: str) -> tuple[str, str] | None:
        """The letter, in upper case, and the type of a tag; None for a tag that is not written like this."""
        first, _, last = tag.rpartition(self.separator) if self.is_last else tag.partition(self.separator)
        letter, kind = (last, first) if self.is_last else (first, last)
        upper = letter.upper()
        is_letter = len(letter) == 1 and upper in "BIESLUM" and (letter != upper) == self.is_lower
        return (upper, kind) if is_letter and kind else None

    def write(self, letter: str, kind: str) -> str:
        """The tag of a letter and a type."""
        letter = letter.lower() if self.is_lower else letter
        return self.separator.join((kind, letter) if self.is_last else (letter, kind))


_NOTATIONS = [Notation(*it) for it in (("-",), ("_",), ("-", True), ("_", True))]
_NOTATIONS += [notation._replace(is_lower=True) for notation in _NOTATIONS]


def outside_of(tags: Iterable[str]) -> str:
    """The tag that stands for no span: O or, where only one of these two occurs and no O, o or _."""
    found = [tag for tag in _OUTSIDES if tag in tags]
    return found[0] if len(found) == 1 else OUTSIDE


def find_scheme(names: Sequence[str], sentences: Iterable[Sequence[str]]) -> TagScheme:
    """The scheme of the distinct tags `names`; `iob2`, which a `TagReader` then refuses, if it is not certain.

    Tags of which none has a letter for its place in an entity are plain if there is no O among them. Otherwise they
    may as well be the types of entities.

    `sentences` are read only to distinguish IOB1 from IOB2: their tags are IOB1 if I starts entities and B never starts
    one that does not directly follow another of its type.
    """
    outside = outside_of(names)
    inside = [name for name in names if name != outside]
    notation = Notation.of(inside)
    parts = {name: part for name in inside if (part := notation.split(name))}
    if inside and not parts and outside not in names:
        return "none"
    if len(parts) < len(inside):
        return "iob2"
    letters = {letter for letter, _ in parts.values()}
    if letters == {"I"} or (letters == {"B", "I"} and _starts_with_i(parts, sentences)):
        return "iob1"
    return next((scheme for scheme, known in LETTERS.items() if letters <= known.keys()), "iob2")


def _starts_with_i(parts: dict[str, tuple[str, str]], sentences: Iterable[Sequence[str]]) -> bool:
    """Whether entities start with I, and with B only directly after another of the same type."""
    found = False
    for tags in sentences:
        before = ""
        for tag in tags:
            letter, kind = parts.get(tag, ("", ""))
            if kind != before and letter == "B":
                return False
            found |= kind != before and letter == "I"
            before = kind
    return found


class TagReader:
    """Converts tags of any scheme to IOB2.

    - `iob2`: B starts an entity, I continues it.
    - `iob1`: I starts an entity too; B only one that directly follows another of the same type.
    - `bioes`: E ends an entity, S is an entity of a single token. `bilou` has L and U instead, `bmes` has M for I.
    - `io`: types alone (`PER`) or with the letter I (`I-PER`); adjacent tokens of one type are one entity.

    The letter may be in lower case and after the type, and the separator may be an underscore (see `Notation`), but
    all tags must be written alike. The outside tag is `O`, or `o` or `_` in all places.

    Args:
        names: tags of the dataset, with each type at least once. The attribute `names` contains the IOB2 tags: for IOB2
            the same, then the I- tags and the O that were missing; otherwise `O`, then B and I of each type.
        scheme: the scheme of `names`; not `none`.

    Raises:
        TagError: a name does not belong to the scheme.
    """

    def __init__(self, names: Iterable[str], scheme: TagScheme) -> None:
        names = list(names)
        self._scheme = scheme
        self._outside = outside_of(names)
        inside = [name for name in names if name != self._outside]
        self._notation = Notation.of(inside)
        self._has_letters = scheme != "io" or all(self._notation.split(name) for name in inside)
        self._parts: dict[str, tuple[str, str]] = {}
        for name in names:
            part = self._split(name)
            if part is None:
                raise self._refusal(name, names)
            self._parts[name] = part
        self._types = dict.fromkeys(kind for _, kind in self._parts.values() if kind)
        if scheme == "iob2":
            for name, (_, kind) in self._parts.items():
                if kind and ("B", kind) not in self._parts.values():
                    raise TagError(
                        name,
                        f"{name!r} has no {self._notation.write('B', kind)!r} in {first_names(names)}; accepted: a "
                        "B-TYPE for every I-TYPE, or dataset.tag_scheme=iob1 if I-TYPE may start an entity",
                    )
            given = [f"{prefix}-{kind}" if kind else OUTSIDE for prefix, kind in self._parts.values()]
            self.names = list(dict.fromkeys([*given, *(f"I-{kind}" for kind in self._types), OUTSIDE]))
        else:
            self.names = [OUTSIDE, *(f"{prefix}-{kind}" for kind in self._types for prefix in "BI")]

    def read(self, tags: Sequence[str]) -> list[str]:
        """Convert the tags of a sentence to IOB2.

        Raises:
            ValueError: a tag is of an unknown type or written otherwise, or the scheme does not allow it after the
                preceding one.
        """
        read = []
        parts = [_NO_PART, *(self._part(tag) for tag in tags), _NO_PART]
        for i, ((prefix_before, kind_before), (prefix, kind)) in enumerate(pairwise(parts)):
            is_inside = prefix in ("I", "E")
            continues = is_inside and kind == kind_before
            is_allowed = True
            if self._scheme == "iob2":
                is_allowed = continues or not is_inside
            elif self._scheme in ("bioes", "bilou", "bmes"):
                is_allowed = continues if prefix_before in ("B", "I") else not is_inside
            if not is_allowed:
                shown = ["the start", *tags, "the end"]
                raise ValueError(f"invalid tag sequence: {shown[i + 1]} after {shown[i]}")
            read.append(f"{'I' if continues else 'B'}-{kind}" if kind else OUTSIDE)
        return read[:-1]

    def _part(self, tag: str) -> tuple[str, str]:
        """The letter and the type of a tag, which need not be among `names` if its type is known."""
        if tag not in self._parts:
            part = self._split(tag)
            if part is None or (part != _NO_PART and part[1] not in self._types):
                raise ValueError(f"unknown label {tag!r}")
            self._parts[tag] = part
        return self._parts[tag]

    def _split(self, tag: str) -> tuple[str, str] | None:
        """The letter, as one of BIOES, and the type of a tag, both empty for O; None for no tag of the scheme."""
        if tag == self._outside:
            return _NO_PART
        if not self._has_letters:
            return "I", tag
        letter, kind = self._notation.split(tag) or _NO_PART
        meaning = LETTERS[self._scheme].get(letter)
        return (meaning, kind) if meaning else None

    def _refusal(self, name: str, names: list[str]) -> TagError:
        letters = ", ".join(repr(self._notation.write(letter, "TYPE")) for letter in LETTERS[self._scheme])
        others = ", ".join(scheme for scheme in LETTERS if scheme not in (self._scheme, "io"))
        return TagError(
            name,
            f"{name!r} is not a tag of the scheme {self._scheme!r} in {first_names(names)}; accepted: "
            f"{self._outside!r}, {letters}, or another scheme: dataset.tag_scheme={others}, io (types alone) or none "
            "(plain tags, such as parts of speech)",
        )
