"""Models on another device than the CPU, as far as that can be seen without one."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import unroll
from tests.tiny import random_model, save_baseline, save_random_model
from unroll import cli
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.inference import onnx_model, trained_model
from unroll.inference.explaining.explain import network_of
from unroll.inference.exporting.export import export
from unroll.inference.predictor import Predictor
from unroll.inference.trained_model import TrainedModel
from unroll.nn import devices

META = torch.device("meta")
GPUS = [torch.device("cuda"), torch.device("mps")]


@pytest.fixture
def as_if(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute on the CPU what is said to be on a GPU."""
    monkeypatch.setattr(trained_model, "moved", lambda tokens, device: tokens)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")


def answers(model: TrainedModel, split: EncodedSplit) -> list[Any]:
    found = model.predict(split, 5)
    return [(np.asarray(it.labels).tolist(), np.asarray(it.probabilities).tolist()) for it in found]


@pytest.mark.parametrize("device", GPUS, ids=str)
@pytest.mark.parametrize("dataset", ["reviews", "entities"])
def test_predictions_are_read_back_from_a_gpu_in_their_order(
    dataset: str, device: torch.device, as_if: None, request: pytest.FixtureRequest
) -> None:
    data: PreparedData = request.getfixturevalue(dataset)
    here = random_model(data, "bilstm_char_crf")
    there = TrainedModel(here.model, here.schema, here.config, device)
    assert answers(there, data.split("test")) == answers(here, data.split("test"))


def test_a_network_computes_where_it_is(reviews: PreparedData) -> None:
    """Nothing waits for the device before the labels are read, which the meta device does not let anyone do."""
    here = random_model(reviews, "bilstm")
    there = TrainedModel(copy.deepcopy(here.model).to(META), here.schema, here.config, META)  # type: ignore[union-attr]
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        there.predict(reviews.split("test"), 5)


def test_a_batch_that_does_not_fit_is_named_with_what_helps(
    reviews: PreparedData, as_if: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    here = random_model(reviews, "gru")
    monkeypatch.setattr(type(here.model), "forward", fail)
    said = (
        r"^a batch of 5 sequences × \d+ tokens does not fit into the memory of cuda \(NVIDIA H100\); accepted: "
        r"a batch_size \(--batch-size\) below 5, or device=cpu \(--device cpu\)$"
    )
    with pytest.raises(ValueError, match=said):
        TrainedModel(here.model, here.schema, here.config, GPUS[0]).predict(reviews.split("test"), 5)


@pytest.fixture
def folders(reviews: PreparedData, tmp_path: Path) -> Callable[[str], Path]:
    """A function that makes a model folder: a network, an exported one, or a baseline."""

    def make(kind: str) -> Path:
        if kind == "baseline":
            return save_baseline(reviews, tmp_path / kind, "majority")
        trained = save_random_model(reviews, tmp_path / "network", "gru")
        if kind == "exported":
            export(trained, tmp_path / kind)
        return tmp_path / kind

    return make


def test_a_device_that_is_not_there_is_refused_by_every_way_to_load(
    folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "accelerator", lambda: None)
    said = "^device='mps': PyTorch finds no GPU of Apple's; here: the CPU alone; accepted: auto, cpu$"
    for load in (unroll.load, Predictor.load, TrainedModel.load):
        with pytest.raises(ValueError, match=said):
            load(folders("network"), device="mps")
    with pytest.raises(ValueError, match=r"^device='gpu0'; accepted: auto, cpu, cuda, mps$"):
        Predictor.load(folders("network"), "gpu0")
    assert Predictor.load(folders("baseline"), "auto").predict(["good"])


def test_a_network_is_on_the_gpu_that_is_there(folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained_model, "choose", lambda asked: META)
    model = Predictor.load(folders("network"), "auto").model
    assert isinstance(model, TrainedModel) and model.device == META
    assert {it.device for it in model.model.parameters()} == {META}  # type: ignore[union-attr]


def test_apples_gpu_is_left_for_the_cpu_if_it_lacks_an_operation(
    folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*given: Any) -> None:
        raise NotImplementedError("The operator 'aten::cummax' is not currently implemented for the MPS device.")

    devices.note.cache_clear()
    monkeypatch.setattr(trained_model, "choose", lambda asked: torch.device("mps"))
    monkeypatch.setattr(trained_model, "read_once", fail)
    assert unroll.load(folders("network")).predict(["good"])
    assert capsys.readouterr().err == "device: cpu, because mps does not have aten::cummax\n"
    with pytest.raises(ValueError, match=r"^device='mps': mps does not have aten::cummax; accepted: auto, cpu$"):
        unroll.load(folders("network"), "mps")


@pytest.mark.parametrize("parent", [None, object()])
def test_a_gpu_that_is_not_used_is_said_by_the_command_and_not_by_its_processes(
    parent: object,
    folders: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    devices.note.cache_clear()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "accelerator", lambda: None)
    monkeypatch.setattr(devices, "nvidia_gpu", lambda: "NVIDIA H100")
    monkeypatch.setattr(devices, "_missing", lambda asked, found: "too old a driver")
    monkeypatch.setattr(trained_model, "parent_process", lambda: parent)
    assert unroll.load(folders("network")).predict(["good"])
    said = "NVIDIA H100 is not used: too old a driver\n"
    assert capsys.readouterr().err == said * (parent is None)


@pytest.mark.parametrize("has_cuda", [False, True])
def test_an_exported_model_runs_on_what_onnx_runtime_has(
    has_cuda: bool, folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the provider of CUDA, but no GPU, ONNX Runtime falls back to the CPU: `auto` may, and `cuda` is an error."""
    folder = folders("exported")
    chosen: list[Any] = []
    session = onnxruntime.InferenceSession

    def build(source: str, options: Any, providers: list[Any]) -> Any:
        chosen[:] = providers
        return session(source, options, providers=["CPUExecutionProvider"])

    cuda = ("CUDAExecutionProvider", {"use_tf32": "0"})
    there = [cuda[0]] * has_cuda + ["CPUExecutionProvider"]
    monkeypatch.setattr(onnx_model.onnxruntime, "get_available_providers", lambda: there)
    monkeypatch.setattr(onnx_model.onnxruntime, "InferenceSession", build)
    for device in ("auto", "cpu"):
        assert Predictor.load(folder, device).predict(["good"])
        assert chosen == [cuda] * (has_cuda and device == "auto") + ["CPUExecutionProvider"]
        assert Predictor.uses_gpu(folder, device) == (has_cuda and device == "auto")
    why = "finds no GPU that it can use" if has_cuda else ".*which does not have it; the package onnxruntime-gpu has it"
    with pytest.raises(ValueError, match=rf"^device='cuda': .*{why}; accepted: auto, cpu$"):
        Predictor.load(folder, "cuda")
    with pytest.raises(
        ValueError, match=r"^device='mps': an exported model runs on ONNX Runtime .*; accepted: auto, cpu"
    ):
        Predictor.load(folder, "mps")


def test_a_model_uses_a_gpu_only_where_there_is_one(
    folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, baseline = folders("network"), folders("baseline")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    monkeypatch.setattr("unroll.inference.predictor.may_have_gpu", lambda: True)
    monkeypatch.setattr(devices, "_refusal", lambda device: None)
    for found in (None, torch.device("cuda")):
        monkeypatch.setattr(devices, "accelerator", lambda found=found: found)
        assert Predictor.uses_gpu(network, "auto") == (found is not None)
        assert not Predictor.uses_gpu(network, "cpu") and not Predictor.uses_gpu(baseline, "auto")


def test_an_explanation_is_made_on_the_cpu(reviews: PreparedData, monkeypatch: pytest.MonkeyPatch) -> None:
    here = random_model(reviews, "gru")
    assert network_of(Predictor(here)) is here.model
    there = TrainedModel(copy.deepcopy(here.model).to(META), here.schema, here.config, META)  # type: ignore[union-attr]
    with pytest.raises(NotImplementedError, match="meta"):  # the copy, which only the meta device refuses
        network_of(Predictor(there))


def test_the_command_line_has_the_device_and_the_batch_size(
    folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = folders("network")
    monkeypatch.setattr(devices, "accelerator", lambda: None)

    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["unroll", *arguments])
        cli.main()
        return capsys.readouterr().out

    given = ["predict", "good", "--model", str(network), "--json"]
    assert run(*given, "--device", "cpu", "--batch-size", "3") == run(*given)
    for command in (given, ["score", str(network / "config.json"), "--model", str(network), "--output", "x"]):
        with pytest.raises(SystemExit, match="2"):
            run(*command, "--device", "tpu")
        assert "invalid choice: 'tpu'" in capsys.readouterr().err.replace("argument --device: ", "")
    with pytest.raises(SystemExit, match=r"^error: device='cuda': .*; here: the CPU alone; accepted: auto, cpu$"):
        run(*given, "--device", "cuda")
    with pytest.raises(SystemExit, match=r"^error: --batch-size=0; accepted: 1 or more$"):
        run(*given, "--batch-size", "0")
