"""A training step asks the device for no value, which would wait until it has done all that it was given.

The step runs on the `meta` device, which, like a GPU, is not the CPU, and whose tensors have no values: what asks for
one raises an error. The same holds for what has a shape that depends on values, such as a selection by a mask.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from tests.launches import Launches
from tests.tiny import NETWORKS, OPTIONS, tiny_parts
from unroll.data.batches import SequentialBatches, ShuffledBatches
from unroll.data.padding import Batch
from unroll.data.prefetch import pinned
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task
from unroll.inference.building import build_model
from unroll.nn import crf_loop, encoder
from unroll.training.metrics import Mean, accuracy, label_counts, label_f1, subset_accuracy
from unroll.training.module import SequenceTask
from unroll.training.schedules import linear
from unroll.training.train import train


def on_meta(batch: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor.to("meta"))
    return pinned(batch)


def make_task(data: PreparedData, name: str, **model: Any) -> tuple[SequenceTask, Batch[Tensor]]:
    torch.manual_seed(0)
    model_config = tiny_parts(name)["model"] | model
    network = build_model(model_config, data.schema)
    batches = ShuffledBatches(data.split("train"), 1, 8, characters=network.reads_characters)
    optimizer = partial(torch.optim.AdamW, lr=0.01, foreach=True)
    task = SequenceTask(network, data, batches, SequentialBatches(data.split("validation"), 8), optimizer, linear)
    task.trainer = SimpleNamespace(max_epochs=1, accumulate_grad_batches=1)  # type: ignore[assignment]
    return task, next(iter(batches))


def run_step(task: SequenceTask, optimizer: torch.optim.Optimizer, batch: Batch[Tensor]) -> None:
    loss = task.training_step(batch, 0)
    optimizer.zero_grad()
    loss.backward()
    clip_grad_norm_(task.model.parameters(), 1.0)
    optimizer.step()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_step_of_every_network_waits_for_nothing(
    name: str, entities: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_step(*make_task(entities, name), monkeypatch)


@pytest.mark.parametrize("head", ["softmax", "crf", "constrained_crf"])
def test_a_training_step_of_every_task_and_head_waits_for_nothing(
    head: str, prepared: dict[Task, PreparedData], tags: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    for data in (*prepared.values(), tags):
        check_step(*make_task(data, "gru", head=head), monkeypatch)


def check_step(module: SequenceTask, batch: Batch[Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    module.to("meta")
    batch = on_meta(batch, monkeypatch)
    optimizer = module.configure_optimizers()["optimizer"]
    with Launches("meta") as operations:
        run_step(module, optimizer, batch)
    assert operations.names.count("_foreach_addcdiv_") == 1  # the step went to its end


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention", "concat"])
def test_no_pooling_waits(pooling: str, reviews: PreparedData, monkeypatch: pytest.MonkeyPatch) -> None:
    module, batch = make_task(reviews, "gru", pooling=pooling)
    module.to("meta")
    batch = on_meta(batch, monkeypatch)
    with Launches("meta"):
        module.training_step(batch, 0).backward()


def test_the_device_is_asked_for_no_value_by_the_scores(reviews: PreparedData) -> None:
    tags, sets = torch.zeros(3, 4, dtype=torch.long, device="meta"), torch.zeros(3, 4, device="meta").bool()
    with Launches("meta"):
        accuracy(tags, tags)
        label_counts(5, tags, tags)
        subset_accuracy(sets, sets)
        label_f1(sets, sets)
        Mean().to("meta").update(torch.zeros((), device="meta"), torch.ones((), device="meta"))


def test_what_waits_is_found() -> None:
    """The tests above fail for what a GPU would have to be waited for."""
    x = torch.zeros(3, device="meta")
    waiting: list[Callable[[], object]] = [
        lambda: x.sum().item(),
        lambda: bool(x.any()),
        lambda: x.tolist(),
        lambda: x.cpu(),
        lambda: x[x > 0],
        lambda: x.nonzero(),
        lambda: x.masked_select(x > 0),
        lambda: x.unique(),
        lambda: x.long().bincount(),
    ]
    for wait in waiting:
        with Launches("meta"), pytest.raises((RuntimeError, NotImplementedError, AssertionError)):
            wait()


@pytest.mark.parametrize(
    ("precision", "advice"), [("32-true", ""), ("bf16-mixed", r" or trainer\.precision=32-true .*")]
)
def test_a_loss_that_is_not_finite_is_found_at_the_end_of_its_epoch(
    precision: str, advice: str, reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "check_sequences", lambda *_: None)  # which on a CPU finds it earlier
    parts = tiny_parts("gru")
    parts["optimizer"]["lr"] = 1e36
    parts["trainer"] |= {"precision": precision}
    said = rf"^epoch 1: the mean training loss is (nan|inf); accepted: a finite number, .* than 1e\+36{advice}$"
    with pytest.raises(ValueError, match=said):
        train(reviews, parts, OPTIONS, tmp_path)
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_lightning_reads_no_value_in_a_step(
    precision: str, entities: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training of five steps reads as many values as one of two: those of its end."""
    monkeypatch.setattr(encoder, "check_sequences", lambda *_: None)  # which reads values on a CPU only
    monkeypatch.setattr(crf_loop, "readable", lambda x: False)
    reads = []
    for steps in (2, 5):
        parts = tiny_parts("bilstm_char_crf", max_epochs=1)
        parts["trainer"] |= {"limit_train_batches": steps, "precision": precision}
        with Launches(may_wait=True) as operations:
            train(entities, parts, replace(OPTIONS, checkpoint_steps=100), tmp_path / str(steps))
        reads.append(operations.names.count("_local_scalar_dense"))
    assert 0 < reads[0] == reads[1]
