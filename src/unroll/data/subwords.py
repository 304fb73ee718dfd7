"""Splits words into frequent subwords, so that rare words share parts with known ones."""

import io
from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Literal

from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

SubwordModel = Literal["bpe", "unigram"]
INSIDE = "##"  # prefix of every subword except the first of a word
_LONGEST = 100  # characters; longer words are not split, because a unigram model takes quadratic time


class Subwords:
    """A trained subword model; `model` is a serialised SentencePiece model (Kudo and Richardson 2018)."""

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._processor = SentencePieceProcessor(model_proto=model)
        self._lengths: dict[str, list[int]] = {}  # cached lengths of the subwords of each word

    @classmethod
    def train(cls, counts: Mapping[str, int], model: SubwordModel, size: int) -> "Subwords":
        """Train byte pair encoding (Sennrich et al. 2016) or a unigram model (Kudo 2018) with at most `size` subwords.

        `counts` contains the frequencies of the words. The result is deterministic for words in the same order.

        Raises:
            ValueError: `size` is below the number of characters in the words.
        """
        written = io.BytesIO()
        # SentencePiece would split a word at white space.
        words = {word: count for word, count in counts.items() if len(word) <= _LONGEST and len(word.split()) == 1}
        try:
            SentencePieceTrainer.train(
                sentence_iterator=(f"{word}\t{count}" for word, count in words.items()),
                input_format="tsv",
                model_writer=written,
                model_type=model,
                vocab_size=size,
                hard_vocab_limit=False,
                num_threads=1,  # several threads sum in varying order
                normalization_rule_name="identity",
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                character_coverage=1.0,
                bos_id=-1,
                eos_id=-1,
                minloglevel=3,
            )
        except RuntimeError as error:
            characters = len(set().union(*words))
            raise ValueError(
                f"tokenizer.subword_vocabulary={size}: the training split has {characters} characters, each of which "
                f"is a subword; accepted: {characters + 1} or more"
            ) from error
        return cls(written.getvalue())

    def split(self, token: str, word: str) -> list[str]:
        """Split `token` where the model splits `word`, its entry of the vocabulary."""
        if word not in self._lengths:
            pieces = [word] if len(word) > _LONGEST else self._processor.encode(word, out_type=str)
            self._lengths[word] = [len(piece) for piece in pieces]
        lengths = self._lengths[word]
        if sum(lengths) != len(token):  # lower-casing can change the length
            return [token]
        bounds = pairwise(accumulate(lengths, initial=0))
        return [f"{INSIDE if start else ''}{token[start:end]}" for start, end in bounds]
