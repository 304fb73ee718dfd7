"""Reads files of lines piece by piece: what CSV, TSV and JSON lines have in common."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from unroll.data.text_files import extension

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class TextInput:
    """An open file in UTF-8, plain or gzip, whose lines end in LF or CRLF."""

    def __init__(self, file: Path) -> None:
        self.problem = f"{file} cannot be read as {extension(file)}"
        with self.reading():
            self.stream = _open(file)
            start = self.stream.read(4)
        if start[:2] in _UTF16 or b"\0" in start:
            raise ValueError(f"{self.problem}: it is not UTF-8; accepted: UTF-8")
        self.first = len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0  # byte after the mark

    def bytes_of(self, start: int, stop: int) -> bytes:
        """These bytes; of a compressed file, those behind the ones that were read last are found fastest."""
        with self.reading():
            self.stream.seek(start)
            return self.stream.read(stop - start)

    def cut_lines(self, start: int, line: int, size: int) -> Iterator[tuple[int, int, int]]:
        """Divide the rows from a byte on, which is in this line: see `Input.cut`."""
        while True:
            with self.reading():
                self.stream.seek(start)
                lines = self.whole_rows(self.stream.readlines(size))
            if not lines:
                break
            stop = start + sum(map(len, lines))
            yield start, stop, line
            start, line = stop, line + len(lines)

    def whole_rows(self, lines: list[bytes]) -> list[bytes]:
        """The lines that were read last, and those that complete their last row; here a line is a row."""
        return lines

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what the file system and the decompression raise into a ValueError."""
        try:
            yield
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{self.problem}: {error}") from error


def _open(file: Path) -> IO[bytes]:
    if file.suffix.lower() != ".gz":
        return file.open("rb")
    return io.BufferedReader(cast(io.RawIOBase, gzip.open(file, "rb")), 1 << 16)
