"""Where a training runs: the device in place of `auto` and `gpu`, and what was trained where."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unroll.data.batches import ShuffledBatches, collate
from unroll.files import read_mapping, write_json
from unroll.hardware import DEVICES as NAMES
from unroll.nn import SequenceModel
from unroll.nn.devices import announce, choose, describe, missing_operation, moved

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

OPTION = "trainer.accelerator"
EVERYWHERE = "trainer=auto; trainer=cpu works everywhere"
DEVICES = "devices.json"  # in the checkpoints: the devices that the training has been on so far


def placed(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a trainer with `cpu`, `cuda` or `mps` as its accelerator.

    Raises:
        ValueError: the device is not here, or not as many of them.
    """
    if (asked := config.get("accelerator", "auto")) not in (*NAMES, "gpu"):
        return config  # which `build_trainer` refuses
    # A forked process cannot use a GPU that its parent has used.
    device = choose(asked, OPTION, EVERYWHERE, config.get("strategy") != "ddp_fork")
    devices = config.get("devices", "auto")
    if device.type != "cpu":
        there = torch.cuda.device_count() if device.type == "cuda" else 1
        is_list = isinstance(devices, Sequence) and not isinstance(devices, str)
        most = max((it + 1 for it in devices if type(it) is int), default=0) if is_list else devices
        if type(most) is int and most > there:
            fewer = "1" if there == 1 else f"1 to {there}, or numbers from 0 to {there - 1}"
            raise ValueError(
                f"trainer.devices={devices}: {describe(device, there)} here; accepted: {fewer}, or auto; "
                "trainer=cpu works everywhere"
            )
    return config | {"accelerator": device.type}


def announce_device(config: dict[str, Any]) -> None:
    """Print the device of a training, if it is no CPU, or why `auto` does not take the GPU that is here."""
    announce(torch.device(placed(config)["accelerator"]), config.get("accelerator", "auto"))


def able(config: dict[str, Any], asked: str, model: SequenceModel, batches: ShuffledBatches) -> dict[str, Any]:
    """The `placed` configuration, or that of the CPU if Apple's GPU lacks an operation of this network and may be left.

    Raises:
        ValueError: it lacks one, but was asked for.
    """
    if config.get("accelerator") != "mps":
        return config
    operation = missing_operation(lambda: _step_once(model, batches, torch.device("mps")))
    if operation is None:
        return config
    if asked != "auto":
        raise ValueError(f"{OPTION}={asked!r}: mps does not have {operation}; accepted: {EVERYWHERE}")
    print(f"device: cpu, because mps does not have {operation}", flush=True)
    return config | {"accelerator": "cpu"}


def _step_once(model: SequenceModel, batches: ShuffledBatches, device: torch.device) -> None:
    """One training step, and one prediction, of a copy of the network with two sequences; draws no random number."""
    with torch.random.fork_rng(devices=[]):
        network = copy.deepcopy(model).to(device).train()
        batch = collate(batches.split, np.arange(min(2, len(batches.split))), batches.characters)
        tokens, labels = moved(batch.tokens, device), batch.labels.to(device)
        optimizer = torch.optim.AdamW(network.parameters())
        logits = network(tokens)
        network.head.loss(logits, labels, tokens.lengths).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        network.head.decode(logits.detach(), tokens.lengths)


def record_device(trainer: "Trainer", folder: Path, is_resumed: bool, is_named: bool) -> str:
    """Add the device of a trainer to those in the folder of the checkpoints, and return them all, in words.

    A training that goes on elsewhere says so: its results are neither those of the one device nor of the other.

    Args:
        is_named: False leaves out the name of a GPU: to ask for it is to use it, after which no process is forked.
    """
    kind = trainer.strategy.root_device.type
    first = torch.device(kind, trainer.device_ids[0]) if kind == "cuda" else torch.device(kind)
    now = describe(first, trainer.num_devices * trainer.num_nodes, is_named)
    before = read_mapping(folder / DEVICES).get("devices", []) if is_resumed else []
    if before and before[-1] != now:
        print(f"the checkpoint is of {before[-1]}, and the training continues on {now}", flush=True)
    devices = before if before[-1:] == [now] else [*before, now]
    if trainer.is_global_zero:
        write_json(folder / DEVICES, {"devices": devices})
    return ", then ".join(devices)
