"""The compact letter display: significant differences between models as letters."""

from collections.abc import Iterable, Iterator, Sequence


def compact_letters(models: Sequence[str], significant_pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Assign letters so that two models share one if and only if they do not differ significantly.

    The insert-and-absorb algorithm of Piepho (2004). Letters are in the order of `models`: `a` is the first model's.
    """
    groups = [frozenset(models)]
    for first, second in significant_pairs:
        split = [part for group in groups for part in _split(group, first, second)]
        groups = [group for group in dict.fromkeys(split) if not any(group < other for other in split)]
    groups.sort(key=lambda group: [model not in group for model in models])
    letters: dict[str, str] = dict.fromkeys(models, "")
    for letter, group in zip(_letters(), groups, strict=False):
        for model in group:
            letters[model] += letter
    return letters


def _split(group: frozenset[str], first: str, second: str) -> list[frozenset[str]]:
    """Split a group that contains both models of a pair."""
    return [group - {first}, group - {second}] if {first, second} <= group else [group]


def _letters() -> Iterator[str]:
    """Letters a to z, then the lower-case letters of other alphabets."""
    return (letter for letter in map(chr, range(ord("a"), 0x110000)) if letter.islower())
