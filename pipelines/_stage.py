"""`stage` of the package beside this folder, whichever checkout is installed; also for the processes of a script.

An environment has one checkout installed, but `dvc exp run --temp` and `--queue` run the scripts of copies of it. A
script therefore imports this module before anything of the package.
"""

import os
import sys
from pathlib import Path
from types import TracebackType


def _say_interrupted(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    """Print one line for Ctrl-C while the packages are imported; later, the stage does."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, place)


sys.excepthook = _say_interrupted

SOURCE = str(Path(__file__).resolve().parents[1] / "src")
sys.path.insert(0, SOURCE)
others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", SOURCE)]
os.environ["PYTHONPATH"] = os.pathsep.join([SOURCE, *others])

from unroll.stage import stage as stage  # noqa: E402
