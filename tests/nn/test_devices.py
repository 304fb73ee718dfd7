"""Which device is taken is tested by what PyTorch is made to report; what is computed there, on the meta device."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny import NETWORKS, random_model
from unroll import hardware
from unroll.data.batches import collate
from unroll.data.prepared import PreparedData
from unroll.nn import devices
from unroll.nn.devices import CPU, announce, choose, describe, exactly, fitting, missing_operation, moved, unused_gpu

META = torch.device("meta")
OLD_DRIVER = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by downloading "
    "and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx"
)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """A function that makes PyTorch and the driver report a machine."""

    def report(
        cuda: bool = False, mps: bool = False, fails: str | None = None, driver: str | None = None, built: bool = True
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.version, "cuda", "13.0" if built else None)
        monkeypatch.setattr(devices, "_refusal", lambda device: fails)
        monkeypatch.setattr(devices, "nvidia_gpu", lambda: driver)

    monkeypatch.delenv(hardware.HIDING, raising=False)
    devices.note.cache_clear()
    yield report
    devices.note.cache_clear()


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({}, "cpu"),
        ({"cuda": True}, "cuda"),
        ({"mps": True}, "mps"),
        ({"cuda": True, "mps": True}, "cuda"),
        ({"cuda": True, "fails": "no kernel image"}, "cpu"),
    ],
)
def test_auto_takes_cuda_then_apples_gpu_then_the_cpu(
    there: dict[str, Any], taken: str, machine: Callable[..., None]
) -> None:
    machine(**there)
    assert choose("auto") == torch.device(taken) and choose("cpu") == CPU


@pytest.mark.parametrize("there", ["cuda", "mps"])
def test_gpu_is_the_one_that_is_there(there: str, machine: Callable[..., None]) -> None:
    machine(**{there: True})
    assert choose("gpu") == choose(there) == torch.device(there)


@pytest.mark.parametrize(
    ("asked", "there", "said"),
    [
        ("gpu", {"built": False}, f"PyTorch {torch.__version__} is built without CUDA; here: the CPU alone"),
        (
            "cuda",
            {"fails": "Found no NVIDIA driver on your system"},
            "Found no NVIDIA driver on your system; here: the",
        ),
        ("cuda", {"mps": True, "built": False}, "is built without CUDA; here: mps"),
        ("mps", {"cuda": True}, "PyTorch finds no GPU of Apple's; here: cuda (NVIDIA H100)"),
        ("cuda", {"cuda": True, "fails": "no kernel image"}, "no kernel image; here: the CPU alone"),
    ],
)
def test_a_device_that_is_not_there_is_named_with_the_reason_and_what_is_there(
    asked: str, there: dict[str, Any], said: str, machine: Callable[..., None]
) -> None:
    machine(**there)
    with pytest.raises(ValueError, match=rf"^place='{asked}': .*{re.escape(said)}.*; accepted: auto, cpu$"):
        choose(asked, "place")


def test_a_gpu_that_is_hidden_is_not_there(machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    machine(driver="NVIDIA H100")
    monkeypatch.setenv(hardware.HIDING, "")
    with pytest.raises(
        ValueError, match=r"^device='cuda': CUDA_VISIBLE_DEVICES='' hides every GPU; here: the CPU alone"
    ):
        choose("cuda")
    assert unused_gpu() is None  # who hides it knows


def test_another_name_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"^device='tpu'; accepted: auto, cpu, cuda, mps"):
        choose("tpu")


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({}, None),
        ({"cuda": True}, "device: cuda (NVIDIA H100)"),
        ({"mps": True}, "device: mps"),
        (
            {"driver": "NVIDIA H100", "built": False},
            f"NVIDIA H100 is not used: PyTorch {torch.__version__} is built without CUDA",
        ),
        ({"driver": "NVIDIA H100", "fails": "too old"}, "NVIDIA H100 is not used: too old"),
        ({"cuda": True, "driver": "GTX 680", "fails": "no kernel image"}, "GTX 680 is not used: no kernel image"),
        ({"mps": True, "fails": "macOS 12"}, "mps is not used: macOS 12"),
    ],
)
def test_what_auto_takes_is_said_once_and_nothing_where_there_is_no_gpu(
    there: dict[str, Any], said: str | None, machine: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    machine(**there)
    for _ in range(2):
        announce(choose("auto"), "auto")
    assert capsys.readouterr().err == ("" if said is None else f"{said}\n")


def test_a_cpu_that_was_asked_for_is_no_news(machine: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    machine(driver="NVIDIA H100", built=False)
    announce(choose("cpu"), "cpu")
    assert capsys.readouterr().err == ""


def test_what_pytorch_says_of_a_driver_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*shape: int, device: object) -> None:
        raise RuntimeError(OLD_DRIVER)

    monkeypatch.setattr(torch, "ones", fail)
    said = devices._refusal(torch.device("cuda"))
    assert said == "The NVIDIA driver on your system is too old (found version 11040)"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_without_a_gpu_is_refused_by_pytorch_itself() -> None:
    assert devices._refusal(torch.device("cuda")) and devices._refusal(CPU) is None


def test_several_processes_are_another_device(machine: Callable[..., None]) -> None:
    machine()
    cuda = torch.device("cuda")
    assert [describe(CPU), describe(CPU, 2), describe(torch.device("mps"))] == ["cpu", "2 x cpu", "mps"]
    assert [describe(cuda, 2), describe(cuda, 1, is_named=False)] == ["2 x cuda (NVIDIA H100)", "cuda"]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_reads_a_batch_on_another_device_without_waiting_for_it(
    name: str, reviews: PreparedData, entities: PreparedData
) -> None:
    """The meta device has no values, so that reading one would raise."""
    data = entities if name == "bilstm_char_crf" else reviews
    network = random_model(data, name).model.to(META)  # type: ignore[union-attr]
    batch = collate(data.split("test"), np.arange(3), characters=network.reads_characters)
    tokens = moved(batch.tokens, META)
    words, casing, lengths, spelling = tokens
    assert {it.device for it in (words, casing, lengths, *(spelling or ()))} == {META}
    with torch.inference_mode():
        assert network(tokens).device == META
    assert moved(batch.tokens, CPU) is batch.tokens
    assert missing_operation(lambda: devices.read_once(network, META)) is None


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (
            NotImplementedError("The operator 'aten::linalg_qr' is not currently implemented for the MPS device. If"),
            "aten::linalg_qr",
        ),
        (
            TypeError("Cannot convert a MPS Tensor to float64 dtype. Use float32"),
            "Cannot convert a MPS Tensor to float64",
        ),
        (RuntimeError("MPS: unsupported complex"), "MPS: unsupported complex"),
    ],
)
def test_an_operation_that_a_device_lacks_is_named(error: Exception, name: str) -> None:
    def compute() -> None:
        raise error

    assert str(missing_operation(compute)).startswith(name)
    assert missing_operation(lambda: None) is None


def test_a_lack_of_memory_is_no_lack_of_an_operation() -> None:
    def compute() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(torch.OutOfMemoryError):
        missing_operation(compute)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_a_batch_that_does_not_fit_is_named(error: RuntimeError) -> None:
    said = "^a batch of 64 sequences × 2,500 tokens does not fit into the memory of cpu; accepted: less$"
    with pytest.raises(ValueError, match=said), fitting(CPU, (64, 2500), "less"):
        raise error


def test_other_errors_of_a_device_stay() -> None:
    with pytest.raises(RuntimeError, match="illegal"), fitting(CPU, (1, 1), "less"):
        raise RuntimeError("an illegal memory access")


def test_a_gpu_computes_labels_without_tf32_and_trains_as_before() -> None:
    parts = [torch.backends.cudnn.rnn, torch.backends.cudnn.conv]  # type: ignore[attr-defined]
    before = [torch.get_float32_matmul_precision(), *(part.fp32_precision for part in parts)]
    try:
        torch.set_float32_matmul_precision("high")
        with exactly(torch.device("cuda")):
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32
            assert "tf32" not in [part.fp32_precision for part in parts]
        assert torch.get_float32_matmul_precision() == "high"
        with exactly(CPU):
            assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before[0])
    assert [torch.get_float32_matmul_precision(), *(part.fp32_precision for part in parts)] == before
