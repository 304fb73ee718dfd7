"""Test scores of all stages on public datasets: mean and standard deviation over seeds, time and peak memory.

    python benchmarks/real_data.py FOLDER [rotten_tomatoes conll2003 imdb]

FOLDER contains a copy of each dataset in the Hub's layout.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from unroll.files import read_json

PROJECT = Path(__file__).resolve().parent.parent


class Case(NamedTuple):
    model: str
    seeds: tuple[int, ...]
    metric: str
    overrides: tuple[str, ...] = ()


CASES = {
    "rotten_tomatoes": Case("bilstm", (1, 2, 3), "test/accuracy"),
    "conll2003": Case("bilstm", (1, 2, 3), "test/f1"),
    "imdb": Case("bilstm", (1,), "test/accuracy", ("trainer.max_epochs=3",)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("datasets", nargs="*", default=list(CASES), choices=list(CASES), metavar="dataset")
    arguments = parser.parse_args()
    print("| dataset | model | seeds | metric | mean ± sd | training per seed | peak memory |")
    print("|---|---|---|---|---|---|---|")
    for dataset in arguments.datasets:
        print(run(dataset, CASES[dataset], arguments.folder / dataset), flush=True)


def run(dataset: str, case: Case, folder: Path) -> str:
    """Run the stages of one case; return its row of the table."""
    peak = max(
        stage("download", f"dataset={dataset}", f"dataset.path={folder}"),
        stage("prepare", f"dataset={dataset}"),
    )
    scores, seconds = [], []
    for seed in case.seeds:
        names = [f"dataset={dataset}", f"model={case.model}", f"seed={seed}"]
        peak = max(peak, stage("train", *names, *case.overrides), stage("evaluate", *names))
        output = PROJECT / "models" / dataset / case.model / str(seed)
        scores.append(read_json(output / "metrics.json")[case.metric])
        seconds.append(read_json(output / "run.json")["training_seconds"])
    spread = f" ± {stdev(scores):.2%}" if len(scores) > 1 else ""
    return (
        f"| {dataset} | {case.model} | {len(scores)} | {case.metric} | {mean(scores):.2%}{spread} "
        f"| {mean(seconds):.0f} s | {peak / 2**30:.1f} GiB |"
    )


def stage(name: str, *overrides: str) -> int:
    """Run a stage script; return its peak memory in bytes."""
    start = time.perf_counter()
    script = [sys.executable, str(PROJECT / "pipelines" / f"{name}.py"), *overrides]
    process = subprocess.Popen(script, cwd=PROJECT, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # or Popen would wait for the process a second time
    if process.returncode:
        sys.exit(f"{name} {' '.join(overrides)} failed")
    print(f"{name} {' '.join(overrides)}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return usage.ru_maxrss * 1024


if __name__ == "__main__":
    main()
