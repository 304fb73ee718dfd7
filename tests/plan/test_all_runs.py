"""How many runs of a plan there are at a time."""

from typing import Any

import pytest
import torch

from unroll.nn import devices
from unroll.plan import all_runs
from unroll.plan.all_runs import Places, _places

TWO = " on cuda, 2 at a time (jobs=N for another number)"


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen cores, and a GPU that PyTorch finds where it is asked."""
    monkeypatch.setattr(all_runs, "cpu_count", lambda: 16)
    monkeypatch.setattr(all_runs, "may_have_gpu", lambda: True)
    monkeypatch.setattr(devices, "accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(devices, "_refusal", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")


@pytest.mark.parametrize(
    ("asked", "count", "threads", "jobs", "expected"),
    [
        ("cpu", 1, 1, None, Places(16)),
        ("cpu", 1, 4, None, Places(4)),
        ("cpu", 2, 1, None, Places(1)),
        ("cpu", 1, 1, 3, Places(3)),
        ("auto", 1, 1, None, Places(2, TWO)),
        ("gpu", 1, 1, None, Places(2, TWO)),
        ("auto", 1, 1, 5, Places(5, TWO.replace("2", "5"))),
        ("auto", 1, 16, None, Places(1, TWO.replace("2", "1"))),
        ("auto", 2, 1, None, Places(1)),
    ],
)
def test_few_runs_share_a_gpu_and_each_core_has_one(
    asked: str, count: int, threads: int, jobs: int | None, expected: Places
) -> None:
    assert _places(asked, count, threads, jobs) == expected


def test_apples_gpu_has_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "accelerator", lambda: torch.device("mps"))
    assert _places("auto", 1, 1, None).processes == 1


def test_each_core_has_a_run_if_the_gpu_cannot_be_used_and_it_is_said_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here, since the processes of the runs say nothing."""
    devices.note.cache_clear()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "nvidia_gpu", lambda: "NVIDIA H100")
    monkeypatch.setattr(devices, "_refusal", lambda device: "the driver is too old")
    assert _places("auto", 1, 1, None) == Places(16)
    assert capsys.readouterr().err == "NVIDIA H100 is not used: the driver is too old\n"


def test_pytorch_is_not_asked_on_a_machine_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise AssertionError

    monkeypatch.setattr(all_runs, "may_have_gpu", lambda: False)
    monkeypatch.setattr(devices, "accelerator", fail)
    assert _places("auto", 1, 1, None) == Places(16)


def test_a_gpu_that_is_not_there_ends_the_stage_before_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_runs, "may_have_gpu", lambda: False)
    monkeypatch.setattr(devices, "accelerator", lambda: None)
    with pytest.raises(ValueError, match=r"^trainer\.accelerator='gpu': .*; trainer=cpu works everywhere$"):
        _places("gpu", 1, 1, None)
