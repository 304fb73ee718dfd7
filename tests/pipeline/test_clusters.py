"""One training by the processes of two nodes, which are two torchruns, or the tasks of srun, on this machine."""

import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.pipeline.conftest import PROJECT, Project, copy_project
from tests.postgresql import free_port
from unroll.files import read_json, sha256

pytestmark = pytest.mark.xdist_group("clusters")  # the trainings are compared with one

# A schedule in which a process with PAUSE stops, once, in the middle of an epoch: the test then kills its node.
PAUSING = """
import os, signal
from pathlib import Path
from unroll.training.schedules import linear as original

def linear(optimizer, total_steps, warmup=0.05):
    schedule, marker = original(optimizer, total_steps, warmup), Path(os.environ.get("PAUSE", "/none"))
    rate = schedule.lr_lambdas[0]
    def pausing(step):
        if step == 7 and "PAUSE" in os.environ and not marker.exists():
            marker.touch()
            signal.pause()
        return rate(step)
    schedule.lr_lambdas[0] = pausing
    return schedule
"""
SRUN = """#!/bin/bash
# Starts two tasks, on $NODES nodes that are this machine, with the variables of SLURM's own srun.
while [[ $1 == --* ]]; do shift; done
export SLURM_JOB_ID=77 SLURM_NODELIST=localhost,other SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_NTASKS=2
export SLURM_STEP_NUM_NODES=$NODES SLURM_NNODES=$NODES SLURM_NTASKS_PER_NODE=$((2 / NODES))
for rank in 0 1; do
  export SLURM_PROCID=$rank SLURM_NODEID=$((rank * (NODES - 1))) SLURM_LOCALID=$((rank * (2 - NODES)))
  "$@" > "$rank.txt" 2>&1 &
  tasks+=($!)
done
for task in "${tasks[@]}"; do wait "$task" || status=$?; done
exit ${status:-0}
"""
SETTINGS = (
    "trainer=ddp trainer.accelerator=cpu model=gru model.hidden_size=4 trainer.max_epochs=2 checkpoint_steps=2 "
    "scheduler._target_=pausing.linear"
)


DOCUMENT = (PROJECT / "docs/clusters.md").read_text()
(TORCHRUN,) = re.findall("^torchrun .*$", DOCUMENT, re.MULTILINE)
(SETTING,) = re.findall("^export (TORCH.*)$", DOCUMENT, re.MULTILINE)
(SBATCH,) = re.findall("```bash\n(.*?)```", DOCUMENT, re.DOTALL)
TRAINED = "dataset=demo_entities model=bilstm seed=1 trainer=ddp"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with prepared reviews."""
    project = copy_project(tmp_path_factory.mktemp("cluster"))
    for stage in ("download", "prepare"):
        project.ok(f"python pipelines/{stage}.py dataset=demo_reviews")
    (project.root / "src/pausing.py").write_text(PAUSING)
    return project


@pytest.fixture(scope="module")
def on_one_machine(cluster: Project) -> dict[str, object]:
    """The result of two processes that one command has started."""
    cluster.ok(f"python pipelines/train.py {SETTINGS} run_name=one output=one")
    return result_of(cluster, "one")


def result_of(project: Project, name: str) -> dict[str, object]:
    """The weights, the history and the record of a training, and how many MLflow runs it has; times left out."""
    folder = project.root / name
    history = [line.rpartition(",")[0] for line in (folder / "history.csv").read_text().splitlines()]
    record = read_json(folder / "run.json")
    with closing(sqlite3.connect(project.root / "mlflow.db")) as database:
        runs = database.execute("select run_uuid, status from runs where name = ?", (name,)).fetchall()
    assert runs == [(record["run_id"], "FINISHED")]
    assert not (folder / "checkpoints").exists()
    return {
        "weights": sha256(folder / "model/weights.safetensors"),
        "history": history,
        **{key: record[key] for key in ("best_score", "epochs", "processes", "sequences_per_step")},
    }


class Nodes:
    """Two torchruns with one process each, which meet at a free port."""

    def __init__(self, project: Project, log: Path) -> None:
        self.project, self.log, self.port = project, log, free_port()
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Run the command of the document, for one process on a node, with other arguments."""
        number = len(self.running)
        here = {
            "torchrun ": "torch.distributed.run ",
            "--nproc-per-node 4": "--nproc-per-node 1",
            "HOST:29500": f"127.0.0.1:{self.port} --rdzv-conf is_host={int(number == 0)},keep_alive_interval=1",
            "pipelines/train.py": "--no-python python pipelines/train.py",  # a fork of the tests' server
            TRAINED: arguments,
        }
        command = TORCHRUN
        for name, value in here.items():
            assert name in command
            command = command.replace(name, value)
        with (self.log / f"{number}.txt").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command.split()],
                cwd=self.project.root,
                env={**self.project.environment, **environment, **dict([SETTING.split("=")])},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.running.append(process)
        return process

    def printed(self, number: int) -> str:
        return (self.log / f"{number}.txt").read_text()


@pytest.fixture
def nodes(cluster: Project, tmp_path: Path) -> Iterator[Nodes]:
    nodes = Nodes(cluster, tmp_path)
    yield nodes
    for process in nodes.running:
        kill(process)


def kill(node: subprocess.Popen[bytes]) -> None:
    """End the processes of a node as a power failure does."""
    if node.poll() is None:
        agent = psutil.Process(node.pid)
        for process in [agent, *agent.children(recursive=True)]:
            process.send_signal(signal.SIGKILL)
        node.wait()


def test_two_nodes_train_as_two_processes_of_one_machine(nodes: Nodes, on_one_machine: dict[str, object]) -> None:
    for _ in range(2):
        nodes.start(f"{SETTINGS} run_name=two output=two")
    assert [node.wait() for node in nodes.running] == [0, 0], nodes.printed(0) + nodes.printed(1)
    assert result_of(nodes.project, "two") == on_one_machine
    assert sorted(nodes.printed(number).count("epoch 2/2") for number in range(2)) == [0, 1]
    assert "" in (nodes.printed(0), nodes.printed(1))  # only the first process prints


def test_a_node_that_is_killed_and_started_again_goes_on_from_the_checkpoint(
    nodes: Nodes, on_one_machine: dict[str, object], tmp_path: Path
) -> None:
    pause = tmp_path / "pause"
    command = f"{SETTINGS} run_name=killed output=killed"
    first, second = nodes.start(command), nodes.start(command, PAUSE=str(pause))
    while not pause.exists():
        assert [first.poll(), second.poll()] == [None, None], nodes.printed(0) + nodes.printed(1)
        time.sleep(0.1)
    kill(second)  # torchrun's store is on the first node
    again = nodes.start(command)
    ends, printed = [first.wait(), again.wait()], "".join(nodes.printed(number) for number in range(3))
    assert ends == [0, 0], printed
    assert "killed: resuming from the last checkpoint" in printed
    assert result_of(nodes.project, "killed") == on_one_machine


@pytest.fixture
def srun(cluster: Project, tmp_path: Path) -> dict[str, str]:
    """The environment of a job of SLURM."""
    program = tmp_path / "srun"
    program.write_text(SRUN)
    program.chmod(0o755)
    path = f"{tmp_path}:{cluster.environment['PATH']}"
    return {"PATH": path, "NODES": "2", "MASTER_PORT": str(free_port())}


def test_the_tasks_of_a_slurm_job_train_as_two_processes_of_one_machine(
    cluster: Project, srun: dict[str, str], on_one_machine: dict[str, object], tmp_path: Path
) -> None:
    script, activation = tmp_path / "job.sh", "source .venv/bin/activate\n"
    assert TRAINED in SBATCH and activation in SBATCH
    script.write_text(SBATCH.replace(TRAINED, f"{SETTINGS} run_name=slurm output=slurm").replace(activation, ""))
    done = cluster.run(f"bash {script}", **srun)
    first, second = ((cluster.root / f"{rank}.txt").read_text() for rank in range(2))
    assert (done.returncode, second) == (0, ""), first + second
    assert first.count("epoch 2/2") == 1
    assert result_of(cluster, "slurm") == on_one_machine


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "trainer.devices=3",
            "trainer.devices=3, but srun has started 2 on each node; accepted: trainer=ddp",
        ),
        ("plan=params.yaml", "plan=params.yaml by srun; accepted: one training"),
        ("-m seed=1,2", "-m by srun, which has started 2 of this command; accepted: one training"),
        ("vectors=none.vec", "vectors=none.vec"),
    ],
)
def test_a_mistake_is_said_once_and_ends_all_processes(
    arguments: str, said: str, cluster: Project, srun: dict[str, str]
) -> None:
    done = cluster.run(f"srun python pipelines/train.py {arguments} trainer=ddp", **srun | {"NODES": "1"})
    first, second = ((cluster.root / f"{rank}.txt").read_text() for rank in range(2))
    assert (done.returncode, second) == (1, "")
    assert first.startswith(f"error: {said}") and first.count("\n") == 1, first
