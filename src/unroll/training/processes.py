"""The processes that train one network: on the devices of this machine, or as torchrun or srun has started them."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import distributed

from unroll.cluster import HOW, Cluster
from unroll.training.meeting import Meeting

STRATEGIES = {"auto": "ddp_spawn", "ddp": "ddp_spawn", "ddp_spawn": "ddp_spawn", "ddp_fork": "ddp_fork"}
ALL = ("auto", -1, "-1")  # of `devices`


def spread(config: Mapping[str, Any], is_said: bool = False) -> dict[str, Any]:
    """The options of a trainer, with the accelerator, devices and nodes that ddp takes here instead of ``auto``.

    Args:
        is_said: whether to print that there is one GPU only.

    Raises:
        ValueError: the options are not those of the processes that torchrun or srun has started.
    """
    cluster, found = Cluster.here(), dict(config)
    devices, nodes = found.get("devices", "auto"), found.get("num_nodes", 1)
    if cluster is None and nodes != 1:
        started = "nothing has started this command on other nodes"
        raise ValueError(f"trainer.num_nodes={nodes}, but {started}; accepted: 1, or {HOW}")
    strategy = found.get("strategy", "auto")
    if strategy not in STRATEGIES or (cluster is None and strategy == "auto"):
        return found
    if found.get("accelerator", "auto") == "auto":
        found["accelerator"] = "cuda" if torch.cuda.is_available() else "cpu"
    if cluster is not None:
        return found | _as_started(found, cluster)
    if devices in ALL:
        found["devices"] = 2 if found["accelerator"] == "cpu" else max(1, torch.accelerator.device_count())
        if found["devices"] == 1 and is_said:
            print("trainer: one GPU here, which trainer=gpu uses too", flush=True)
    if found["devices"] == 1:
        found["strategy"] = "auto"
    return found


def _as_started(config: Mapping[str, Any], cluster: Cluster) -> dict[str, Any]:
    """The devices and nodes of a cluster, which must be those of the configuration if that has any."""
    started = f"but {cluster.starter} has started"
    devices, nodes = config.get("devices", "auto"), config.get("num_nodes", cluster.nodes)
    if cluster.per_node * cluster.nodes != cluster.processes:
        raise ValueError(
            f"{cluster.processes} processes on {cluster.nodes} nodes; accepted: the same number on each, such as "
            "srun --ntasks-per-node=N"
        )
    if devices not in (*ALL, cluster.per_node, str(cluster.per_node)):
        raise ValueError(
            f"trainer.devices={devices}, {started} {cluster.per_node} on each node; accepted: trainer=ddp, "
            f"trainer.devices={cluster.per_node}"
        )
    if nodes != cluster.nodes:
        raise ValueError(
            f"trainer.num_nodes={nodes}, {started} {cluster.nodes}; accepted: "
            f"trainer.num_nodes={cluster.nodes}, or {nodes} nodes: {HOW}"
        )
    return {"devices": cluster.per_node, "num_nodes": nodes}


def environment() -> ClusterEnvironment:
    """What tells Lightning the place of this process.

    In the script of `sbatch` Lightning would take itself for one of many, and wait for the others.
    """
    cluster = Cluster.here()
    if cluster is None:
        return LightningEnvironment()
    # SLURM puts a job back into its queue; Lightning would do it too, with a checkpoint of its own.
    return TorchElasticEnvironment() if cluster.starter == "torchrun" else SLURMEnvironment(auto_requeue=False)


class Started(DDPStrategy):
    """The strategy of processes that have been started already: they connect in the store of their meeting."""

    def __init__(self, meeting: Meeting | None) -> None:
        super().__init__()
        self._meeting = meeting

    def setup_distributed(self) -> None:
        if self._meeting is not None and not distributed.is_initialized():
            device = self.root_device
            distributed.init_process_group(
                self._get_process_group_backend(),
                timeout=self._timeout,
                world_size=self._meeting.cluster.processes,
                rank=self._meeting.cluster.rank,
                store=self._meeting.group_store,
                device_id=None if device.type == "cpu" else device,
            )
        super().setup_distributed()
