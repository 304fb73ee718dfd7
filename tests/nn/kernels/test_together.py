"""How a recurrence with a matrix is split between programs."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

import unroll.nn.kernels
from tests.nn.kernels.launches import record_launches
from tests.nn.test_cells import make
from unroll.nn.kernels import has_recurrent_kernels

H100 = 132


@pytest.mark.parametrize(
    ("batch", "heads", "hidden", "expected"),
    [
        (64, 1, 128, (16, 8)),
        (64, 1, 256, (32, 8)),  # 2 blocks of sequences by 32 of units
        (64, 1, 512, (32, 16)),
        (64, 1, 1024, (32, 16)),  # in several launches
        (64, 4, 64, (32, 8)),
        (4096, 1, 256, (32, 16)),
        (1, 1, 8 * H100, (16, 16)),
        (1, 1, 8 * H100 + 1, None),
        (1, 2, 4 * H100, (16, 16)),
        (1, 2, 4 * H100 + 16, None),
    ],
)
def test_the_programs_of_both_directions_fit_on_the_device_at_a_time(
    batch: int, heads: int, hidden: int, expected: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs wait for others of their launch: with only some of each launch running, both would wait for ever."""
    from unroll.nn.kernels import together

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(multi_processor_count=H100))
    x: Any = SimpleNamespace(is_cuda=True, device=torch.device("cuda", 0))
    blocks = together.blocks_for(x, batch, heads, hidden)
    assert blocks == expected
    assert blocks is None or 2 * together.programs(1, heads, hidden, blocks) <= H100


def test_more_units_than_the_device_has_room_for_take_the_plain_path() -> None:
    from unroll.nn.kernels import together

    most = 16 * together.room_on(torch.empty(0))
    assert has_recurrent_kernels(torch.empty(1, 1, 1), most)
    assert not has_recurrent_kernels(torch.empty(1, 1, 1), most + 1)
    assert not has_recurrent_kernels(torch.empty(1, 1, 1, dtype=torch.float64), 1)


@pytest.mark.parametrize("name", ["peephole_lstm", "slstm, sigmoid, 2 heads"])
def test_a_batch_too_large_for_one_launch_takes_several(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from unroll.nn.kernels import together

    monkeypatch.setattr(together, "room_on", lambda x: 2)
    cell, x = make(name, batch=70, steps=1, hidden_size=3)  # by blocks of 32 sequences
    launched = record_launches(monkeypatch)
    cell, x = cell.float(), x.float().requires_grad_()
    states = cell(x)
    states.sum().backward()
    assert len(launched) == (4 if name == "peephole_lstm" else 6)  # 2 blocks at a time; 1, by 2 heads
    monkeypatch.setattr(unroll.nn.kernels, "_has_triton", lambda: False)
    reference = x.detach().requires_grad_()
    torch.testing.assert_close(states, cell(reference))
    cell(reference).sum().backward()
    assert reference.grad is not None
    torch.testing.assert_close(x.grad, reference.grad)


def test_products_are_as_precise_as_pytorch_s(monkeypatch: pytest.MonkeyPatch) -> None:
    from unroll.nn.kernels.together import precision

    for setting, expected in (("tf32", "tf32"), ("ieee", "ieee")):
        monkeypatch.setattr(torch.backends.cuda.matmul, "fp32_precision", setting)
        assert precision() == expected
