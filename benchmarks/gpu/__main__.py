"""Check every shipped network on a GPU against the CPU, and measure its speed.

    python -m benchmarks.gpu [--device cuda] [--only checks encoders crf cells training precision] [--minutes 6]

It needs PyTorch, NumPy and PyYAML, and no dataset: the batches are made up, in the shapes of imdb and conll2003. A row
that fails is printed with its error, and the others follow. A ratio above 1 means that the package is better. The exit
status is 1 if a check or a row failed.

`--device cpu` computes everything with small sizes, which shows that the command works, but nothing about speed.
"""

import argparse
import platform
import sys
import time
from collections.abc import Iterator

import torch

from benchmarks.gpu import checks, parts, training
from benchmarks.gpu.setting import Measurement, NotRun, Setting

HEADER = """\
| | ours | other | other is | ratio | wanted | |
|---|---|---|---|---|---|---|"""
GROUPS = {
    "checks": checks.measurements,
    "encoders": parts.encoders,
    "crf": parts.crf,
    "cells": parts.cells,
    "training": training.measurements,
    "precision": training.precisions,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--only", nargs="+", default=list(GROUPS), choices=list(GROUPS), metavar="group")
    parser.add_argument("--minutes", type=float, default=6.0, help="no row is started after that")
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        print(f"error: PyTorch {torch.__version__} finds no GPU; accepted: --device cpu", file=sys.stderr)
        return 2
    setting = Setting(torch.device(given.device), is_small=given.device == "cpu")
    torch.set_num_threads(1)
    print(describe(setting.device), end="\n\n")
    if setting.is_small:
        print("Small sizes, whatever the names say: the times show nothing.", end="\n\n")
    print(HEADER, flush=True)
    end = time.monotonic() + 60 * given.minutes
    failed, left_out = 0, []
    for group in given.only:
        for measurement in GROUPS[group](setting):
            if time.monotonic() > end:
                left_out.append(measurement.name)
                continue
            for text in lines(measurement):
                print(text, flush=True)
                failed += text.startswith("| FAILED")
    print("", *(f"not run, {given.minutes:g} minutes are over: {name}" for name in left_out), sep="\n")
    print(f"{failed} failed, {len(left_out)} not run")
    return 1 if failed else 0


def lines(measurement: Measurement) -> Iterator[str]:
    """The lines of the table of a measurement; one line with the reason if it fails or cannot run here."""
    try:
        for row in measurement.rows():
            yield row.line()
    except (ModuleNotFoundError, NotRun) as error:
        yield f"| {measurement.name} | | | | | | not run: {error} |"
    except Exception as error:  # the others are measured all the same
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        yield f"| FAILED: {measurement.name} | | | | | | {reason[:300]} |"


def describe(device: torch.device) -> str:
    """The machine and the versions."""
    facts = [f"Python {platform.python_version()}", f"PyTorch {torch.__version__}"]
    if device.type == "cuda":
        name, (major, minor) = torch.cuda.get_device_name(), torch.cuda.get_device_capability()
        facts = [f"{name} (capability {major}.{minor})", *facts, f"CUDA {torch.version.cuda}"]
        facts.append(f"cuDNN {torch.backends.cudnn.version()}")
    try:
        import triton

        facts.append(f"Triton {triton.__version__}")
    except ModuleNotFoundError:
        facts.append("no Triton")
    return ", ".join(facts)


if __name__ == "__main__":
    raise SystemExit(main())
