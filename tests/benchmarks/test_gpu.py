"""The benchmarks of a GPU, with small sizes on the CPU."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from benchmarks.gpu import __main__ as bench
from benchmarks.gpu import checks, parts, training
from benchmarks.gpu.setting import Measurement, NotRun, Result, Setting, build, configuration, networks
from benchmarks.gpu.training import busy
from unroll.data.padding import Batch
from unroll.nn import SequenceModel

PROJECT = Path(__file__).parents[2]
FEW = ["bilstm_char_crf", "min_gru", "peephole_lstm"]
# Everything that the package needs elsewhere and that a bare machine may lack.
MISSING = [
    *("hydra", "mlflow", "datasets", "optuna", "safetensors", "pyarrow", "pandas", "joblib", "scipy", "omegaconf"),
    *("sklearn", "filelock", "huggingface_hub", "icu4py", "sentencepiece", "pydantic", "dvc"),
    *("pytorch_lightning", "torchmetrics", "torchcrf", "psutil", "jinja2", "matplotlib"),
]
BARE = f"""
import runpy, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {MISSING}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
runpy.run_module("benchmarks.gpu", run_name="__main__")
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    """The exit status, and the cells of each row as one string."""
    status = bench.main(["--device", "cpu", *arguments])
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {8}
    return status, table[2:]


@pytest.fixture
def few_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (checks, parts):
        monkeypatch.setattr(module, "networks", lambda: FEW)


@pytest.mark.usefixtures("few_networks")
def test_every_group_runs_with_small_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    status, table = run(capsys)
    assert status == 0
    names = [line.split(" | ")[0].removeprefix("| ") for line in table]
    assert "bilstm_char_crf, labeling, float32: difference from float64 on the CPU" in names
    assert "bidirectional GRU, training step, 256 × 230" in names
    assert "CRF, 32 × 50 × 9, decoding" in names
    assert "min_gru, training step, 8 × 1000, 256 units" in names
    assert "conll2003-like, bilstm_char_crf, batch 128, training" in names
    assert "bilstm of 512 units, training step, 32 × 230, bf16-mixed" in names
    assert [line for line in table if "not run" in line] == [
        f"| {name}, batch {size} | | | | | | not run: kernels are counted on a GPU only |"
        for name in ("imdb-like, bilstm", "conll2003-like, bilstm_char_crf")
        for size in (32, 128)
    ]


def test_every_shipped_network_is_checked() -> None:
    checked = {
        measurement.name.split(",")[0] for measurement in checks.measurements(Setting(torch.device("cpu"), True))
    }
    assert checked == set(networks()) > {"lstm", "fcnn", "bilstm_char_crf"}
    for name in networks():
        arguments = {"vocabulary_size": 9, "alphabet_size": 9, "label_names": ["a", "b"], "task": "classification"}
        assert isinstance(build(configuration(name), **arguments), SequenceModel)


def test_a_network_that_computes_something_else_fails_its_check(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "networks", lambda: ["gru"])
    correct = checks.results

    def distorted(network: SequenceModel, batch: Batch[Tensor]) -> list[Tensor]:
        return [tensor * (1.01 if tensor.dtype == torch.float32 else 1) for tensor in correct(network, batch)]

    monkeypatch.setattr(checks, "results", distorted)
    status, table = run(capsys, "--only", "checks")
    assert status == 1
    assert table[0].startswith("| FAILED: gru, classification, float32: difference")
    assert "Different: scores " in table[0]


def rows_then(*errors: Exception) -> Iterator[Result]:
    yield Result("first", 1.0, "ms", "other", 2.0, wanted=1.5)
    yield Result("second", 3.0, "tokens/s", is_rate=True, wanted=6.0)
    for error in errors:
        raise error


def test_a_row_that_fails_or_cannot_run_says_why_and_the_others_follow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measurements(setting: Setting) -> Iterator[Measurement]:
        yield Measurement("broken", lambda: rows_then(RuntimeError("CUDA error:\nout of luck")))
        yield Measurement("left out", lambda: rows_then(NotRun("no counters")))
        yield Measurement("lacking", lambda: rows_then(ModuleNotFoundError("No module named 'torchcrf'")))

    monkeypatch.setattr(bench, "GROUPS", {"crf": measurements})
    status, table = run(capsys)
    assert status == 1
    rows = ["| first | 1 ms | 2 ms | other | 2.00 | 1.50 |  |", "| second | 3 tokens/s |  |  |  | 6 tokens/s |  |"]
    assert table == [
        *rows,
        "| FAILED: broken | | | | | | RuntimeError: CUDA error: out of luck |",
        *rows,
        "| left out | | | | | | not run: no counters |",
        *rows,
        "| lacking | | | | | | not run: No module named 'torchcrf' |",
    ]


def test_what_the_time_did_not_suffice_for_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--device", "cpu", "--only", "precision", "--minutes", "-1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].endswith("minutes are over: bilstm of 512 units, training step, 32 × 230, bf16-mixed")
    assert lines[-1] == "0 failed, 2 not run"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_without_a_gpu_is_told_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([]) == 2
    assert capsys.readouterr().err == f"error: PyTorch {torch.__version__} finds no GPU; accepted: --device cpu\n"


def test_a_bare_machine_suffices() -> None:
    path = os.pathsep.join([str(PROJECT / "src"), str(PROJECT)])
    command = [sys.executable, "-c", BARE, "--device", "cpu", "--only", "crf"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "| CRF, 32 × 50 × 9, pytorch-crf | | | | | | not run: No module named 'torchcrf' |" in done.stdout
    assert "| CRF, 32 × 50 × 9, decoding |" in done.stdout


def test_two_streams_are_busy_where_one_of_them_is() -> None:
    assert busy([(0, 4), (6, 8), (1, 2), (3, 5)]) == 7
    assert busy([]) == 0


def test_kernels_are_told_from_named_ranges() -> None:
    class Event:
        device_type = SimpleNamespace(name="CUDA")

        def __init__(self, is_user_annotation: bool) -> None:
            self.is_user_annotation = is_user_annotation

    assert training.is_on_device(Event(False))
    assert not training.is_on_device(Event(True))
    with torch.profiler.profile() as profiler:
        torch.ones(2).sum()
    assert not any(training.is_on_device(event) for event in profiler.events())
