import subprocess
import sys

HEAVY = ["torch", "pytorch_lightning", "hydra", "mlflow", "sklearn", "pandas"]


def test_baselines_load_neither_torch_nor_lightning() -> None:
    command = [sys.executable, "-c", "import sys, unroll.baselines; print(*sys.modules)"]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not set(loaded).intersection(HEAVY)
