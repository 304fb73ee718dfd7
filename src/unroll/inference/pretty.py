"""Predictions as lines for people to read."""

from typing import Any

from unroll.inference.answers import is_empty

NOT_USABLE = "(not usable)"


def pretty(text: Any, answer: dict[str, Any], width: int) -> str:
    """One line of at most about `width` characters for a classified text; a labelled text is not cut.

    - Classification and multilabel: the labels with their probabilities, and the text.
    - Labeling: the text with its entities in brackets. Tagging: each token with its tag.
    """
    between = " | " if isinstance(text, tuple) else " "
    shown = _plain(between.join(map(str, text)) if isinstance(text, tuple | list) else text)
    if is_empty(answer):
        return f"{NOT_USABLE}  {shown}"
    if "entities" in answer:
        return _plain(_marked(text if isinstance(text, str) else " ".join(text), answer["entities"]))
    if "tokens" in answer:
        pairs = zip(answer["tokens"], answer["labels"], strict=True)
        return _plain("  ".join(f"{token}/{label}" for token, label in pairs))
    if "label" in answer:
        labels = f"{answer['label']}  {answer['probability']:.3f}"
    else:
        labels = ", ".join(f"{label} {answer['probabilities'][label]:.3f}" for label in answer["labels"]) or "(none)"
    room = max(20, width - len(labels) - 2)
    return f"{_plain(labels)}  {shown if len(shown) <= room else shown[: room - 1] + '…'}"


def _marked(text: str, entities: list[dict[str, Any]]) -> str:
    parts, end = [], 0
    for entity in entities:
        chance = f" {entity['probability']:.3f}" if "probability" in entity else ""
        parts += [text[end : entity["start_char"]], f"[{entity['text']} {entity['type']}{chance}]"]
        end = entity["end_char"]
    return "".join([*parts, text[end:]])


def _plain(text: Any) -> str:
    """On one line, and without control characters, which a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))
