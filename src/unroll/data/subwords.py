"""Words cut into frequent pieces, so that no word is wholly unknown."""

import io
from collections.abc import Mapping
from typing import Literal

from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

SubwordModel = Literal["bpe", "unigram"]
INSIDE = "##"  # begins each piece that does not begin its word
_LONGEST = 100  # characters: a longer word is one piece, since a unigram model takes time by the square


class Subwords:
    """A trained model of pieces.

    Args:
        model: as SentencePiece writes it (Kudo and Richardson 2018).
    """

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._processor = SentencePieceProcessor(model_proto=model)
        self._lengths: dict[str, list[int]] = {}  # of the pieces of words met before

    @classmethod
    def train(cls, counts: Mapping[str, int], model: SubwordModel, size: int) -> "Subwords":
        """Train on words and how often each was met; the model has at most `size` pieces.

        Byte pair encoding is that of Sennrich et al. 2016, the unigram model that of Kudo 2018. Equal words in equal
        order give equal bytes.

        Raises:
            ValueError: `size` is not enough for the characters of the words.
        """
        written = io.BytesIO()
        # White space inside a word would read as another word.
        words = {word: count for word, count in counts.items() if len(word) <= _LONGEST and len(word.split()) == 1}
        try:
            SentencePieceTrainer.train(
                sentence_iterator=(f"{word}\t{count}" for word, count in words.items()),
                input_format="tsv",
                model_writer=written,
                model_type=model,
                vocab_size=size,
                hard_vocab_limit=False,
                num_threads=1,  # several would add up in another order each time
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
                f"tokenizer.subword_vocabulary={size}: the training split has {characters} characters, each a piece of "
                f"its own; accepted: {characters + 1} or more"
            ) from error
        return cls(written.getvalue())

    def cut(self, token: str, word: str) -> list[str]:
        """The pieces of `token`, as they are written in it; `word` is what the model was trained to read of it."""
        lengths = self._lengths.get(word)
        if lengths is None:
            lengths = self._lengths[word] = self._cut(word)
        if sum(lengths) != len(token):  # lower case may be longer
            return [token]
        pieces, start = [], 0
        for length in lengths:
            pieces.append(f"{INSIDE if start else ''}{token[start : start + length]}")
            start += length
        return pieces

    def _cut(self, word: str) -> list[int]:
        if len(word) > _LONGEST:
            return [len(word)]
        return [len(piece) for piece in self._processor.encode(word, out_type=str)]
