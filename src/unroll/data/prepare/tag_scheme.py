"""Finds out the scheme of a dataset's tags."""

from collections.abc import Iterable, Sequence

from unroll.data.tags import LETTERS, Notation, TagScheme, outside_of


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
