"""Commands that sweep, on functions that take no time."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SCRIPT = """
import os, signal, time
from unroll.stage import stage
from unroll.exceptions import StoreUnavailable

@stage
def main(config):
    if config.x == config.fails_at:
        raise ValueError(f"x={config.x}; accepted: other numbers")
    if config.x == config.dies_at:
        os.kill(os.getpid(), signal.SIGKILL)
    if config.x == config.offline_at and not os.path.exists("back"):
        raise StoreUnavailable("MLFLOW_TRACKING_URI='http://here' cannot be used: refused")
    print(f"x is {config.x}", flush=True)
    time.sleep(config.seconds)
    while config.waits_for and not os.path.exists(config.waits_for):
        time.sleep(0.1)
    value = -((config.x - 3) ** 2)
    return value if len(config.objectives) == 1 else [value, config.x]

if __name__ == "__main__":
    main()
"""
CONFIG = """
defaults:
  - hydra: stage
  - _self_
  - sweep: null
x: 0.0
name: a
seconds: 0.0
fails_at: null
dies_at: null
offline_at: null
waits_for: null
objectives: [best_score]
hydra:
  output_subdir: null
  sweep: {dir: multirun/here, subdir: "${hydra:job.num}"}
  callbacks:
    parent: {_target_: unroll.sweep.multirun.ParentRun, run_id: null}
"""


class Commands:
    """A project whose one command is `python pipelines/hill.py`: its height is greatest, and 0, at x=3."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "pipelines").mkdir()
        (root / "pipelines/hill.py").write_text(SCRIPT)
        (root / "conf/hydra").mkdir(parents=True)
        (root / "conf/hill.yaml").write_text(CONFIG)
        for part in ("hydra/stage.yaml", "hydra/sweeper", "sweep"):
            (root / "conf" / part).symlink_to(PROJECT / "conf" / part)
        self.tracking = f"sqlite:///{root}/mlflow.db"
        self.storage = f"sqlite:///{root}/optuna.db"

    def start(self, *overrides: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "pipelines/hill.py", *overrides],
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": str(PROJECT / "src"), "MLFLOW_TRACKING_URI": self.tracking},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *overrides: str, status: int = 0) -> str:
        """What the command printed; it must end with the status."""
        process = self.start(*overrides)
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == status, printed
        return printed
