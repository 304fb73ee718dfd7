"""Tokens per second and peak memory of the prepare stage on generated reviews, for growing corpora.

    python -m benchmarks.preparing [--sizes 20000 200000 2000000] [--processes N] [--folder FOLDER]

The reviews have 225 tokens on average, of made-up words with frequencies by Zipf's law. Memory is the peak of the sum
of the proportional set sizes (PSS) of the stage's processes, which counts shared pages once.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from unroll.files import read_json, write_json

PROJECT = Path(__file__).resolve().parent.parent
GROUP = 4000  # reviews per row group, as in the download stage
WORDS = 300_000
MEAN_LENGTH, SPREAD = 200, 0.6  # words of a review: mean, and standard deviation of the logarithm
SCHEMA = pa.schema([("text", pa.string()), ("label", pa.int64())])
SHARES = {"train": 0.9, "validation": 0.05, "test": 0.05}
STYLES = np.array(["{}", "{}.", "{},", "{}!", "{}<br />"])
STYLE_SHARES = [0.88, 0.06, 0.04, 0.01, 0.01]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.preparing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[20_000, 200_000, 2_000_000])
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--folder", type=Path, default=None, help="for temporary files, up to 8 GB")
    arguments = parser.parse_args()
    print("| reviews | tokens | seconds | tokens/s | memory |\n|---:|---:|---:|---:|---:|")
    seconds = []
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as work:
            generate(Path(work) / "raw", size)
            elapsed, memory = prepare(Path(work), arguments.processes)
            splits = read_json(Path(work) / "prepared" / "dataset.json")["splits"]
        tokens = sum(facts["tokens"] for facts in splits.values())
        seconds.append(elapsed)
        print(
            f"| {size:,} | {tokens:,} | {elapsed:.1f} | {tokens / elapsed:,.0f} | {memory / 1e9:.2f} GB |", flush=True
        )
    if len(seconds) > 1:
        slope = np.polyfit(np.log(arguments.sizes), np.log(seconds), 1)[0]
        print(f"\nseconds grow with the number of reviews to the power of {slope:.2f}")


def generate(raw: Path, size: int, seed: int = 0) -> None:
    """Write a dataset in the form that the download stage writes."""
    rng = np.random.default_rng(seed)
    words = made_up_words(rng)
    shares = 1 / np.arange(1, WORDS + 1)
    ranks = np.cumsum(shares / shares.sum())
    raw.mkdir()
    splits = {}
    for split, share in SHARES.items():
        splits[split] = {"rows": round(size * share)}
        with pq.ParquetWriter(raw / f"{split}.parquet", SCHEMA) as file:
            for start in range(0, splits[split]["rows"], GROUP):
                count = min(GROUP, splits[split]["rows"] - start)
                file.write_table(
                    pa.table({"text": reviews(rng, words, ranks, count), "label": rng.integers(0, 2, count)})
                )
    source = {"path": "generated", "name": None, "revision": "main", "commit": None}
    write_json(raw / "manifest.json", source | {"label_names": ["negative", "positive"], "splits": splits})


def made_up_words(rng: np.random.Generator) -> np.ndarray:
    """Every word in each style, the frequent words short: (len(STYLES), WORDS)."""
    syllables = np.array([a + b for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er", "it")])
    words: dict[str, None] = {}
    while len(words) < WORDS:
        length = 1 + int(np.log10(1 + len(words)) / 1.5)
        words["".join(rng.choice(syllables, length + rng.integers(0, 2)))] = None
    return np.array([[style.format(word) for word in words] for style in STYLES], dtype=object)


def reviews(rng: np.random.Generator, words: np.ndarray, ranks: np.ndarray, count: int) -> list[str]:
    lengths = np.clip(rng.lognormal(np.log(MEAN_LENGTH) - SPREAD**2 / 2, SPREAD, count), 5, 2500).astype(int)
    styles = rng.choice(len(STYLES), lengths.sum(), p=STYLE_SHARES)
    drawn = words[styles, np.searchsorted(ranks, rng.random(lengths.sum()))].tolist()
    ends = np.cumsum(lengths)
    return [" ".join(drawn[end - length : end]) for end, length in zip(ends, lengths, strict=True)]


def prepare(work: Path, processes: int | None) -> tuple[float, int]:
    """Run the prepare stage; return its seconds and peak memory in bytes."""
    overrides = [f"raw={work}/raw", f"output={work}/prepared", f"processes={processes or 'null'}"]
    command = [sys.executable, str(PROJECT / "pipelines" / "prepare.py"), *overrides]
    start, peak = time.perf_counter(), 0
    with subprocess.Popen(command, cwd=work, stdout=subprocess.DEVNULL) as running:
        stage = psutil.Process(running.pid)
        while running.poll() is None:
            peak = max(peak, memory_of(stage))
            time.sleep(0.5)
    if running.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return time.perf_counter() - start, peak


def memory_of(stage: psutil.Process) -> int:
    """PSS of the process and its children, in bytes."""
    total = 0
    try:
        for process in [stage, *stage.children(recursive=True)]:
            total += process.memory_full_info().pss
    except psutil.Error:  # a process has ended meanwhile
        pass
    return total


if __name__ == "__main__":
    main()
