"""CPU seconds and memory of reading generated files of word vectors, the first time and again.

    python -m benchmarks.vector_files [--sizes 400000x100 2000000x300] [--folder FOLDER]

A size is words × numbers per word. The vocabulary has 20,000 words of the file. Memory is the peak of the resident set
of the process that reads the vectors (Linux).
"""

import argparse
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np

from unroll.data.schema import DataSchema
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import SPECIAL_WORDS
from unroll.data.vectors import cache
from unroll.data.vectors.files import VectorsFile
from unroll.data.vectors.read import read_words

WORDS = 20_000
LIMIT = 50_000


class Cost(NamedTuple):
    seconds: float
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.vector_files",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", nargs="+", default=["400000x100", "2000000x300"])
    parser.add_argument("--folder", type=Path, default=None, help="for temporary files, up to 6 GB")
    arguments = parser.parse_args()
    columns = ["words", "numbers", "GB", "words/s", "checksum", "vectors", "memory", "again", "first 50,000 words"]
    print(f"| {' | '.join(columns)} |\n|{'---:|' * len(columns)}", flush=True)
    for size in arguments.sizes:
        words, width = map(int, size.split("x"))
        with tempfile.TemporaryDirectory(dir=arguments.folder) as work:
            path = Path(work) / "vectors.txt"
            generate(path, words, width)
            gigabytes = path.stat().st_size / 1e9
            steps = (checksum, vectors, vectors, first_words)
            summed, first, again, limited = measured(steps, path, range(0, words, max(1, words // WORDS)))
        print(
            f"| {words:,} | {width} | {gigabytes:.2f} | {words / first.seconds:,.0f} | {summed.seconds:.1f} s | "
            f"{first.seconds:.1f} s | {first.megabytes:.0f} MB | {again.seconds:.2f} s | {limited.seconds:.2f} s |",
            flush=True,
        )


def generate(path: Path, words: int, width: int) -> None:
    """Write a file of text, with 2,000 different vectors."""
    rows = np.random.default_rng(0).normal(0, 0.4, (min(words, 2000), width))
    lines = [b" ".join(b"%.5f" % value for value in row) for row in rows]
    with path.open("wb", buffering=1 << 22) as file:
        file.writelines(b"w%d %b\n" % (i, lines[i % len(lines)]) for i in range(words))


def measured(steps: tuple[Callable[[Path, range], None], ...], path: Path, chosen: range) -> Iterator[Cost]:
    """The cost of each step, one after the other, in a new process each."""
    for step in steps:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            yield pool.submit(cost, step, path, chosen).result()


def cost(step: Callable[[Path, range], None], path: Path, chosen: range) -> Cost:
    start = time.process_time()
    # the file has just been written, and nothing but the checksum's caution would tell it from an old one
    with patch.object(cache, "vectors_folder", lambda: path.parent), patch.object(cache, "RECENT", 0):
        step(path, chosen)
    seconds = time.process_time() - start
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return Cost(seconds, int(found[1]) / 1024)


def checksum(path: Path, chosen: range) -> None:
    cache.checksum(path)


def vectors(path: Path, chosen: range) -> None:
    vocabulary = [*SPECIAL_WORDS, *(f"w{i}" for i in chosen)]
    schema = DataSchema("classification", ["any"], vocabulary, SPECIAL_WORDS, Tokenizer(), False)
    assert cache.vectors_of(VectorsFile(path), schema).found.sum() == len(chosen)


def first_words(path: Path, chosen: range) -> None:
    read_words(VectorsFile(path), limit=LIMIT)


if __name__ == "__main__":
    main()
