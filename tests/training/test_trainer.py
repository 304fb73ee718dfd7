"""Every option of Lightning's Trainer works, with a learning rate that ends with the training, or is refused."""

import csv
import inspect
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.plugins import MixedPrecision
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher
from safetensors.torch import load_file

from tests.tiny import NETWORKS, OPTIONS, tiny_parts
from tests.training.processes import print_to, train_apart
from unroll.data.batches import SequentialBatches, ShuffledBatches
from unroll.data.prepared import PreparedData
from unroll.inference.building import build_model
from unroll.training.module import SequenceTask
from unroll.training.schedules import linear
from unroll.training.train import train
from unroll.training.trainer import CHECKED, REFUSED, build_trainer

PATIENT = replace(OPTIONS, patience=20)
RATE = tiny_parts("gru")["optimizer"]["lr"]
STEPS = 6  # of an epoch: 44 sequences in batches of 8


def rows_of(output: Path) -> list[dict[str, float]]:
    with (output / "history.csv").open(newline="") as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


def train_with(data: PreparedData, output: Path, model: str = "gru", **trainer: Any) -> list[dict[str, float]]:
    """The history of a training of 3 epochs with these options."""
    parts = tiny_parts(model)
    parts["trainer"] |= trainer
    train(data, parts, PATIENT, output)
    return rows_of(output)


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_every_network_trains_in_every_precision(
    precision: str, model: str, entities: PreparedData, topics: PreparedData, tmp_path: Path
) -> None:
    for data in (entities, topics):
        short: dict[str, Any] = {"model": model, "max_epochs": 1, "limit_train_batches": 1}
        ((expected,), (found,)) = (
            train_with(data, tmp_path / data.task / name, **short, precision=name) for name in ("32-true", precision)
        )
        assert found["train/loss"] == pytest.approx(expected["train/loss"], rel=0.1)  # dropout may differ
        weights = load_file(tmp_path / data.task / precision / "model" / "weights.safetensors")
        assert all(weight.dtype in (torch.float32, torch.int64) for weight in weights.values())


@pytest.mark.parametrize(("asked", "precision"), [(32, "32-true"), ("64", "64-true"), ("bf16", "bf16-mixed")])
def test_lightning_s_short_names_of_precisions_are_accepted(asked: object, precision: str) -> None:
    assert build_trainer(tiny_parts("gru")["trainer"] | {"precision": asked}).precision == precision


@pytest.mark.parametrize("precision", [16, "16-mixed"])
def test_a_precision_that_lightning_would_replace_is_refused(precision: object) -> None:
    said = rf"^trainer\.precision={precision!r} needs a GPU; accepted: 32-true, 64-true, bf16-mixed$"
    with pytest.raises(ValueError, match=said):
        build_trainer(tiny_parts("gru")["trainer"] | {"precision": precision})


@pytest.mark.parametrize("precision", ["bf17", "transformer-engine", "16-true", 8, [16]])
def test_a_precision_that_does_not_work_lists_those_that_do(precision: object) -> None:
    with pytest.raises(ValueError) as error:
        build_trainer(tiny_parts("gru")["trainer"] | {"precision": precision})
    assert str(error.value) == f"trainer.precision={precision!r}; accepted: 32-true, 64-true, bf16-mixed, 16-mixed"


def test_scaled_gradients_of_a_fused_optimizer_are_unscaled_before_they_are_clipped(reviews: PreparedData) -> None:
    """As with 16-mixed on a GPU: the first step of Adam is that of unscaled gradients, however large the scale."""
    after = []
    for plugins in ([], [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**6))]):
        parts = tiny_parts("gru")
        torch.manual_seed(0)
        model = build_model(parts["model"] | {"dropout": 0.0, "word_dropout": 0.0}, reviews.schema)
        batches = ShuffledBatches(reviews.split("train"), 1, 8), SequentialBatches(reviews.split("validation"), 8)
        optimizer = partial(torch.optim.SGD, lr=1.0, fused=True)
        task = SequenceTask(model, reviews, *batches, optimizer, instantiate(parts["scheduler"]))
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        Trainer(accelerator="cpu", max_steps=1, max_epochs=1, gradient_clip_val=0.01, plugins=plugins, **quiet).fit(
            task
        )
        after.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
    torch.testing.assert_close(after[1], after[0], rtol=0, atol=1e-3)
    assert not torch.equal(after[1], after[0])  # the second one in 16 bits


ENDS = [
    # options, epochs, steps
    ({}, 3, 3 * STEPS),
    ({"limit_train_batches": 0.5}, 3, 3 * 3),
    ({"limit_train_batches": 2}, 3, 3 * 2),
    ({"limit_train_batches": 0.001}, 3, 3),
    ({"limit_train_batches": 1.0}, 3, 3 * STEPS),
    ({"limit_train_batches": 99}, 3, 3 * STEPS),
    ({"max_steps": 4}, 1, 4),
    ({"max_steps": 6}, 1, 6),
    ({"max_steps": 7}, 2, 7),
    ({"max_steps": 100}, 3, 3 * STEPS),
    ({"max_steps": 8, "max_epochs": -1}, 2, 8),
    ({"max_steps": 8, "max_epochs": None}, 2, 8),
    ({"max_steps": 5, "limit_train_batches": 2}, 3, 5),
    ({"accumulate_grad_batches": 4}, 3, 3 * 2),
    ({"accumulate_grad_batches": 4, "max_steps": 3}, 2, 3),
    ({"accumulate_grad_batches": 2, "limit_train_batches": 3}, 3, 3 * 2),
]


@pytest.mark.parametrize(("options", "epochs", "steps"), ENDS)
def test_the_learning_rate_reaches_zero_with_the_last_step(
    options: dict[str, Any], epochs: int, steps: int, reviews: PreparedData, tmp_path: Path
) -> None:
    rates: list[float] = []

    class Rates(Callback):
        def on_before_optimizer_step(self, trainer: Trainer, module: object, optimizer: torch.optim.Optimizer) -> None:
            rates.append(optimizer.param_groups[0]["lr"])

    parts = tiny_parts("gru")
    parts["trainer"] |= options
    train(reviews, parts, PATIENT, tmp_path, callbacks=[Rates()])

    factor = linear(torch.optim.SGD([torch.zeros(1)], RATE), steps).lr_lambdas[0]
    assert rates == pytest.approx([RATE * factor(step) for step in range(steps)])
    rows = rows_of(tmp_path)
    assert (len(rows), rows[-1]["learning_rate"]) == (epochs, 0)


@pytest.mark.parametrize("strategy", ["auto", "ddp", "ddp_spawn", "ddp_fork"])
def test_several_devices_are_processes_of_this_command(strategy: str) -> None:
    """Lightning's own choice starts the command again, which then waits for the lock of its own run folder."""
    trainer = build_trainer(tiny_parts("gru")["trainer"] | {"devices": 2, "strategy": strategy})
    assert trainer.world_size == 2
    assert isinstance(trainer.strategy.launcher, _MultiProcessingLauncher)


def test_accumulated_batches_make_the_step_of_one_batch(entities: PreparedData, tmp_path: Path) -> None:
    """Of one with all sentences, whose lengths differ: no batch counts more than its tokens."""
    for name, batch_size, options in (("one", 44, {}), ("six", 8, {"accumulate_grad_batches": 6})):
        parts = tiny_parts("gru", max_epochs=1)
        parts["model"] |= {"dropout": 0.0, "word_dropout": 0.0}
        parts["optimizer"] = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.5}
        parts["trainer"] |= {"gradient_clip_val": None, **options}
        train(entities, parts, replace(PATIENT, batch_size=batch_size), tmp_path / name)
    one, six = (load_file(tmp_path / name / "model" / "weights.safetensors") for name in ("one", "six"))
    assert all(torch.allclose(one[name], six[name], rtol=0, atol=1e-6) for name in one)


def test_two_processes_accumulate_batches_of_limited_tokens_in_16_bits(reviews: PreparedData, tmp_path: Path) -> None:
    parts = tiny_parts("gru", trainer="ddp", max_epochs=1)
    parts["trainer"] |= {"accelerator": "cpu", "strategy": "ddp_fork"}
    parts["trainer"] |= {"accumulate_grad_batches": 2, "precision": "bf16-mixed"}
    options = replace(PATIENT, batch_tokens=40)
    assert train_apart(reviews, tmp_path, parts, options, partial(print_to, tmp_path / "stdout")) == 0
    assert len(rows_of(tmp_path)) == 1
    said = "2 processes; each step of the optimizer takes 4 batches, up to 32 sequences; the learning rate is"
    assert said in (tmp_path / "stdout").read_text()


def test_min_epochs_are_trained_however_the_score_develops(reviews: PreparedData, tmp_path: Path) -> None:
    parts = tiny_parts("gru", max_epochs=9)
    parts["trainer"] |= {"min_epochs": 4}
    parts["optimizer"] |= {"lr": 0.0}
    train(reviews, parts, replace(OPTIONS, patience=1), tmp_path)
    assert len(rows_of(tmp_path)) == 4


def test_a_limit_of_validation_leaves_the_training_as_it_is(reviews: PreparedData, tmp_path: Path) -> None:
    (first, *_), (other, *_) = (
        train_with(reviews, tmp_path / str(limit), limit_val_batches=limit) for limit in (1.0, 1)
    )
    assert first["train/loss"] == other["train/loss"]
    assert first["val/loss"] != other["val/loss"]


def test_a_profiler_s_report_is_printed(
    reviews: PreparedData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train_with(reviews, tmp_path, max_epochs=1, profiler="simple")
    assert "run_training_epoch" in caplog.text


@pytest.fixture
def as_before() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    "options",
    [
        {"deterministic": True},
        {"deterministic": "warn"},
        {"benchmark": True},
        {"detect_anomaly": True},
        {"inference_mode": False},
        {"gradient_clip_algorithm": "value"},
        {"gradient_clip_val": None},
        {"gradient_clip_val": 0},
        {"enable_progress_bar": False},
        {"accelerator": "auto", "devices": "auto"},
        {"strategy": "ddp"},  # of one device
        {"num_nodes": 1},
    ],
    ids=str,
)
def test_other_options_are_passed_on(
    options: dict[str, Any], reviews: PreparedData, tmp_path: Path, as_before: None
) -> None:
    assert len(train_with(reviews, tmp_path, max_epochs=1, **options)) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limit_train_batches": 0}, "limit_train_batches=0; accepted: a number of batches from 1, or a fraction"),
        ({"limit_train_batches": 1.5}, r"limit_train_batches=1\.5; accepted: .* up to 1\.0"),
        ({"limit_val_batches": 0}, "limit_val_batches=0; accepted: a number"),
        ({"limit_val_batches": 0.0}, r"limit_val_batches=0\.0; accepted: a number"),
        ({"max_epochs": 0}, "max_epochs=0; accepted: 1 or more"),
        ({"max_epochs": -2}, "max_epochs=-2; accepted: 1 or more"),
        ({"max_epochs": -1}, r"max_epochs=-1; accepted: 1 or more, or -1 with trainer\.max_steps"),
        ({"max_epochs": None}, r"max_epochs=None; accepted: 1 or more, or -1 with trainer\.max_steps"),
        ({"max_steps": 0}, "max_steps=0; accepted: 1 or more, or -1"),
        ({"max_steps": 3, "min_steps": 3}, r"min_steps=3, trainer\.max_steps=3; accepted: one of them"),
        ({"max_steps": 3, "min_epochs": 1}, r"min_epochs=1, trainer\.max_steps=3; accepted: one of them"),
        ({"max_epochs": 2, "min_epochs": 3}, r"min_epochs=3, trainer\.max_epochs=2; accepted: no more"),
        ({"devices": 10**30}, r" .*trainer\.devices=10{30}; trainer=cpu works everywhere"),
        ({"min_epochs": 0}, "min_epochs=0; accepted: 1 or more"),
        ({"accumulate_grad_batches": 0}, "accumulate_grad_batches=0; accepted: 1 or more"),
        ({"gradient_clip_val": -1.0}, r"gradient_clip_val=-1\.0; accepted: 0 or more"),
        ({"gradient_clip_algorithm": "max"}, "gradient_clip_algorithm='max'; accepted: norm, value"),
        ({"precision": "bf16-true"}, "precision='bf16-true'; accepted: 32-true, 64-true, bf16-mixed, 16-mixed"),
        ({"strategy": "fsdp"}, "strategy='fsdp'; accepted: auto, ddp, ddp_spawn, ddp_fork"),
        ({"accelerator": "abacus"}, "accelerator='abacus'; accepted: auto, cpu, .*trainer=cpu works everywhere"),
        ({"accelerator": "tpu"}, "accelerator='tpu'; accepted: auto, cpu, "),
        ({"devices": 0}, ".*devices=0"),
        ({"devices": [0]}, r".*devices=\[0\]"),
        (
            {"num_nodes": 2},
            "num_nodes=2, but nothing has started .*; accepted: 1, or `torchrun .*srun python",
        ),
        ({"num_nodes": 0}, "num_nodes=0; accepted: 1 or more"),
        ({"profiler": "pytorch"}, "profiler='pytorch'; accepted: simple, advanced"),
        ({"fast_dev_run": True}, r"fast_dev_run=True; .* is trainer\.max_epochs=1 trainer\.limit_train_batches=1"),
        ({"overfit_batches": 3}, r"overfit_batches=3; .* is trainer\.limit_train_batches"),
        ({"max_time": "00:00:01:00"}, r"max_time='00:00:01:00'; .* limits are trainer\.max_epochs"),
        ({"logger": False}, "logger=False; accepted: no such key, .* MLflow"),
        ({"callbacks": []}, r"callbacks=\[\]; accepted: no such key"),
        ({"num_sanity_val_steps": 2}, "num_sanity_val_steps=2; accepted: no such key, validation ends every epoch"),
    ],
    ids=str,
)
def test_options_that_cannot_work_are_refused_with_what_can(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=rf"^trainer(\.|:){said}") as error:
        build_trainer(tiny_parts("gru")["trainer"] | options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", REFUSED)
def test_an_option_may_have_lightning_s_default(key: str) -> None:
    default = inspect.signature(Trainer).parameters[key].default
    build_trainer(tiny_parts("gru")["trainer"] | {key: default})


def test_every_option_is_known() -> None:
    passed_on = {"devices", "max_epochs", "deterministic", "benchmark", "detect_anomaly", "inference_mode"}
    known = {*CHECKED, *REFUSED, *passed_on, "enable_progress_bar"}
    assert known == set(inspect.signature(Trainer).parameters)
