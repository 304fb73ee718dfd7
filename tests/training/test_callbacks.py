import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from unroll.training import callbacks
from unroll.training.callbacks import History, OwnSignals, ProcessState
from unroll.training.metrics import Mean


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def perf_counter(self) -> float:
        return self.now


def test_history_does_not_count_the_time_that_a_broken_run_lay_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(100.0)
    monkeypatch.setattr(callbacks, "time", clock)
    broken, resumed = History(tmp_path / "history.csv"), History(tmp_path / "history.csv")

    broken.on_train_start(None, None)  # type: ignore[arg-type]
    clock.now = 107.0
    state = broken.state_dict()
    clock.now = 5000.0
    resumed.load_state_dict(state)
    resumed.on_train_start(None, None)  # type: ignore[arg-type]
    clock.now = 5003.0

    assert resumed.seconds == 10.0


@pytest.mark.parametrize(("progress_bar", "lines"), [(None, 1), (object(), 0)])
def test_history_prints_an_epoch_where_no_progress_bar_is_shown(
    progress_bar: Any, lines: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer: Any = SimpleNamespace(
        callback_metrics={"train/loss": torch.tensor(0.5), "val/accuracy": torch.tensor(0.25), "other": 1},
        current_epoch=1,
        max_epochs=8,
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.125}])],
        progress_bar_callback=progress_bar,
        is_global_zero=True,
    )
    history = History(tmp_path / "history.csv")
    history.on_train_start(trainer, None)  # type: ignore[arg-type]

    history.on_validation_end(trainer, None)  # type: ignore[arg-type]

    assert capsys.readouterr().out == "epoch 2/8  train/loss 0.5000  val/accuracy 0.2500  0 s\n" * lines
    header, row = (tmp_path / "history.csv").read_text().splitlines()
    assert header == "epoch,train/loss,val/accuracy,learning_rate,seconds"
    assert row.startswith("2,0.5,0.25,0.125,")


def test_random_numbers_go_on_where_they_were_saved() -> None:
    trainer: Any = SimpleNamespace(global_rank=0, world_size=1)
    module: Any = SimpleNamespace(device=torch.device("cpu"))
    checkpoint: dict[str, Any] = {}
    ProcessState(1, Mean()).on_save_checkpoint(trainer, module, checkpoint)
    expected = torch.rand(5)
    restored = ProcessState(1, Mean())
    restored.on_load_checkpoint(trainer, module, checkpoint)
    torch.manual_seed(123)  # random numbers drawn before the first batch must not matter

    restored.on_train_batch_start(trainer, module, None, 0)
    assert torch.equal(torch.rand(5), expected)
    following = torch.rand(5)
    restored.on_train_batch_start(trainer, module, None, 1)
    assert not torch.equal(torch.rand(5), following)


def test_the_random_numbers_of_a_gpu_go_on_there_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is a GPU, a training on the CPU does not ask for its state, which would take memory of it."""
    trainer: Any = SimpleNamespace(global_rank=0, world_size=1)
    gpu, cpu = (SimpleNamespace(device=torch.device(kind)) for kind in ("cuda:1", "cpu"))
    states: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.tensor([device.index]))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: states.append((int(state), str(device))))
    for saved, resumed, expected in ((gpu, gpu, [(1, "cuda:1")]), (gpu, cpu, []), (cpu, gpu, []), (cpu, cpu, [])):
        checkpoint: dict[str, Any] = {}
        states.clear()
        ProcessState(1, Mean()).on_save_checkpoint(trainer, saved, checkpoint)  # type: ignore[arg-type]
        restored = ProcessState(1, Mean())
        restored.on_load_checkpoint(trainer, resumed, checkpoint)  # type: ignore[arg-type]
        restored.on_train_batch_start(trainer, resumed, None, 0)  # type: ignore[arg-type]
        assert states == expected


def test_each_process_draws_its_own_numbers() -> None:
    draws = []
    for rank in range(2):
        trainer: Any = SimpleNamespace(global_rank=rank, world_size=2)
        ProcessState(1, Mean()).on_fit_start(trainer, None)  # type: ignore[arg-type]
        draws.append(torch.rand(5))
    assert not torch.equal(*draws)


@pytest.mark.parametrize("processes", [1, 2])
def test_each_of_several_processes_ends_by_itself_at_sigterm(processes: int) -> None:
    """Lightning would tell the others, in the middle of another operation, and ask them before each step."""

    def of_lightning(*args: Any) -> None: ...

    def of_ours(*args: Any) -> None: ...

    loop = SimpleNamespace(_broadcast_sigterm_tensor=of_lightning)
    trainer: Any = SimpleNamespace(
        world_size=processes,
        fit_loop=SimpleNamespace(epoch_loop=loop),
        _signal_connector=SimpleNamespace(_original_handlers={signal.SIGTERM: of_ours}),
    )
    signal.signal(signal.SIGTERM, of_lightning)
    OwnSignals().on_train_start(trainer, None)  # type: ignore[arg-type]
    assert signal.getsignal(signal.SIGTERM) is (of_lightning if processes == 1 else of_ours)
    assert (loop._broadcast_sigterm_tensor is of_lightning) == (processes == 1)
