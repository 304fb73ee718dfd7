"""`python -m unroll.data.demo [FOLDER]` generates the demo corpora in FOLDER, by default data/demo."""

import argparse
from pathlib import Path

from unroll.data.demo import build

parser = argparse.ArgumentParser(prog="python -m unroll.data.demo", description="Generate the demo corpora.")
parser.add_argument("folder", nargs="?", type=Path, default=Path("data/demo"), help="default: %(default)s")
build(parser.parse_args().folder)
