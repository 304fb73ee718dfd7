"""The built wheel alone in an empty environment: what it installs, and that an exported model predicts there.

    python -m benchmarks.wheel [MODEL]

MODEL is an exported model folder; by default one of initial weights of conf/model/bilstm.yaml for the demo reviews. The
wheel is installed without extras, in the versions of constraints.txt. The commands run in an empty folder, where this
project cannot be imported; status 1 if one fails, or predicts otherwise than here. pip needs a package index.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.environments import environment, foreign, megabytes
from benchmarks.shipped import demo_reviews, untrained
from unroll.inference.exporting.export import export
from unroll.inference.predictor import Predictor

PROJECT = Path(__file__).resolve().parent.parent
SOURCES = ("pyproject.toml", "README.md", "LICENSE")
SIZES = """
import json
from importlib.metadata import distributions
def size(files):
    return sum(path.stat().st_size for path in files if path.exists()) / 1e6
print(json.dumps({it.name: size([file.locate() for file in it.files or []]) for it in distributions()}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.wheel", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, nargs="?")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        model, place = work / "model", work / "empty"
        place.mkdir()
        if arguments.model:
            shutil.copytree(arguments.model, model)
        else:
            export(untrained(work), model)
        wheel = build(work)
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        start = time.perf_counter()
        python = environment(work / "environment", str(wheel), "--constraint", str(PROJECT / "constraints.txt"))
        print(f"installed in {time.perf_counter() - start:.0f} s: {sizes(python, work / 'environment')}")
        run(python, place, "unroll --help", "--help")
        predicts(python, place, model, demo_reviews()[:100])


def build(work: Path) -> Path:
    """Build the wheel from a copy of what is here, since building writes beside the sources; return its path."""
    copy = work / "sources"
    shutil.copytree(PROJECT / "src", copy / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in SOURCES:
        shutil.copy(PROJECT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(work), str(copy)], check=True)
    (wheel,) = work.glob("*.whl")
    return wheel


def sizes(python: Path, folder: Path) -> str:
    """The megabytes of the environment, and those of each package that has one or more."""
    done = subprocess.run([python, "-c", SIZES], env=foreign(), stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    largest = sorted(found.items(), key=lambda it: -it[1])
    listed = ", ".join(f"{name} {size:.0f}" for name, size in largest if size >= 1)
    return f"{len(found)} packages, {megabytes(folder):.0f} MB, of which {listed}"


def run(python: Path, place: Path, title: str, *arguments: str) -> str:
    """Run ``unroll`` in a folder; print the time that it took, and return what it wrote."""
    before, start = os.times(), time.perf_counter()
    command = [str(python.with_name("unroll")), *arguments]
    done = subprocess.run(command, cwd=place, env=foreign(), stdout=subprocess.PIPE, text=True)
    seconds, after = time.perf_counter() - start, os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"{title}: {seconds:.2f} s, {spent:.2f} s of CPU time", flush=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)}: status {done.returncode}")
    return done.stdout


def predicts(python: Path, place: Path, model: Path, texts: list[str]) -> None:
    """Predict for a text, and for a file of texts; the answers must be those of this process."""
    expected = [{"text": text, **it} for text, it in zip(texts, Predictor.load(model).predict(texts), strict=True)]
    check(run(python, place, "unroll predict TEXT", "predict", texts[0], f"--model={model}"), expected[:1])
    (place / "texts.txt").write_text("".join(f"{text}\n" for text in texts))
    check(
        run(python, place, f"unroll predict, {len(texts)} texts", "predict", "--file=texts.txt", f"--model={model}"),
        expected,
    )
    print("The answers are equal to those of this process.")


def check(output: str, expected: list[dict[str, Any]]) -> None:
    found = [json.loads(line) for line in output.encode().splitlines()]
    if found != expected:
        sys.exit(f"error: other answers than here: {found[:1]} and {expected[:1]}")


if __name__ == "__main__":
    main()
