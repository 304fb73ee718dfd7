"""The kernels on a CPU, by Triton's interpreter."""

import pytest

pytest.importorskip("triton", reason="Triton has no wheel for this machine")


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Triton interpret the kernels; a module of kernels has to be imported in a test, beneath this."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
