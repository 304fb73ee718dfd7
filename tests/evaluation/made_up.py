"""Prepared data of made-up texts."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unroll.data.encoding import DistinctTokens, TokenEncoder, build_vocabulary
from unroll.data.prepared import PreparedData, checksum_of
from unroll.data.tokenizer import Tokenizer
from unroll.files import write_json


def write_prepared(
    folder: Path,
    task: str,
    names: list[str],
    splits: dict[str, tuple[Sequence[Sequence[str]], Sequence[Any]]],
    min_count: int = 1,
) -> PreparedData:
    """Prepared data of tokenised texts and their gold labels, lists of labels, or tags."""
    distinct = DistinctTokens()
    for split, (texts, gold) in splits.items():
        (folder / split).mkdir()
        np.save(folder / split / "tokens.npy", np.concatenate([distinct.ids(text) for text in texts]))
        np.save(folder / split / "offsets.npy", np.cumsum([0, *map(len, texts)]))
        np.save(folder / split / "rows.npy", np.arange(len(texts)))
        if task == "multilabel":
            labels = np.array([[name in given for name in names] for given in gold])
        else:
            flat = gold if task == "classification" else [tag for tags in gold for tag in tags]
            labels = np.array([names.index(label) for label in flat])
        np.save(folder / split / "labels.npy", labels)
    words = Counter(word.lower() for text in splits["train"][0] for word in text)
    characters = Counter(character for text in splits["train"][0] for word in text for character in word)
    vocabulary, alphabet = build_vocabulary(words, min_count), build_vocabulary(characters, min_count)
    TokenEncoder(vocabulary, alphabet).encode(distinct).save(folder / "tokens")
    Tokenizer().save(folder)
    write_json(folder / "vocabulary.json", vocabulary)
    write_json(folder / "alphabet.json", alphabet)
    description = {"task": task, "label_names": names, "is_pair": False, "checksum": checksum_of(folder)}
    write_json(folder / "dataset.json", description)
    return PreparedData(folder)
