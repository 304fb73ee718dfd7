"""What sweeps promise, at full size, on the demo corpora: killed and shared studies, and two jobs at once.

    python -m benchmarks.sweeps [at_once killed shared]

Nothing of the project changes: runs, studies and data are in a temporary folder. Run nothing else beside it.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
STUDY = (
    "dataset=demo_entities",
    "hydra/sweeper=optuna",
    "hydra.sweeper.n_trials=24",
    "model=gru,lstm,bilstm",
    "model.hidden_size=range(16,97,16)",
    "optimizer.lr=tag(log,interval(0.001,0.02))",
    "trainer.max_epochs=4",
)
GRID = ("dataset=demo_reviews", "model=gru,lstm", "seed=1,2,3")
KILLED_AT = (7, 15)
REPEATS = 3


class Bench:
    """Commands whose traces are all in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db", "OMP_NUM_THREADS": "1"}
        self.storage = f"sqlite:///{root}/optuna.db"
        for dataset in ("demo_entities", "demo_reviews"):
            for stage, places in {
                "download": [f"output={root}/raw/{dataset}"],
                "prepare": [f"raw={root}/raw/{dataset}", f"output={root}/prepared/{dataset}"],
            }.items():
                self.wait(self.start(stage, f"dataset={dataset}", *places))

    def start(self, stage: str, *overrides: str) -> subprocess.Popen[str]:
        command = [sys.executable, f"pipelines/{stage}.py", *overrides]
        return subprocess.Popen(command, cwd=PROJECT, env=self.environment, stdout=subprocess.PIPE, text=True)

    def sweep(self, name: str, *overrides: str) -> subprocess.Popen[str]:
        dataset = overrides[0].partition("=")[2]
        places = (f"data={self.root}/prepared/{dataset}", f"hydra.sweep.dir={self.root}/multirun/{name}")
        return self.start("train", "-m", *overrides, *places)

    def study(self, name: str) -> subprocess.Popen[str]:
        return self.sweep(name, *STUDY, f"hydra.sweeper.study={name}", f"hydra.sweeper.storage={self.storage}")

    def wait(self, process: subprocess.Popen[str]) -> str:
        printed, _ = process.communicate()
        if process.returncode:
            sys.exit(f"{process.args!r} ended with status {process.returncode}:\n{printed}")
        return printed

    def kill_at(self, process: subprocess.Popen[str], trial: int) -> None:
        """Kill it in the middle of that trial: as soon as the trial has finished an epoch."""
        assert process.stdout is not None
        is_there = False
        for line in process.stdout:
            is_there = is_there or line.startswith(f"trial {trial - 1}:")
            if is_there and line.startswith("epoch "):
                process.send_signal(signal.SIGKILL)
                break
        process.wait()

    def states(self, name: str) -> Counter[str]:
        import optuna

        return Counter(trial.state.name for trial in optuna.load_study(study_name=name, storage=self.storage).trials)

    def runs(self, name: str) -> Counter[str]:
        """Runs in MLflow by what they are: the study's own ones, and those beneath."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.root}/mlflow.db")
        found = client.search_runs([one.experiment_id for one in client.search_experiments()])
        parents = {run.info.run_id for run in found if run.info.run_name == name}
        beneath = [run for run in found if run.data.tags.get("mlflow.parentRunId") in parents]
        return Counter({"parents": len(parents), "children": len(beneath)})


def killed(bench: Bench) -> None:
    for trial in KILLED_AT:
        process = bench.study("killed")
        bench.kill_at(process, trial)
        print(f"killed at trial {trial}: status {process.returncode}, {dict(bench.states('killed'))}", flush=True)
    print(bench.wait(bench.study("killed")).splitlines()[-4])
    print(f"in the end: {dict(bench.states('killed'))}, in MLflow {dict(bench.runs('killed'))}", flush=True)


def shared(bench: Bench) -> None:
    start = time.perf_counter()
    processes = [bench.study("shared") for _ in range(2)]
    shares = [bench.wait(process).count("\ntrial ") for process in processes]
    seconds = time.perf_counter() - start
    print(f"two processes on one study: {shares} trials each, {dict(bench.states('shared'))}, {seconds:.0f} s")
    print(f"in MLflow {dict(bench.runs('shared'))}", flush=True)


def at_once(bench: Bench) -> None:
    """Sequential and joblib in turn, so that a busy moment of the machine meets both."""
    ratios = []
    for repeat in range(REPEATS):
        seconds = {}
        for name, launcher in {"one": (), "two": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")}.items():
            start = time.perf_counter()
            bench.wait(bench.sweep(f"grid-{name}-{repeat}", *GRID, *launcher))
            seconds[name] = time.perf_counter() - start
        ratios.append(seconds["two"] / seconds["one"])
        print(
            f"2 x 3 grid: {seconds['one']:.1f} s, two jobs at once {seconds['two']:.1f} s, {ratios[-1]:.2f}", flush=True
        )
    print(f"two jobs at once take {statistics.median(ratios):.2f} of the time (median of {REPEATS})")


PARTS = {"at_once": at_once, "killed": killed, "shared": shared}


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(Path(work))
        for name in sys.argv[1:] or PARTS:
            PARTS[name](bench)


if __name__ == "__main__":
    main()
