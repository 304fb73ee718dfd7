from pathlib import Path

import pytest

from unroll.tracking.provenance import installed_packages


def test_a_package_that_is_broken_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = installed_packages()
    installed_packages.cache_clear()
    (tmp_path / "broken-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert installed_packages() == packages
    assert {"python", "mlflow", "torch"} <= packages.keys()
