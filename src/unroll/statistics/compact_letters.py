"""The compact letter display: significant differences between models as letters."""

from collections.abc import Iterable, Sequence


def compact_letters(models: Sequence[str], significant_pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Assign letters so that two models share one if and only if they do not differ significantly.

    The insert-and-absorb algorithm of Piepho (2004). Letters are in the order of `models`: `a` is the first model's.
    """
    groups = [frozenset(models)]
    for pair in significant_pairs:
        split: list[frozenset[str]] = []
        for group in groups:
            split += [group - {model} for model in pair] if group.issuperset(pair) else [group]
        groups = [group for group in dict.fromkeys(split) if not any(group < other for other in split)]
    groups.sort(key=lambda group: [model not in group for model in models])
    alphabet = (letter for letter in map(chr, range(ord("a"), 0x110000)) if letter.islower())  # a to z, then others
    letters = dict.fromkeys(models, "")
    for letter, group in zip(alphabet, groups, strict=False):
        for model in group:
            letters[model] += letter
    return letters
