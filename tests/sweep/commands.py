"""Commands that sweep over a fast function, whose jobs can be held."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from time import sleep

from tests.databases import create_database
from tests.fork_server import bin_folder

PROJECT = Path(__file__).parents[2]
SCRIPT = """
import os, signal, time
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
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
    trial, job = (OmegaConf.select(HydraConfig.get(), key) for key in ("sweeper.trial", "job.num"))
    while os.path.exists(f"hold-{job if trial is None else trial}"):
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
fails_at: null
dies_at: null
offline_at: null
objectives: [best_score]
hydra:
  output_subdir: null
  sweep: {dir: multirun/here, subdir: "${hydra:job.num}"}
  callbacks:
    parent: {_target_: unroll.sweep.multirun.ParentRun, run_id: null}
"""


class Commands:
    """A project with the command `python pipelines/hill.py`, whose value has its maximum 0 at x=3.

    A job whose number is held prints its x, and ends when the number is released.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "pipelines").mkdir()
        (root / "pipelines/hill.py").write_text(SCRIPT)
        (root / "conf/hydra").mkdir(parents=True)
        (root / "conf/hill.yaml").write_text(CONFIG)
        for part in ("hydra/stage.yaml", "hydra/sweeper", "sweep"):
            (root / "conf" / part).symlink_to(PROJECT / "conf" / part)
        create_database(root / "mlflow.db")
        self.tracking = f"sqlite:///{root}/mlflow.db"
        self.storage = f"sqlite:///{root}/optuna.db"
        self._started: list[subprocess.Popen[str]] = []

    def hold(self, *jobs: int) -> None:
        for job in jobs:
            (self.root / f"hold-{job}").touch()

    def release(self, *jobs: int) -> None:
        for job in jobs:
            (self.root / f"hold-{job}").unlink()

    def start(self, *overrides: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [bin_folder() / "python", "pipelines/hill.py", *overrides],
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": str(PROJECT / "src"), "MLFLOW_TRACKING_URI": self.tracking},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def run(self, *overrides: str, status: int = 0) -> str:
        """The output of the command, which must end with the status."""
        process = self.start(*overrides)
        printed, _ = process.communicate()
        assert process.returncode == status, printed
        return printed

    def close(self) -> None:
        """Kill the processes that a failed test has left running."""
        for process in self._started:
            process.kill()
            process.wait()


def read_until(process: subprocess.Popen[str], beginning: str, count: int = 1) -> None:
    """Read what the process prints, up to the line that is the `count`th with this beginning."""
    assert process.stdout is not None
    printed = []
    for line in process.stdout:
        printed.append(line)
        count -= line.startswith(beginning)
        if not count:
            return
    raise AssertionError("".join(printed))


def wait_until(happens: Callable[[], bool]) -> None:
    """Poll without a deadline; the time limit of the test applies."""
    while not happens():
        sleep(0.1)
