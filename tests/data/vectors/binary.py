"""Writes the binary formats of fastText and word2vec, field by field as their programs do."""

import struct
from collections.abc import Sequence

import numpy as np


def fasttext(
    words: Sequence[str],
    vectors: np.ndarray,
    buckets: int = 0,
    ngrams: tuple[int, int] = (0, 0),
    labels: Sequence[str] = (),
    version: int = 12,
    quantised: bool = False,
) -> bytes:
    """`vectors` (len(words) + buckets, D): those of the words, then those of the n-grams."""
    rows, width = vectors.shape
    options = [width, 5, 5, 1, 5, 1, 2, 2, buckets, *ngrams, 100]
    parts = [struct.pack("<ii", 793712314, version), struct.pack("<12i", *options), struct.pack("<d", 1e-4)]
    parts.append(struct.pack("<iii", len(words) + len(labels), len(words), len(labels)) + struct.pack("<qq", 99, -1))
    for kind, names in enumerate((words, labels)):
        parts += [name.encode() + b"\0" + struct.pack("<q", 7) + struct.pack("<b", kind) for name in names]
    parts.append(struct.pack("<?", quantised) + struct.pack("<qq", rows, width) + vectors.astype("<f4").tobytes())
    parts.append(struct.pack("<?", False) + struct.pack("<qq", 1, width) + bytes(4 * width))  # the output matrix
    return b"".join(parts)


def word2vec(words: Sequence[str], vectors: np.ndarray, end: bytes = b"\n") -> bytes:
    header = f"{len(words)} {vectors.shape[1]}\n".encode()
    rows = zip(words, vectors.astype("<f4"), strict=True)
    return header + b"".join(word.encode() + b" " + row.tobytes() + end for word, row in rows)
