"""The kernels on a CPU, by Triton's interpreter."""

from importlib import reload

import pytest

pytest.importorskip("triton", reason="Triton has no wheel for this machine")

import triton.language
from triton.runtime.interpreter import InterpretedFunction


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Triton interpret the kernels; a module of kernels has to be imported in a test, beneath this."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    if not isinstance(triton.language.sum, InterpretedFunction):  # Triton was imported before, as by torch.compile
        reload(triton.language.standard)
        reload(triton.language)
