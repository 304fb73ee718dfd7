"""Every shipped network on the device, in float32, against the same network on the CPU in float64."""

from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.made_up import LABELS, batch_for, to_device
from benchmarks.gpu.setting import Measurement, Result, Setting, build, configuration, networks
from unroll.data.padding import Batch
from unroll.data.tokens import Task
from unroll.nn import SequenceModel

# Largest relative differences that are accepted, by whether TF32 is allowed. Those of gradients are larger, since a
# maximum over time can be reached at another step.
SCORES = {False: 1e-4, True: 1e-2}
GRADIENTS = {False: 1e-3, True: 1e-1}
TASKS: tuple[Task, ...] = ("classification", "labeling")


class Different(Exception):
    """The device computes something else than the CPU."""


def measurements(setting: Setting) -> Iterator[Measurement]:
    settings = [False, True] if setting.device.type == "cuda" else [False]
    for name in networks():
        for task in TASKS:
            for tf32 in settings:
                title = f"{name}, {task}, {'TF32' if tf32 else 'float32'}: difference from float64 on the CPU"
                yield Measurement(title, partial(check, setting, title, name, task, tf32))


def check(setting: Setting, title: str, name: str, task: Task, tf32: bool) -> Iterator[Result]:
    """Compare scores, loss, and all gradients, each by the norm of the difference.

    Raises:
        Different: a difference is too large.
    """
    torch.manual_seed(0)
    sizes = {"embedding_size": 6, "hidden_size": 8} if setting.is_small else {}
    config = without_dropout(configuration(name) | sizes)
    batch = batch_for(task, size=setting.size(16, 3), steps=setting.size(60, 7), words=200, seed=0)
    network: SequenceModel = build(
        config, vocabulary_size=200, alphabet_size=60, label_names=list(LABELS[task]), task=task
    ).train()
    exact = results(deepcopy(network).double(), batch)
    with setting.tf32(tf32):
        found = results(network.to(setting.device), to_device(batch, setting.device))
    pairs = list(zip(found, exact, strict=True))
    scores, loss = (relative(*pair) for pair in pairs[:2])
    gradients = relative(*(torch.cat([pair[i].cpu().double().flatten() for pair in pairs[2:]]) for i in (0, 1)))
    limits = SCORES[tf32], GRADIENTS[tf32]
    if not (max(scores, loss) <= limits[0] and gradients <= limits[1]):  # or NaN
        raise Different(
            f"scores {scores:.1e}, loss {loss:.1e}, gradients {gradients:.1e}; accepted: up to {limits[0]:.0e}, "
            f"{limits[0]:.0e}, {limits[1]:.0e}"
        )
    note = f"gradients {gradients:.1e}; accepted: {limits[0]:.0e}, gradients {limits[1]:.0e}"
    yield Result(title, max(scores, loss), "", note=note)


def results(network: SequenceModel, batch: Batch[Tensor]) -> list[Tensor]:
    """Scores, loss, and the gradient of every weight that has one."""
    scores = network(batch.tokens)
    loss = network.head.loss(scores, batch.labels, batch.tokens.lengths)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return [scores.detach(), loss.detach(), *(gradient for gradient in gradients if gradient is not None)]


def relative(found: Tensor, exact: Tensor) -> float:
    difference = found.detach().cpu().double() - exact
    return float(difference.norm() / exact.norm())


def without_dropout(config: Any) -> Any:
    """The same configuration with every kind of dropout 0, so that two devices compute the same."""
    if not isinstance(config, dict):
        return config
    return {key: 0.0 if "dropout" in key else without_dropout(value) for key, value in config.items()}
