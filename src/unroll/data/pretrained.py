"""What the pretrain stage writes and a training starts from: `pretrained/NAME/`, safetensors and JSON only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from unroll.data.prepared import PreparedData
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import SPECIAL_WORDS
from unroll.files import check_files, read_json, reading, sha256, whole_file, write_json

Kind = Literal["vectors", "language_model"]
PRETRAINED = Path("pretrained")  # what the pretrain stage has made, a folder a name


@dataclass(frozen=True, eq=False)
class Pretrained:
    """Weights learned from unlabelled text, and the words that they belong to.

    Args:
        kind: `vectors`, word vectors alone; `language_model`, an encoder with its embeddings.
        vocabulary: the words by id, special words first, then by descending count.
        tokenizer: splits texts into tokens and maps tokens to words of the vocabulary.
        config: what the weights were built from. For `vectors` the options of the subwords, see
            `unroll.data.subword_vectors`; for `language_model` the file of ``conf/model`` whose embedding and encoder
            they are.
        weights: arrays by name, float32. `words` (V, E) are the vectors of the words in both kinds. `subwords`
            (buckets, E) are those of hashed character n-grams, which give other words a vector; `vectors` only. The
            others are the state of the embedding and the encoder, with the names that `SequenceModel` gives them;
            `language_model` only.
    """

    kind: Kind
    vocabulary: list[str]
    tokenizer: Tokenizer
    config: dict[str, Any]
    weights: dict[str, np.ndarray]

    CONFIG: ClassVar = "config.json"
    VOCABULARY: ClassVar = "vocabulary.json"
    WEIGHTS: ClassVar = "weights.safetensors"

    def save(self, folder: Path) -> None:
        """Write all into `folder`, which exists; the caller adds its own files, then checksums."""
        from safetensors.numpy import save_file

        write_json(folder / self.CONFIG, {"kind": self.kind, "config": self.config})
        write_json(folder / self.VOCABULARY, self.vocabulary)
        self.tokenizer.save(folder)
        with whole_file(folder / self.WEIGHTS) as temporary:
            save_file(self.weights, temporary)

    @classmethod
    def load(cls, folder: Path) -> "Pretrained":
        """Read what `save` wrote.

        Raises:
            ValueError: `folder` contains nothing pretrained, or files that are not what was written.
        """
        from safetensors.numpy import load_file

        remedy = f"recreate it with python pipelines/pretrain.py name={folder.name}"
        if not (folder / cls.CONFIG).is_file():
            command = f"python pipelines/pretrain.py name={folder.name} corpus=NAME"
            raise ValueError(f"{folder} contains nothing pretrained; run first: {command}")
        check_files(folder, remedy)
        with reading(folder, remedy):
            described = read_json(folder / cls.CONFIG, keys=("kind", "config"))
            vocabulary, weights = read_json(folder / cls.VOCABULARY), load_file(folder / cls.WEIGHTS)
            if described["kind"] not in get_args(Kind):
                raise ValueError(f"kind={described['kind']!r}; accepted: {', '.join(get_args(Kind))}")
            if vocabulary[: len(SPECIAL_WORDS)] != SPECIAL_WORDS or len(vocabulary) != len(weights["words"]):
                raise ValueError(f"{cls.VOCABULARY} and {cls.WEIGHTS} do not belong together")
            return cls(described["kind"], vocabulary, Tokenizer.load(folder), described["config"], weights)


def pretrained_folder(name: str) -> Path:
    """The folder of pretrained weights: ``pretrained/NAME``, or `name` itself if that is the path of one.

    Raises:
        ValueError: there is none.
    """
    for folder in (PRETRAINED / name, Path(name)):
        if (folder / Pretrained.CONFIG).is_file():
            return folder
    found = ", ".join(sorted(it.parent.name for it in PRETRAINED.glob(f"*/{Pretrained.CONFIG}")))
    raise ValueError(
        f"pretrained={name}: neither {PRETRAINED / name} nor {name} contains pretrained weights; accepted: "
        f"{found or 'what python pipelines/pretrain.py has made (nothing yet)'}, or the path of such a folder"
    )


def pretrained_checksum(name: str, data: PreparedData) -> str:
    """SHA-256 of the files that a training reads, and of the words of the data that only the weights may know."""
    read = (Pretrained.CONFIG, Pretrained.VOCABULARY, Pretrained.WEIGHTS, *Tokenizer.FILES)
    files = [*(pretrained_folder(name) / file for file in read), data.other_words_file]
    return sha256(*(file for file in files if file.is_file()))
