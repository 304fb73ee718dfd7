"""Every way of predicting gives the same answers: a table of ways and tasks; status 1 if any way differs.

    python -m benchmarks.ways [FOLDER] [--rows 1000] [--only classification pairs tokens sentences]

A model of each kind is trained for three epochs, exported and registered in a new store; then the first rows of the
test split are predicted in every way. Expected are the answers of `Predictor` in PyTorch. Datasets are the demo
datasets, or copies of rotten_tomatoes and conll2003 in FOLDER, in the Hub's layout. Seconds are those of the whole way,
with the start of a process, a server or a cluster.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.registered import register
from benchmarks.ways.cases import CASES, Case, cases
from benchmarks.ways.comparison import TOLERANCE, agreement
from benchmarks.ways.ways import WAYS, in_server, why_not
from unroll.inference.predictor import Predictor
from unroll.project import project_root, set_environment


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ways", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--only", nargs="+", default=list(CASES), choices=list(CASES), metavar="task")
    arguments = parser.parse_args()
    set_environment(project_root())
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{work}/mlflow.db"
        all_equal = True
        for case in cases(arguments.folder, arguments.rows, arguments.only, work):
            register(case.trained)
            print(f"\n| {case.name} | rows | equal | greatest difference of probabilities | seconds |")
            print("|---|---|---|---|---|", flush=True)
            all_equal &= compare(case)
    if not all_equal:
        sys.exit(f"error: answers differ; accepted: equal ones, probabilities to {TOLERANCE}")


def compare(case: Case) -> bool:
    """Print a line of the table for each way; return whether all agree."""
    expected = {way: Predictor.load(case.trained).predict(case.rows, probabilities=way) for way in (True, False)}
    all_equal = True
    for name, way in WAYS.items():
        if reason := why_not(name, case):
            print(f"| {name} | {reason} | | | |", flush=True)
            continue
        start = time.perf_counter()
        found = agreement(expected[way is not in_server], way(case))
        seconds = time.perf_counter() - start
        all_equal &= found.is_complete
        print(f"| {name} | {found.rows} | {found.equal} | {found.difference:.0e} | {seconds:.1f} |", flush=True)
    return all_equal


if __name__ == "__main__":
    main()
