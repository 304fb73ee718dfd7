"""The GPU of a machine is found without PyTorch."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unroll import cli, hardware


@pytest.fixture(autouse=True)
def no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without a GPU; the folder of the driver's files."""
    monkeypatch.setattr(hardware, "_DRIVER", tmp_path / "gpus")
    monkeypatch.setattr(hardware, "_FILES", (tmp_path / "nvidia0",))
    monkeypatch.setattr(hardware, "_OTHERS", (tmp_path / "kfd",))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(hardware.HIDING, raising=False)
    hardware.nvidia_gpu.cache_clear()
    yield tmp_path
    hardware.nvidia_gpu.cache_clear()


def test_a_machine_without_a_gpu_has_none() -> None:
    assert hardware.nvidia_gpu() is None and not hardware.may_have_gpu() and hardware.hidden() is None


def test_the_driver_names_its_first_gpu(no_gpu: Path) -> None:
    for address, name in (("0000:81:00.0", "NVIDIA A100"), ("0000:41:00.0", "NVIDIA H100 80GB HBM3")):
        (no_gpu / "gpus" / address).mkdir(parents=True)
        (no_gpu / "gpus" / address / "information").write_text(f"Model: \t\t {name}\nIRQ:   \t\t 18\n")
    assert hardware.nvidia_gpu() == "NVIDIA H100 80GB HBM3" and hardware.may_have_gpu()


def test_a_container_has_the_device_without_the_folder_of_the_driver(no_gpu: Path) -> None:
    (no_gpu / "nvidia0").touch()
    assert hardware.nvidia_gpu() == "an NVIDIA GPU" and hardware.may_have_gpu()


@pytest.mark.parametrize(
    ("printed", "name"),
    [("GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-1)", "NVIDIA GeForce RTX 4090"), ("No devices were found", None)],
)
def test_nvidias_command_is_asked_where_there_are_no_files(no_gpu: Path, printed: str, name: str | None) -> None:
    (no_gpu / "nvidia-smi").write_text(f'#!{sys.executable}\nprint("{printed}")')
    (no_gpu / "nvidia-smi").chmod(0o755)
    assert hardware.nvidia_gpu() == name


def test_a_gpu_of_amd_is_not_named_but_pytorch_is_asked(no_gpu: Path) -> None:
    (no_gpu / "kfd").touch()
    assert hardware.nvidia_gpu() is None and hardware.may_have_gpu()


def test_pytorch_is_asked_where_there_is_no_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert hardware.may_have_gpu()


@pytest.mark.parametrize(("value", "is_hidden"), [("", True), ("-1", True), ("0", False), ("1,2", False)])
def test_a_user_may_hide_every_gpu(value: str, is_hidden: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hardware.HIDING, value)
    assert (hardware.hidden() == f"CUDA_VISIBLE_DEVICES={value!r} hides every GPU") == is_hidden


def test_the_command_line_accepts_these_devices() -> None:
    assert cli.DEVICES == hardware.DEVICES


def test_it_imports_no_pytorch() -> None:
    code = "import sys, unroll.hardware; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
