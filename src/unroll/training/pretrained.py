"""Word embeddings that start from pretrained vectors."""

from collections.abc import Callable
from pathlib import Path

import torch

from unroll.data.vectors import read_vectors
from unroll.nn import SequenceModel


def start_from_vectors(model: SequenceModel, vocabulary: list[str], entry: Callable[[str], str], path: Path) -> None:
    """Copy the vectors of `path` into the embeddings of the words that it has; print how many those are.

    Args:
        entry: the entry of the vocabulary that a word is.

    Raises:
        ValueError: the file cannot be read, has vectors of another size, or none of the vocabulary's words.
    """
    pretrained = read_vectors(path, vocabulary, entry)
    weight = model.embedding.words.weight
    width = pretrained.vectors.shape[1]
    if width != weight.shape[1]:
        raise ValueError(
            f"vectors={path}: {width} numbers a word, but model.embedding_size={weight.shape[1]}; "
            f"accepted: model.embedding_size={width}"
        )
    found = torch.from_numpy(pretrained.found)
    with torch.no_grad():
        weight[found] = torch.from_numpy(pretrained.vectors)[found]
    print(f"{path}: vectors of {int(found.sum())} of {len(vocabulary)} words ({pretrained.coverage:.1%})", flush=True)
