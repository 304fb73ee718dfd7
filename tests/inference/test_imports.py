"""Where ONNX Runtime is imported."""

import ast
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
