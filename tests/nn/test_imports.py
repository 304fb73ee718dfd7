import subprocess
import sys

HEAVY = ["icu4py", "sentencepiece", "pyarrow", "pandas", "hydra", "mlflow", "pytorch_lightning", "sklearn", "datasets"]


def test_networks_load_torch_and_of_the_data_only_what_batches_share() -> None:
    command = [sys.executable, "-c", "import sys, unroll.nn; print(*sys.modules)"]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "torch" in loaded
    assert not loaded.intersection(HEAVY)
    assert {name for name in loaded if name.startswith("unroll.data.")} == {"unroll.data.tokens"}
