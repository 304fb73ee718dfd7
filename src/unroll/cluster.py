"""The processes that torchrun, or SLURM's srun, has started with the same command, as the environment tells it."""

import os
from dataclasses import dataclass
from typing import Literal

Starter = Literal["torchrun", "srun"]
HOW = (
    "`torchrun --nnodes 2 --nproc-per-node N --rdzv-backend c10d --rdzv-endpoint HOST:29500 pipelines/train.py "
    "trainer=ddp` on every node, or `srun python pipelines/train.py trainer=ddp` (docs/clusters.md)"
)


@dataclass(frozen=True)
class Cluster:
    """Where this process stands among those that work on one training.

    Args:
        starter: the program that started them.
        rank: the number of this process, from 0; the first process alone writes, tracks and prints.
        local_rank: its number among those of its node, from 0.
        processes: number of all processes, the same on each of the `nodes`.
    """

    starter: Starter
    rank: int
    local_rank: int
    processes: int
    nodes: int

    @property
    def per_node(self) -> int:
        return self.processes // self.nodes

    @classmethod
    def here(cls) -> "Cluster | None":
        """The place of this process; None if it was started alone.

        The script of `sbatch` and a shell in an allocation have some of SLURM's variables too, but not those of a step.
        """
        given = os.environ
        if "TORCHELASTIC_RUN_ID" in given:
            rank, local, processes, per_node = (
                int(given[name]) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
            )
            return cls("torchrun", rank, local, processes, processes // per_node)
        if "SLURM_STEP_ID" not in given:
            return None
        processes = int(_first_of("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"))
        nodes = int(_first_of("SLURM_STEP_NUM_NODES", "SLURM_NNODES"))
        if processes == 1:
            return None
        return cls("srun", int(given["SLURM_PROCID"]), int(given["SLURM_LOCALID"]), processes, nodes)


def is_speaker() -> bool:
    """Whether this process prints errors: of several on a node that have the same one, the first does."""
    cluster = Cluster.here()
    return cluster is None or cluster.local_rank == 0


def _first_of(*names: str) -> str:
    return next((os.environ[name] for name in names if name in os.environ), "1")
