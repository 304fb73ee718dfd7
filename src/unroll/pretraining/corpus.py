"""Unlabelled text as arrays on disk."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from unroll.data.encoding import TokenEncoder, TokenTable, build_vocabulary, write_array
from unroll.data.prepare.split_rows import SplitRows, save_blocks
from unroll.data.ragged import Ragged
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import SPECIAL_WORDS, UNKNOWN
from unroll.files import CHECKSUMS, check_files, json_digest, read_json, reading, write_checksums, write_json


@dataclass(frozen=True, eq=False)
class TokenCorpus:
    """Documents of tokens, memory-mapped.

    Args:
        vocabulary: the words by id, special words first, then by descending count.
        counts: (V,) the number of occurrences of each word in `sequences`; 0 for special words.
        alphabet: the characters by id, special entries first.
        tokenizer: divided the texts into tokens, and maps tokens to words of the vocabulary.
        table: the distinct tokens.
        sequences: the tokens of each document, int32 rows of `table`.
        held_out: the documents that no weights are learned from, for the perplexity.
        checksum: of all of these.
    """

    vocabulary: list[str]
    counts: np.ndarray
    alphabet: list[str]
    tokenizer: Tokenizer
    table: TokenTable
    sequences: Ragged
    held_out: Ragged
    checksum: str

    DESCRIPTION: ClassVar = "corpus.json"
    PARTS: ClassVar = ("sequences", "held_out")

    @classmethod
    def write(
        cls, folder: Path, documents: SplitRows, held_out: SplitRows, tokenizer: Tokenizer, known: int
    ) -> dict[str, Any]:
        """Write a corpus into `folder`, which exists, without its description; return the numbers of what it has.

        Args:
            documents, held_out: of one corpus in memory.
            known: the number of its distinct tokens, from the first, that may occur in these.
        """
        words: Counter[str] = Counter()
        characters: Counter[str] = Counter()
        for token, count in documents.count_tokens().items():
            words[tokenizer.word(token)] += count
            characters.update(set(token))
        vocabulary, alphabet = build_vocabulary(words, 1), build_vocabulary(characters, 2)
        distinct = [token for token, _ in zip(documents.corpus.distinct, range(known), strict=False)]
        table = TokenEncoder(vocabulary, alphabet, tokenizer.word).encode(distinct)
        write_json(folder / "vocabulary.json", vocabulary)
        write_json(folder / "alphabet.json", alphabet)
        tokenizer.save(folder)
        table.save(folder / "tokens")
        write_array(folder / "counts.npy", np.array([words[word] for word in vocabulary], np.int64))
        for name, rows in zip(cls.PARTS, (documents, held_out), strict=True):
            (folder / name).mkdir()
            write_array(folder / name / "offsets.npy", np.concatenate([[0], np.cumsum(rows.lengths)]))
            save_blocks(folder / name / "tokens.npy", rows.blocks(), np.int32, rows.num_tokens)
        return {
            "documents": len(documents),
            "tokens": documents.num_tokens,
            "held_out_documents": len(held_out),
            "held_out_tokens": held_out.num_tokens,
            "words": len(vocabulary) - len(SPECIAL_WORDS),
        }

    @classmethod
    def describe(cls, folder: Path, description: dict[str, Any]) -> None:
        """Complete a folder with its description and checksums."""
        write_json(folder / cls.DESCRIPTION, description)
        write_checksums(folder)

    @classmethod
    def load(cls, folder: Path, remedy: str = "recreate it with python pipelines/pretrain.py") -> "TokenCorpus":
        """Memory-map a corpus.

        Raises:
            ValueError: `folder` contains none, or files that are not what was written.
        """
        if not (folder / cls.DESCRIPTION).is_file():
            raise ValueError(
                f"{folder} contains no corpus; run first: python pipelines/pretrain.py corpus={folder.name}"
            )
        check_files(folder, remedy)
        with reading(folder, remedy):
            documents, held_out = (
                Ragged(*(np.load(folder / part / f"{it}.npy", mmap_mode="r") for it in ("tokens", "offsets")))
                for part in cls.PARTS
            )
            of_content = {it: sha for it, sha in read_json(folder / CHECKSUMS).items() if it != cls.DESCRIPTION}
            return cls(
                vocabulary=read_json(folder / "vocabulary.json"),
                counts=np.load(folder / "counts.npy"),
                alphabet=read_json(folder / "alphabet.json"),
                tokenizer=Tokenizer.load(folder),
                table=TokenTable.load(folder / "tokens"),
                sequences=documents,
                held_out=held_out,
                checksum=json_digest(of_content),
            )

    def limited(self, min_count: int = 1, max_words: int | None = None) -> "TokenCorpus":
        """The same documents with fewer words: the `max_words` most frequent that occur `min_count` times or more.

        All others become `<unk>`, which has the sum of their counts.
        """
        special = len(SPECIAL_WORDS)
        size = special + int((self.counts[special:] >= min_count).sum())
        size = size if max_words is None else min(size, special + max_words)
        counts = self.counts[:size].copy()
        counts[UNKNOWN] += self.counts[size:].sum()
        words = np.where(self.table.words < size, self.table.words, UNKNOWN)
        return replace(self, vocabulary=self.vocabulary[:size], counts=counts, table=replace(self.table, words=words))
