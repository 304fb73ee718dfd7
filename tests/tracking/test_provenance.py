from importlib.metadata import distributions
from pathlib import Path
from platform import python_version

import pytest

from unroll.tracking.provenance import installed_packages


def test_names_and_versions_are_those_of_importlib() -> None:
    found = {it.name.lower(): it.version for it in reversed(list(distributions())) if it.name}
    assert installed_packages() == {"python": python_version(), **found}


def test_a_package_that_is_broken_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = installed_packages()
    installed_packages.cache_clear()
    (tmp_path / "broken-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert installed_packages() == packages
    assert {"python", "mlflow", "torch"} <= packages.keys()
