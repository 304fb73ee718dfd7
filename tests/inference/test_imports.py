"""ONNX Runtime is imported without its telemetry."""

import ast
import os
import subprocess
import sys
from pathlib import Path


def imported(file: Path) -> set[str]:
    """The packages that a file imports, also within functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def test_onnx_runtime_is_imported_only_where_its_telemetry_is_off(project: Path) -> None:
    files = [file for folder in ("src", "pipelines") for file in (project / folder).rglob("*.py")]
    found = {file for file in files if "onnxruntime" in imported(file)}
    assert found
    assert [file for file in found if project / "src/unroll/inference" not in file.parents] == []


def test_onnx_runtime_is_loaded_without_its_telemetry(tmp_path: Path) -> None:
    code = "import unroll.inference, onnxruntime"
    others = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env=others | {"HOME": str(tmp_path)}, check=True)

    assert not list(tmp_path.rglob("*onnxruntime*"))
