"""Small folders of pretrained weights, as the pretrain stage writes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.tiny import tiny_parts
from unroll.data.prepared import PreparedData
from unroll.data.pretrained import Pretrained
from unroll.data.tokenizer import Tokenizer, TokenizerOptions
from unroll.data.tokens import SPECIAL_WORDS
from unroll.files import write_checksums
from unroll.inference.building import build_model

WIDTH = tiny_parts("gru")["model"]["embedding_size"]
ADDED = ["splendid", "dire"]  # words that no tiny dataset contains


def save(folder: Path, pretrained: Pretrained) -> str:
    folder.mkdir(parents=True)
    pretrained.save(folder)
    write_checksums(folder)
    return str(folder)


def save_vectors(
    folder: Path, words: Sequence[str], width: int = WIDTH, scale: float = 2.0, buckets: int = 0, **options: Any
) -> str:
    """Save random vectors of words, with subwords if there are `buckets`; return the folder.

    Args:
        options: of the tokenizer.
    """
    random = np.random.default_rng(3)
    weights = {"words": random.normal(scale=scale, size=(len(words) + 2, width)).astype(np.float32)}
    weights["words"][:2] = 0
    if buckets:
        weights["subwords"] = random.normal(size=(buckets, width)).astype(np.float32)
    tokenizer = Tokenizer(TokenizerOptions(**options))
    return save(folder, Pretrained("vectors", [*SPECIAL_WORDS, *words], tokenizer, {}, weights))


def save_language_model(folder: Path, data: PreparedData, model: str = "bilstm", **changes: Any) -> Pretrained:
    """Save the embedding and encoder of a network with random weights, for the words of a dataset and `ADDED`.

    Args:
        changes: keys of the model's configuration with other values.
    """
    config = tiny_parts(model)["model"] | changes
    joined = data.joined(ADDED)
    torch.manual_seed(9)
    state = build_model(config, joined.schema).state_dict()
    weights = {name: it.numpy().copy() for name, it in state.items() if not name.startswith("head.")}
    weights["words"] = weights.pop("embedding.words.weight")
    pretrained = Pretrained("language_model", joined.schema.vocabulary, data.schema.tokenizer, config, weights)
    save(folder, pretrained)
    return pretrained
