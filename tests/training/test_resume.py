"""A training that is killed and resumed gives the same result as an uninterrupted one."""

import csv
import itertools
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Callback, LightningModule, Trainer

from tests.tiny import OPTIONS, tiny_parts
from tests.training.processes import train_apart
from unroll.data import batches
from unroll.data.prepared import PreparedData
from unroll.exceptions import Terminated
from unroll.files import sha256
from unroll.inference.trained_model import TrainedModel
from unroll.training.callbacks import ResumePoint
from unroll.training.module import SequenceTask
from unroll.training.options import TrainOptions
from unroll.training.train import train

KILLED = -signal.SIGKILL


def make_parts(model: str = "bilstm", **trainer: int | str) -> dict[str, Any]:
    """A training of 3 epochs of 6 steps, with dropout, so that every step draws random numbers."""
    parts = tiny_parts(model)
    parts["model"] |= {"dropout": 0.5, "word_dropout": 0.2}
    parts["trainer"] |= trainer
    return parts


def die_at(call: int, owner: type, method: str) -> None:
    """Make the `call`-th call of a method kill this process."""
    function, calls = getattr(owner, method), itertools.count(1)

    def deadly(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    setattr(owner, method, deadly)


def die_moving(call: int) -> None:
    """Make the `call`-th move of a file kill this process halfway, as between two disks, where moving is copying."""
    move, calls = shutil.move, itertools.count(1)

    def deadly(source: str, target: str) -> None:
        if next(calls) == call:
            content = Path(source).read_bytes()
            Path(source).unlink()
            Path(target).write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        move(source, target)

    shutil.move = deadly  # type: ignore[assignment]


def result_of(output: Path) -> tuple[str, list[dict[str, str]]]:
    """The checksum of the weights, and the history without the column of seconds."""
    with (output / "history.csv").open(newline="") as stream:
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(stream)]
    return sha256(output / "model" / "weights.safetensors"), rows


def uninterrupted_result(
    data: PreparedData, folder: Path, parts: dict[str, Any], options: TrainOptions = OPTIONS
) -> tuple[str, list[dict[str, str]]]:
    assert train_apart(data, folder, parts, options) == 0
    return result_of(folder)


@pytest.fixture(scope="module")
def uninterrupted(reviews: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, str]]]:
    return uninterrupted_result(reviews, tmp_path_factory.mktemp("uninterrupted"), make_parts())


MOMENTS: dict[str, Callable[[], None]] = {
    "before the first checkpoint": partial(die_at, 2, SequenceTask, "training_step"),
    "within the first epoch": partial(die_at, 4, SequenceTask, "training_step"),
    "within the second epoch": partial(die_at, 11, SequenceTask, "training_step"),
    "in validation": partial(die_at, 5, SequenceTask, "validation_step"),
    "before the checkpoint of an epoch": partial(die_at, 2, ResumePoint, "on_train_epoch_end"),
    "between two epochs": partial(die_at, 3, SequenceTask, "on_train_epoch_start"),
    "while a checkpoint is written": partial(die_moving, 2),
    "while the best weights are written": partial(die_moving, 3),
    "before the model is written": partial(die_at, 1, TrainedModel, "save"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_ends_as_an_uninterrupted_one(
    moment: str, reviews: PreparedData, uninterrupted: tuple[str, list[dict[str, str]]], tmp_path: Path
) -> None:
    assert train_apart(reviews, tmp_path, make_parts(), OPTIONS, MOMENTS[moment]) == KILLED
    assert train_apart(reviews, tmp_path, make_parts(), OPTIONS) == 0
    assert result_of(tmp_path) == uninterrupted


def make_batches_ahead() -> None:
    """As for a GPU: three batches are made before they are used."""
    batches.AHEAD = {"cpu": 3}


def make_batches_ahead_and_die() -> None:
    make_batches_ahead()
    MOMENTS["within the second epoch"]()


def test_a_killed_run_whose_batches_are_made_ahead_ends_as_an_uninterrupted_one(
    reviews: PreparedData, uninterrupted: tuple[str, list[dict[str, str]]], tmp_path: Path
) -> None:
    assert train_apart(reviews, tmp_path, make_parts(), OPTIONS, make_batches_ahead_and_die) == KILLED
    assert train_apart(reviews, tmp_path, make_parts(), OPTIONS, make_batches_ahead) == 0
    assert result_of(tmp_path) == uninterrupted


def damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    file.write_bytes({"cut": content[:middle], "flipped": flipped, "emptied": b""}[how])


@pytest.mark.parametrize("how", ["cut", "flipped", "emptied"])
def test_a_damaged_checkpoint_is_kept_and_the_run_starts_over(
    how: str,
    reviews: PreparedData,
    uninterrupted: tuple[str, list[dict[str, str]]],
    tmp_path: Path,
) -> None:
    assert train_apart(reviews, tmp_path, make_parts(), OPTIONS, MOMENTS["within the second epoch"]) == KILLED
    damage(tmp_path / "checkpoints/last.ckpt", how)
    damaged = (tmp_path / "checkpoints/last.ckpt").read_bytes()
    assert train_apart(reviews, tmp_path, make_parts(), OPTIONS) == 0
    assert (tmp_path / "checkpoints.damaged/last.ckpt").read_bytes() == damaged
    assert result_of(tmp_path) == uninterrupted


def test_damaged_best_weights_are_an_error_after_which_the_run_starts_over(
    reviews: PreparedData, uninterrupted: tuple[str, list[dict[str, str]]], tmp_path: Path
) -> None:
    assert train_apart(reviews, tmp_path, make_parts(), OPTIONS, MOMENTS["before the model is written"]) == KILLED
    damage(tmp_path / "checkpoints/best.ckpt", "flipped")
    with pytest.raises(ValueError, match=r"^best\.ckpt is damaged, kept in .*; the same command starts over$"):
        train(reviews, make_parts(), OPTIONS, tmp_path)
    assert train_apart(reviews, tmp_path, make_parts(), OPTIONS) == 0
    assert result_of(tmp_path) == uninterrupted


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, Terminated])
def test_an_interruption_is_raised_and_the_run_can_be_resumed(
    interruption: type[BaseException],
    reviews: PreparedData,
    uninterrupted: tuple[str, list[dict[str, str]]],
    tmp_path: Path,
) -> None:
    class Interrupted(Callback):
        def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
            if trainer.current_epoch == 2:
                raise interruption

    with pytest.raises(interruption):
        train(reviews, make_parts(), OPTIONS, tmp_path, callbacks=[Interrupted()])
    assert train_apart(reviews, tmp_path, make_parts(), OPTIONS) == 0
    assert result_of(tmp_path) == uninterrupted


def test_a_run_killed_again_and_again_ends_as_an_uninterrupted_one(
    reviews: PreparedData, uninterrupted: tuple[str, list[dict[str, str]]], tmp_path: Path
) -> None:
    die = partial(die_at, 5, SequenceTask, "training_step")
    kills = 0
    while train_apart(reviews, tmp_path, make_parts(), OPTIONS, die) == KILLED:
        kills += 1
    assert kills == 4  # each attempt completes 4 of the 18 steps, the last one the remaining 2
    assert result_of(tmp_path) == uninterrupted


def test_a_killed_labeling_run_ends_as_an_uninterrupted_one(entities: PreparedData, tmp_path: Path) -> None:
    parts, options = make_parts("bilstm_char_crf"), replace(OPTIONS, batch_tokens=50)
    die = partial(die_at, 11, SequenceTask, "training_step")
    assert train_apart(entities, tmp_path / "killed", parts, options, die) == KILLED
    assert train_apart(entities, tmp_path / "killed", parts, options) == 0
    assert result_of(tmp_path / "killed") == uninterrupted_result(entities, tmp_path / "uninterrupted", parts, options)


def test_a_run_killed_while_gradients_accumulate_ends_as_an_uninterrupted_one(
    reviews: PreparedData, tmp_path: Path
) -> None:
    parts, options = make_parts(accumulate_grad_batches=2), replace(OPTIONS, checkpoint_steps=1)
    die = partial(die_at, 4, SequenceTask, "training_step")  # before the gradients of the third batch are used
    assert train_apart(reviews, tmp_path / "killed", parts, options, die) == KILLED
    assert train_apart(reviews, tmp_path / "killed", parts, options) == 0
    assert result_of(tmp_path / "killed") == uninterrupted_result(reviews, tmp_path / "uninterrupted", parts, options)


class Failure(Callback):
    """Raises an error at the `call`-th call of a hook."""

    def __init__(self, hook: str, call: int) -> None:
        self.calls = call
        setattr(self, hook, self.fail)

    def fail(self, *args: Any) -> None:
        self.calls -= 1
        if self.calls == 0:
            raise RuntimeError("broken off")


@pytest.mark.parametrize("options", [{"limit_train_batches": 2}, {"max_steps": 13}, {"max_steps": 6}], ids=str)
@pytest.mark.parametrize(
    ("hook", "call"),
    [("on_train_batch_start", 4), ("on_train_batch_end", 6), ("on_train_epoch_start", 2), ("on_train_end", 1)],
)
def test_a_run_with_a_limit_that_breaks_off_ends_as_an_uninterrupted_one(
    hook: str, call: int, options: dict[str, int], reviews: PreparedData, tmp_path: Path
) -> None:
    train(reviews, make_parts("gru", **options), OPTIONS, tmp_path / "unbroken")
    if (hook, options) == ("on_train_epoch_start", {"max_steps": 6}):
        hook, call = "on_validation_start", 1  # there is no second epoch
    with pytest.raises(RuntimeError, match="broken off"):
        train(reviews, make_parts("gru", **options), OPTIONS, tmp_path / "broken", callbacks=[Failure(hook, call)])
    train(reviews, make_parts("gru", **options), OPTIONS, tmp_path / "broken")
    assert result_of(tmp_path / "broken") == result_of(tmp_path / "unbroken")


def test_two_processes_killed_in_mid_epoch_end_as_uninterrupted_ones(reviews: PreparedData, tmp_path: Path) -> None:
    parts = make_parts(devices=2, strategy="ddp_fork")  # each process is killed, because the forks inherit `first`
    die = partial(die_at, 6, SequenceTask, "training_step")
    assert train_apart(reviews, tmp_path / "killed", parts, OPTIONS, die) == 1
    assert not (tmp_path / "killed" / "model").exists()
    assert train_apart(reviews, tmp_path / "killed", parts, OPTIONS) == 0
    assert result_of(tmp_path / "killed") == uninterrupted_result(reviews, tmp_path / "uninterrupted", parts)


def test_a_run_killed_after_stopping_early_trains_no_further_epoch(reviews: PreparedData, tmp_path: Path) -> None:
    parts, options = make_parts(max_epochs=50), replace(OPTIONS, patience=1)
    die = partial(die_at, 1, TrainedModel, "save")
    assert train_apart(reviews, tmp_path / "killed", parts, options, die) == KILLED
    assert train_apart(reviews, tmp_path / "killed", parts, options) == 0
    expected = uninterrupted_result(reviews, tmp_path / "uninterrupted", parts, options)
    assert len(expected[1]) < 50
    assert result_of(tmp_path / "killed") == expected


def test_an_interrupted_run_of_another_configuration_is_not_resumed(reviews: PreparedData, tmp_path: Path) -> None:
    die, options = partial(die_at, 11, SequenceTask, "training_step"), replace(OPTIONS, seed=2)
    assert train_apart(reviews, tmp_path / "killed", make_parts(), OPTIONS, die) == KILLED
    assert train_apart(reviews, tmp_path / "killed", make_parts(), options) == 0
    expected = uninterrupted_result(reviews, tmp_path / "uninterrupted", make_parts(), options)
    assert result_of(tmp_path / "killed") == expected
