"""Which kernels a test launched."""

import pytest


def record_launches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the kernels that run from now on, in a list that grows."""
    from triton.runtime.interpreter import GridExecutor

    names: list[str] = []
    run = GridExecutor.__call__

    def recorded(self: GridExecutor, *args: object, **kwargs: object) -> None:
        names.append(self.fn.__name__)
        run(self, *args, **kwargs)

    monkeypatch.setattr(GridExecutor, "__call__", recorded)
    return names
