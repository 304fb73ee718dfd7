from pathlib import Path
from typing import Any

import lightning_fabric.utilities.rank_zero
import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_only

from tests.tiny import OPTIONS, tiny_parts
from unroll.cluster import Cluster
from unroll.data.prepared import PreparedData
from unroll.training import processes
from unroll.training.processes import Started, spread
from unroll.training.train import train
from unroll.training.trainer import build_trainer

DDP = tiny_parts("gru", trainer="ddp")["trainer"]


def with_gpus(patch: pytest.MonkeyPatch, count: int) -> None:
    patch.setattr(torch.cuda, "is_available", lambda: count > 0)
    patch.setattr(torch.accelerator, "device_count", lambda: count)


def started(patch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    patch.setattr(Cluster, "here", lambda: cluster)


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        (8, ("cuda", 8, "ddp_spawn")),
        (2, ("cuda", 2, "ddp_spawn")),
        (1, ("cuda", 1, "auto")),
        (0, ("cpu", 2, "ddp_spawn")),
    ],
)
def test_ddp_takes_all_gpus_or_two_processes_of_the_cpu(
    gpus: int, expected: tuple[str, int, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_gpus(monkeypatch, gpus)
    found = spread(DDP, is_said=True)
    assert (found["accelerator"], found["devices"], found["strategy"]) == expected
    assert spread(found) == found
    assert capsys.readouterr().out == ("trainer: one GPU here, which trainer=gpu uses too\n" if gpus == 1 else "")


def test_a_number_of_devices_stays_and_other_trainers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, 8)
    assert spread(DDP | {"devices": 3})["devices"] == 3
    for name in ("cpu", "gpu"):
        config = tiny_parts("gru", trainer=name)["trainer"]
        assert spread(config) == config


def test_the_devices_of_a_cluster_are_the_processes_that_were_started(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, 4)
    started(monkeypatch, Cluster("torchrun", 0, 0, 8, 2))
    found = spread(DDP)
    assert (found["accelerator"], found["devices"], found["num_nodes"]) == ("cuda", 4, 2)
    assert spread(DDP | {"num_nodes": 2, "devices": 4}) == found


@pytest.mark.parametrize(
    ("cluster", "options", "said"),
    [
        (
            Cluster("torchrun", 0, 0, 8, 2),
            {"devices": 3},
            "devices=3, but torchrun has started 4 on each node",
        ),
        (Cluster("srun", 0, 0, 4, 4), {"num_nodes": 2}, "num_nodes=2, but srun has started 4; accepted"),
        (Cluster("srun", 0, 0, 5, 2), {}, "5 processes on 2 nodes; accepted: the same number on each"),
    ],
    ids=str,
)
def test_other_devices_than_were_started_are_refused(
    cluster: Cluster, options: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(monkeypatch, cluster)
    with pytest.raises(ValueError, match=said) as error:
        build_trainer(DDP | options)
    assert "; accepted: " in str(error.value) and "\n" not in str(error.value)


@pytest.fixture(autouse=True)
def first_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the rank that a trainer sets for all of Lightning."""
    for function in (lightning_fabric.utilities.rank_zero.rank_zero_only, rank_zero_only):
        monkeypatch.setattr(function, "rank", 0)


def trainer_of(patch: pytest.MonkeyPatch, starter: str, variables: dict[str, str]) -> Trainer:
    for name, value in variables.items():
        patch.setenv(name, value)
    cluster = Cluster.here()
    assert cluster is not None and cluster.starter == starter
    with_gpus(patch, 0)
    return build_trainer(DDP)


def test_torchrun_s_processes_train_as_lightning_s_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"TORCHELASTIC_RUN_ID": "1", "RANK": "2", "LOCAL_RANK": "0", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
    trainer = trainer_of(monkeypatch, "torchrun", variables | {"GROUP_RANK": "1"})
    assert isinstance(trainer.strategy, Started)
    assert (trainer.world_size, trainer.global_rank, trainer.num_nodes) == (4, 2, 2)


def test_slurm_s_tasks_train_as_lightning_s_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Lightning's own way to put the job back into the queue, which has a checkpoint of its own."""
    variables = {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "2"}
    place = {"SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1"}
    trainer = trainer_of(monkeypatch, "srun", variables | place)
    assert (trainer.world_size, trainer.global_rank, trainer.local_rank) == (4, 3, 1)
    assert trainer.strategy.cluster_environment.auto_requeue is False


def test_the_script_of_sbatch_starts_its_own_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning alone would wait for the other tasks of the allocation, which nothing starts."""
    with_gpus(monkeypatch, 0)
    for name, value in {"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    trainer = build_trainer(DDP)
    assert (trainer.world_size, isinstance(trainer.strategy, Started)) == (2, False)
    assert not isinstance(processes.environment(), processes.SLURMEnvironment)


def test_a_script_that_trains_by_itself_is_refused_by_each_process(
    reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(monkeypatch, Cluster("torchrun", 1, 1, 2, 1))
    with pytest.raises(ValueError, match=r"accepted: python pipelines/train\.py as their command"):
        train(reviews, tiny_parts("gru"), OPTIONS, tmp_path)
    assert not list(tmp_path.iterdir())
