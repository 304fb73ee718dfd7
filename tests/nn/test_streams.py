"""Two streams on a GPU; on a CPU, the order of the calls to a stand-in of CUDA's streams."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from unroll.nn import streams
from unroll.nn.encoder import RecurrentEncoder
from unroll.nn.gru import GRU
from unroll.nn.lstm import LSTM
from unroll.nn.streams import concurrently, has_streams

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU for CUDA streams")


class FakeStreams:
    """CUDA's streams by name, `here` and `beside`, with a record of what is asked of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.current = "here"
        monkeypatch.setattr(streams, "has_streams", lambda x: True)
        monkeypatch.setattr(streams, "_side_stream", lambda device: FakeStream(self, "beside"))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: FakeStream(self, self.current))
        monkeypatch.setattr(torch.cuda, "stream", self.use)
        monkeypatch.setattr(Tensor, "record_stream", lambda tensor, stream: self.record(tensor, stream))

    @contextmanager
    def use(self, stream: "FakeStream") -> Iterator[None]:
        before, self.current = self.current, stream.name
        yield
        self.current = before

    def record(self, tensor: Tensor, stream: "FakeStream") -> None:
        self.calls.append(f"{tensor.flatten()[0]:.0f} is used on {stream.name}")

    def computing(self, number: int) -> Tensor:
        self.calls.append(f"{number} is computed on {self.current}")
        return torch.tensor([float(number)])


class FakeStream:
    def __init__(self, owner: FakeStreams, name: str) -> None:
        self.owner, self.name = owner, name

    def wait_stream(self, other: "FakeStream") -> None:
        self.owner.calls.append(f"{self.name} waits for {other.name}")


def test_the_second_stream_starts_after_what_it_reads_and_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeStreams(monkeypatch)

    results = concurrently(lambda: fake.computing(3), lambda: fake.computing(4), torch.tensor([1.0]), torch.tensor(2.0))

    assert results == (3, 4)
    assert fake.calls == [
        "beside waits for here",
        "1 is used on beside",
        "2 is used on beside",
        "3 is computed on here",
        "4 is computed on beside",
        "here waits for beside",
        "4 is used on here",
    ]


def test_each_layer_of_a_bidirectional_encoder_forks_and_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    x, lengths = torch.randn(3, 5, 4), torch.tensor([5, 2, 4])
    encoder = RecurrentEncoder(4, 6, GRU, num_layers=2, bidirectional=True)
    expected = encoder(x, lengths)
    fake = FakeStreams(monkeypatch)
    places = []
    for name, cells in (("forward", encoder.forward_cells), ("backward", encoder.backward_cells)):
        for cell in cells:
            cell.register_forward_hook(lambda *_, name=name: places.append((name, fake.current)))

    found = encoder(x, lengths)

    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    assert places == 2 * [("forward", "here"), ("backward", "beside")]
    waits = [call for call in fake.calls if "waits" in call]
    assert waits == 2 * ["beside waits for here", "here waits for beside"]
    assert len(fake.calls) == len(waits) + 2 * 3  # of each layer, x, the rows of the reversal and the states cross


def test_one_direction_needs_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeStreams(monkeypatch)
    RecurrentEncoder(4, 6, GRU, num_layers=2)(torch.randn(3, 5, 4), torch.tensor([5, 2, 4]))
    assert fake.calls == []


def test_a_cpu_has_no_streams() -> None:
    assert not has_streams(torch.ones(1))
    assert concurrently(lambda: torch.tensor(1), lambda: torch.tensor(2), torch.ones(1)) == (1, 2)


class OnGPU:
    """What `has_streams` asks of a tensor."""

    is_cuda = True

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("capturing", [False, True])
def test_a_gpu_has_them_unless_it_is_captured_or_computes_in_float16(
    dtype: torch.dtype, autocast: torch.dtype | None, capturing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: autocast is not None)
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda device: autocast)
    x: Tensor = OnGPU(dtype)  # type: ignore[assignment]
    assert has_streams(x) == (not capturing and torch.float16 != (autocast or dtype))


def test_a_graph_that_is_traced_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    x: Tensor = OnGPU()  # type: ignore[assignment]
    assert has_streams(x)
    for module, name in ((torch.compiler, "is_compiling"), (torch.jit, "is_tracing")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, lambda: True)
            assert not has_streams(x)


@needs_gpu
@pytest.mark.parametrize("cell", [LSTM, GRU])
def test_two_streams_give_the_same_bits_as_one(cell: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(32, 64, cell, num_layers=2, bidirectional=True).cuda()
    x = torch.randn(8, 50, 32, device="cuda", requires_grad=True)
    lengths = torch.randint(1, 51, (8,), device="cuda")

    def step() -> list[Tensor]:
        outputs, final = encoder(x, lengths)
        loss = outputs.square().mean() + final.square().mean()
        return [outputs, final, *torch.autograd.grad(loss, [x, *encoder.parameters()])]

    beside = [step() for _ in range(5)]
    monkeypatch.setattr(streams, "has_streams", lambda x: False)
    alone = step()
    for results in beside:
        assert all(torch.equal(*pair) for pair in zip(results, alone, strict=True))
