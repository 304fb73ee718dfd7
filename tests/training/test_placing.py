"""Where a training runs, by what PyTorch is made to report; no GPU is needed."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.tiny import OPTIONS, random_model, tiny_parts
from unroll.data.batches import ShuffledBatches
from unroll.data.prepared import PreparedData
from unroll.files import read_json
from unroll.nn import devices
from unroll.training import placing
from unroll.training.module import SequenceTask
from unroll.training.placing import able, placed, record_device
from unroll.training.train import train

GPU = {"accelerator": "gpu", "devices": 1}
META = torch.device("meta")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that makes PyTorch report GPUs of CUDA, or one of Apple's."""

    def report(cuda: int = 0, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(devices, "_refusal", lambda device: None)

    return report


@pytest.mark.parametrize(
    ("there", "asked", "taken"),
    [
        ({}, "auto", "cpu"),
        ({"cuda": 1}, "auto", "cuda"),
        ({"mps": True}, "auto", "mps"),
        ({"cuda": 1}, "gpu", "cuda"),
        ({"mps": True}, "gpu", "mps"),
        ({"cuda": 1}, "cpu", "cpu"),
    ],
)
def test_a_trainer_has_a_device_in_place_of_auto_and_gpu(
    there: dict[str, Any], asked: str, taken: str, machine: Callable[..., None]
) -> None:
    machine(**there)
    config = tiny_parts("gru", trainer="auto")["trainer"] | {"accelerator": asked}
    assert placed(config) == config | {"accelerator": taken}


@pytest.mark.parametrize("count", [2, [0, 1], "auto", -1, "2"])
def test_as_many_gpus_as_there_are_can_be_asked_for(count: Any, machine: Callable[..., None]) -> None:
    machine(cuda=2)
    assert placed(GPU | {"devices": count})["accelerator"] == "cuda"


@pytest.mark.parametrize(
    ("there", "count", "said"),
    [
        ({"cuda": 2}, 3, r"2 x cuda \(NVIDIA H100\) here; accepted: 1 to 2, or numbers from 0 to 1, or auto"),
        ({"cuda": 2}, [0, 2], "2 x cuda .* accepted: 1 to 2, or numbers from 0 to 1"),
        ({"cuda": 1}, 2, r"cuda \(NVIDIA H100\) here; accepted: 1, or auto"),
        ({"mps": True}, 2, "mps here; accepted: 1, or auto"),
    ],
)
def test_more_gpus_than_there_are_is_one_line(
    there: dict[str, Any], count: Any, said: str, machine: Callable[..., None]
) -> None:
    machine(**there)
    shown = str(count).replace("[", r"\[").replace("]", r"\]")
    with pytest.raises(ValueError, match=rf"^trainer\.devices={shown}: {said}.*; trainer=cpu works everywhere$"):
        placed(GPU | {"devices": count})


def batches_of(data: PreparedData) -> ShuffledBatches:
    return ShuffledBatches(data.split("train"), 1, 8)


LACKING = NotImplementedError("The operator 'aten::cummax' is not currently implemented for the MPS device.")


@pytest.mark.parametrize("name", ["elman", "bilstm", "lru", "sru"])
def test_a_step_of_the_network_is_tried_without_a_trace(name: str, reviews: PreparedData) -> None:
    """On the meta device, whose values cannot be read; neither weights nor random numbers of the training change."""
    network: Any = random_model(reviews, name).model
    weights, state = {key: value.clone() for key, value in network.state_dict().items()}, torch.get_rng_state()
    placing._step_once(network, batches_of(reviews), META)
    assert torch.equal(torch.get_rng_state(), state) and not network.training
    assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())


def test_apples_gpu_is_left_for_the_cpu_if_it_lacks_an_operation(
    reviews: PreparedData, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*given: Any) -> None:
        raise LACKING

    network: Any = random_model(reviews, "gru").model
    config = {"accelerator": "mps", "devices": 1}
    monkeypatch.setattr(placing, "_step_once", lambda *given: None)
    assert able(config, "auto", network, batches_of(reviews)) == config
    monkeypatch.setattr(placing, "_step_once", fail)
    assert able(config, "auto", network, batches_of(reviews)) == config | {"accelerator": "cpu"}
    assert capsys.readouterr().out == "device: cpu, because mps does not have aten::cummax\n"
    said = r"^trainer\.accelerator='gpu': mps does not have aten::cummax; accepted: trainer=auto; trainer=cpu works"
    with pytest.raises(ValueError, match=said):
        able(config, "gpu", network, batches_of(reviews))
    others = {"accelerator": "cpu"}
    assert able(others, "auto", network, batches_of(reviews)) is others  # nothing is tried there


def test_the_cpu_trains_the_same_to_the_bit_by_auto_and_says_nothing(
    reviews: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said, weights, records = [], [], []
    monkeypatch.setattr(devices, "accelerator", lambda: None)
    for trainer in ("cpu", "auto"):
        folder = tmp_path / trainer
        records.append(train(reviews, tiny_parts("gru", trainer, max_epochs=1), OPTIONS, folder))
        said.append(capsys.readouterr().out.partition("  0 s")[0])
        weights.append((folder / "model/weights.safetensors").read_bytes())
    assert weights[0] == weights[1] and said[0].split() == said[1].split()
    assert [record["device"] for record in records] == ["cpu", "cpu"]


def trainer_on(device: str, count: int = 1) -> Any:
    strategy = SimpleNamespace(root_device=torch.device(device))
    return SimpleNamespace(strategy=strategy, num_devices=count, num_nodes=1, device_ids=[0], is_global_zero=True)


def test_a_training_that_goes_on_elsewhere_says_so_and_is_of_both_devices(
    machine: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(cuda=1)
    assert record_device(trainer_on("cpu"), tmp_path, False, True) == "cpu"
    assert record_device(trainer_on("cpu"), tmp_path, True, True) == "cpu"
    assert capsys.readouterr().out == ""
    both = "cpu, then 2 x cuda (NVIDIA H100)"
    assert record_device(trainer_on("cuda", 2), tmp_path, True, True) == both
    assert record_device(trainer_on("cuda", 2), tmp_path, True, True) == both
    assert capsys.readouterr().out == "the checkpoint is of cpu, and the training continues on 2 x cuda (NVIDIA H100)\n"
    assert record_device(trainer_on("cuda"), tmp_path, False, False) == "cuda"  # begins anew


def out_of_memory_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the memory be too small in a training step, counted from 1."""
    compute, done = SequenceTask.training_step, [0]

    def limited(task: SequenceTask, *given: Any) -> Tensor:
        done[0] += 1
        if done[0] == step:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return compute(task, *given)

    monkeypatch.setattr(SequenceTask, "training_step", limited)


def on_cuda(storage: Any) -> str | None:
    return "cuda:0"


def test_a_lack_of_memory_names_the_batch_and_the_training_goes_on_elsewhere(
    reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The checkpoints are of a GPU, by their own word: they name CUDA as the place of each tensor."""
    monkeypatch.setattr(logging.getLogger("pytorch_lightning"), "disabled", True)
    name = {"now": "cuda (NVIDIA H100)"}
    monkeypatch.setattr(placing, "describe", lambda *given: name["now"])
    with monkeypatch.context() as inside:
        out_of_memory_at(5, inside)
        inside.setattr("torch.serialization.location_tag", on_cuda)
        said = (
            r"^a batch of 8 sequences × \d+ tokens does not fit into the memory of cuda \(NVIDIA H100\); accepted: "
            r"batch_tokens=\d+ or a batch_size below 8, which starts over, .*; trainer=cpu, .*, goes on from the last"
        )
        with pytest.raises(ValueError, match=said):
            train(reviews, tiny_parts("gru", "cpu", 1), OPTIONS, tmp_path)
    assert (tmp_path / "checkpoints/last.ckpt").exists()
    name["now"] = "cpu"
    capsys.readouterr()
    record = train(reviews, tiny_parts("gru", "auto", 1), OPTIONS, tmp_path)  # another trainer, the same training
    out = capsys.readouterr().out
    assert (
        "resuming from the last checkpoint\nthe checkpoint is of cuda (NVIDIA H100), and the training continues" in out
    )
    assert record["device"] == "cuda (NVIDIA H100), then cpu"


def test_other_batches_start_over_and_are_named(
    reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as inside:
        out_of_memory_at(5, inside)
        with pytest.raises(ValueError, match="does not fit"):
            train(reviews, tiny_parts("gru", max_epochs=1), OPTIONS, tmp_path)
    capsys.readouterr()
    record = train(reviews, tiny_parts("gru", max_epochs=1), replace(OPTIONS, batch_tokens=40), tmp_path)
    said = "deleting the checkpoints of another configuration or other data (batch_tokens)\n"
    assert said in capsys.readouterr().out
    assert record["device"] == "cpu" and np.isfinite(record["best_score"])
    assert read_json(tmp_path / "checkpoints/devices.json") == {"devices": ["cpu"]}
