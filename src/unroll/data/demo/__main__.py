"""`python -m unroll.data.demo [FOLDER]` writes the demo corpora again, into data/demo unless told otherwise."""

import argparse
from pathlib import Path

from unroll.data.demo.build import build

parser = argparse.ArgumentParser(prog="python -m unroll.data.demo", description="Write the demo corpora.")
parser.add_argument("folder", nargs="?", type=Path, default=Path("data/demo"), help="default: %(default)s")
build(parser.parse_args().folder)
