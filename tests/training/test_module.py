"""What the LightningModule sets on a GPU, with a stand-in for it."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.tiny import OPTIONS, tiny_parts
from unroll.data.prepared import PreparedData
from unroll.training import module
from unroll.training.metrics import Mean
from unroll.training.module import SequenceTask, set_matmul_precision
from unroll.training.options import MatmulPrecision, TrainOptions
from unroll.training.train import train


@pytest.fixture(autouse=True)
def precision() -> Iterator[None]:
    """Restore PyTorch's settings."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    yield
    matmul.allow_tf32, cudnn.allow_tf32 = before


@pytest.mark.parametrize(("name", "is_tf32"), [("high", True), ("highest", False)])
def test_one_option_is_the_precision_of_products_and_of_cudnn(name: MatmulPrecision, is_tf32: bool) -> None:
    set_matmul_precision(name)
    assert torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.allow_tf32 == is_tf32
    assert torch.get_float32_matmul_precision() == name


@pytest.mark.parametrize(("device", "calls"), [("cuda", ["highest"]), ("cpu", []), ("mps", [])])
def test_it_is_set_in_every_process_that_uses_a_gpu(
    device: str, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    monkeypatch.setattr(module, "set_matmul_precision", found.append)
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))
    means = {"train_loss": Mean(), "val_loss": Mean()}
    task: Any = SimpleNamespace(trainer=trainer, _matmul_precision="highest", **means)
    SequenceTask.setup(task, "fit")
    assert found == calls


def test_the_option_reaches_the_module(reviews: PreparedData, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(SequenceTask, "setup", lambda task, stage: seen.append(task._matmul_precision))
    options = TrainOptions(**{**vars(OPTIONS), "matmul_precision": "highest"})
    train(reviews, tiny_parts("gru", max_epochs=1), options, tmp_path)
    assert seen == ["highest"]


def test_another_precision_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^matmul_precision='medium'; accepted: high, highest$"):
        TrainOptions(**{**vars(OPTIONS), "matmul_precision": "medium"})
