"""Sweeps of real trainings on the demo corpora: a killed study, a shared one, and two jobs at once.

    python -m benchmarks.sweeps [at_once killed shared]

Runs, studies and data are in a temporary folder. For meaningful times, run nothing else at the same time.
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
    """Runs commands whose output files are all in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db", "OMP_NUM_THREADS": "1"}
        self.storage = f"sqlite:///{root}/optuna.db"
        for dataset in ("demo_entities", "demo_reviews"):
            for stage, folders in {
                "download": [f"output={root}/raw/{dataset}"],
                "prepare": [f"raw={root}/raw/{dataset}", f"output={root}/prepared/{dataset}"],
            }.items():
                self.wait(self.start(stage, f"dataset={dataset}", *folders))

    def start(self, stage: str, *overrides: str) -> subprocess.Popen[str]:
        command = [sys.executable, f"pipelines/{stage}.py", *overrides]
        return subprocess.Popen(command, cwd=PROJECT, env=self.environment, stdout=subprocess.PIPE, text=True)

    def sweep(self, name: str, *overrides: str) -> subprocess.Popen[str]:
        dataset = overrides[0].partition("=")[2]
        folders = (f"data={self.root}/prepared/{dataset}", f"hydra.sweep.dir={self.root}/multirun/{name}")
        return self.start("train", "-m", *overrides, *folders)

    def study(self, name: str) -> subprocess.Popen[str]:
        return self.sweep(name, *STUDY, f"hydra.sweeper.study={name}", f"hydra.sweeper.storage={self.storage}")

    def wait(self, process: subprocess.Popen[str]) -> str:
        """Wait for the end of the process, which must succeed; return its output."""
        printed, _ = process.communicate()
        if process.returncode:
            sys.exit(f"{process.args!r} ended with status {process.returncode}:\n{printed}")
        return printed

    def kill_at(self, process: subprocess.Popen[str], trial: int) -> None:
        """Kill the process during a trial, after the trial's first epoch."""
        assert process.stdout is not None
        has_begun = False
        for line in process.stdout:
            has_begun = has_begun or line.startswith(f"trial {trial - 1}:")
            if has_begun and line.startswith("epoch "):
                process.send_signal(signal.SIGKILL)
                break
        process.wait()

    def states(self, name: str) -> Counter[str]:
        import optuna

        return Counter(trial.state.name for trial in optuna.load_study(study_name=name, storage=self.storage).trials)

    def runs(self, name: str) -> Counter[str]:
        """The numbers of the study's parent and child runs in MLflow."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.root}/mlflow.db")
        found = client.search_runs([one.experiment_id for one in client.search_experiments()])
        parents = {run.info.run_id for run in found if run.info.run_name == name}
        children = [run for run in found if run.data.tags.get("mlflow.parentRunId") in parents]
        return Counter({"parents": len(parents), "children": len(children)})


def killed(bench: Bench) -> None:
    for trial in KILLED_AT:
        process = bench.study("killed")
        bench.kill_at(process, trial)
        print(f"killed at trial {trial}: status {process.returncode}, {dict(bench.states('killed'))}", flush=True)
    print(bench.wait(bench.study("killed")).splitlines()[-4])
    print(f"at the end: {dict(bench.states('killed'))}, MLflow runs {dict(bench.runs('killed'))}", flush=True)


def shared(bench: Bench) -> None:
    start = time.perf_counter()
    processes = [bench.study("shared") for _ in range(2)]
    shares = [bench.wait(process).count("\ntrial ") for process in processes]
    seconds = time.perf_counter() - start
    print(f"two processes on one study: {shares} trials each, {dict(bench.states('shared'))}, {seconds:.0f} s")
    print(f"MLflow runs {dict(bench.runs('shared'))}", flush=True)


def at_once(bench: Bench) -> None:
    """Alternate sequential and parallel sweeps, so that other load on the machine affects both."""
    ratios = []
    for repeat in range(REPEATS):
        seconds = {}
        for name, launcher in {"one": (), "two": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")}.items():
            start = time.perf_counter()
            bench.wait(bench.sweep(f"grid-{name}-{repeat}", *GRID, *launcher))
            seconds[name] = time.perf_counter() - start
        ratios.append(seconds["two"] / seconds["one"])
        print(
            f"2 x 3 grid: {seconds['one']:.1f} s, two jobs at once {seconds['two']:.1f} s, ratio {ratios[-1]:.2f}",
            flush=True,
        )
    print(f"ratio of the times: {statistics.median(ratios):.2f} (median of {REPEATS})")


PARTS = {"at_once": at_once, "killed": killed, "shared": shared}


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(Path(work))
        for name in sys.argv[1:] or PARTS:
            PARTS[name](bench)


if __name__ == "__main__":
    main()
