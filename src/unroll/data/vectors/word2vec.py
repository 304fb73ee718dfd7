"""Word vectors in word2vec's binary format: a header, then of every word its name, a space and float32 numbers."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from unroll.data.vectors.text import HEADER, is_finite

_LONGEST_WORD = 1 << 16  # bytes


class Record(NamedTuple):
    """A word and its numbers, float32 in little-endian order."""

    name: str
    number: int
    spelling: bytes
    content: bytes

    def word(self) -> str:
        return self.spelling.decode(errors="replace")

    def vector(self) -> np.ndarray:
        vector = np.frombuffer(self.content, "<f4")
        if not is_finite(vector):
            raise ValueError(f"{self.name}, word {self.number}: a value that is not finite; accepted: finite numbers")
        return vector

    @property
    def width(self) -> int:
        return len(self.content) // 4


def read_records(stream: BinaryIO, name: str) -> Iterator[Record]:
    """The words in the order of the file; `name` is that of the file, for errors.

    Raises:
        ValueError: the file has another format, or ends early.
    """
    header = HEADER.fullmatch(stream.readline(100).rstrip())
    if header is None:
        raise ValueError(
            f"{name}: neither fastText's nor word2vec's binary format; accepted: one of them, or text in a file with "
            "another ending than .bin"
        )
    count, size = int(header[0].split()[0]), 4 * int(header[1])
    for number in range(1, count + 1):
        spelling = _until_space(stream)
        content = stream.read(size)
        if spelling is None or len(content) < size:
            raise ValueError(f"{name} ends in word {number} of {count}; accepted: the whole file")
        yield Record(name, number, spelling.lstrip(b"\n"), content)


def _until_space(stream: BinaryIO) -> bytes | None:
    """The bytes up to the next space, which is read too; None if there is none."""
    spelling = bytearray()
    while byte := stream.read(1):
        if byte == b" ":
            return bytes(spelling)
        spelling += byte
        if len(spelling) > _LONGEST_WORD:
            break
    return None
