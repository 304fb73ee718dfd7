"""Where the kernels run."""

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
