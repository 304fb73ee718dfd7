import os
import subprocess
import sys
from pathlib import Path


def test_onnx_runtime_is_loaded_without_its_telemetry(tmp_path: Path) -> None:
    code = "import unroll.inference, onnxruntime"
    others = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env=others | {"HOME": str(tmp_path)}, check=True)

    assert not list(tmp_path.rglob("*onnxruntime*"))
