"""Where the kernels run."""

from pathlib import Path

import pytest
import torch

import unroll.nn.kernels
from unroll.nn.kernels import has_kernels


def test_kernels_run_on_a_cpu_with_the_interpreter_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_kernels(torch.ones(1))
    monkeypatch.delenv("TRITON_INTERPRET")
    assert not has_kernels(torch.ones(1))


def test_kernels_need_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unroll.nn.kernels, "_has_triton", lambda: False)
    assert not has_kernels(torch.ones(1))


def test_kernels_are_not_traced() -> None:
    graph = torch.compile(lambda x: x + has_kernels(x), backend="eager")
    assert graph(torch.zeros(1)).item() == 0


@pytest.mark.parametrize(("value", "there"), [("0", False), ("1", True)])
def test_kernels_can_be_turned_off(value: str, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNROLL_KERNELS", value)
    assert unroll.nn.kernels._has_triton.__wrapped__() == there


def test_kernels_need_a_c_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert not unroll.nn.kernels._has_triton.__wrapped__()


@pytest.mark.parametrize(
    ("capability", "hip", "there"), [((7, 5), None, False), ((8, 0), None, True), ((7, 0), "6.2", True)]
)
def test_kernels_need_a_gpu_that_triton_supports(
    capability: tuple[int, int], hip: str | None, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert unroll.nn.kernels._is_supported.__wrapped__(torch.device("cuda", 0)) == there
