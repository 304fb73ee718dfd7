"""The parts of a network: encoders next to cuDNN, the CRF next to pytorch-crf, cells next to nn.LSTM."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.gpu.setting import Measurement, Result, Setting, build, configuration, networks
from unroll.nn import GRU, LSTM, LinearChainCRF, RecurrentEncoder
from unroll.nn.encoder import padding_mask

SHAPES = ((32, 30), (32, 230), (256, 230))
SCANS = ("min_gru", "min_lstm", "qrnn", "lru", "sru", "indrnn")  # without a dense recurrence
WANTED = {"peephole_lstm": 0.7, "slstm": 0.7, **dict.fromkeys(SCANS, 4.0)}  # times the speed of nn.LSTM
OTHERS = {"bilstm", "bilstm_char_crf", "awd_lstm", "fcnn"}  # networks with no cell of their own


def encoders(setting: Setting) -> Iterator[Measurement]:
    for name, cell, reference in (("LSTM", LSTM, nn.LSTM), ("GRU", GRU, nn.GRU)):
        for size, steps in SHAPES:
            shape = setting.size(size, 2), setting.size(steps, 5)
            title = f"bidirectional {name}, training step, {size} × {steps}"
            yield Measurement(title, partial(encoder, setting, title, cell, reference, *shape))


def encoder(
    setting: Setting, title: str, cell: type[nn.Module], reference: type[nn.LSTM | nn.GRU], size: int, steps: int
) -> Iterator[Result]:
    torch.manual_seed(0)
    width = setting.size(128, 4)
    ours = RecurrentEncoder(width, width, cell, bidirectional=True).to(setting.device)
    theirs = reference(width, width, batch_first=True, bidirectional=True).to(setting.device)
    x = torch.randn(size, steps, width, device=setting.device, requires_grad=True)
    on_host = torch.randint((steps + 1) // 2, steps + 1, (size,))
    on_host[0] = steps
    lengths = on_host.to(setting.device)
    d_outputs = torch.randn(size, steps, 2 * width, device=setting.device) * padding_mask(lengths, steps)[:, :, None]

    def packed() -> Tensor:
        sequences = pack_padded_sequence(x, on_host, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(theirs(sequences)[0], batch_first=True, total_length=steps)[0]

    def train(outputs: Tensor, module: nn.Module) -> None:
        torch.autograd.grad(outputs, [x, *module.parameters()], d_outputs)

    our_time, *times = setting.milliseconds(
        lambda: train(ours(x, lengths)[0], ours),
        lambda: train(theirs(x)[0], theirs),
        lambda: train(packed(), theirs),
    )
    yield Result(title, our_time, "ms", "nn, padding read as text", times[0], wanted=1 / 1.1)
    yield Result(title, our_time, "ms", "nn, PackedSequence", times[1])


def crf(setting: Setting) -> Iterator[Measurement]:
    title = "CRF, 32 × 50 × 9"
    yield Measurement(f"{title}, our loss and decoding", partial(our_crf, setting, title))
    yield Measurement(f"{title}, pytorch-crf", partial(both_crfs, setting, title))


class Chain:
    """A CRF with a batch on the device."""

    def __init__(self, setting: Setting) -> None:
        torch.manual_seed(0)
        size, steps, labels = setting.size(32, 2), setting.size(50, 4), 9
        self.crf = LinearChainCRF(labels).to(setting.device)
        self.logits = torch.randn(size, steps, labels, device=setting.device, requires_grad=True)
        self.labels = torch.randint(labels, (size, steps), device=setting.device)
        self.lengths = torch.randint(steps // 2, steps + 1, (size,), device=setting.device)
        self.lengths[0] = steps

    def step(self) -> None:
        loss = self.crf.loss(self.logits, self.labels, self.lengths)
        torch.autograd.grad(loss, [self.logits, *self.crf.parameters()])

    def decode(self) -> Tensor:
        return self.crf.decode(self.logits.detach(), self.lengths)


def our_crf(setting: Setting, title: str) -> Iterator[Result]:
    chain = Chain(setting)
    step, decode = setting.milliseconds(chain.step, chain.decode)
    yield Result(f"{title}, loss and backward", step, "ms")
    yield Result(f"{title}, decoding", decode, "ms")


def both_crfs(setting: Setting, title: str) -> Iterator[Result]:
    from torchcrf import CRF

    chain = Chain(setting)
    theirs = CRF(chain.crf.num_labels, batch_first=True).to(setting.device)
    mask = padding_mask(chain.lengths, chain.logits.shape[1])

    def their_step() -> None:
        loss = -theirs(chain.logits, chain.labels, mask, reduction="token_mean")
        torch.autograd.grad(loss, [chain.logits, *theirs.parameters()])

    ours, other = setting.milliseconds(chain.step, their_step)
    yield Result(f"{title}, loss and backward", ours, "ms", "pytorch-crf", other)
    ours, other = setting.milliseconds(chain.decode, lambda: theirs.decode(chain.logits.detach(), mask))
    yield Result(f"{title}, decoding", ours, "ms", "pytorch-crf", other)


def cells(setting: Setting) -> Iterator[Measurement]:
    for name in networks():
        if name in OTHERS:
            continue
        for size, steps in ((64, 230), (8, 1000)) if name in SCANS else ((64, 230),):
            wanted = 10.0 if steps == 1000 and name in WANTED else WANTED.get(name)
            title = f"{name}, training step, {size} × {steps}, 256 units"
            shape = setting.size(size, 2), setting.size(steps, 4)
            yield Measurement(title, partial(cell_row, setting, title, name, *shape, wanted))


def cell_row(setting: Setting, title: str, name: str, size: int, steps: int, wanted: float | None) -> Iterator[Result]:
    torch.manual_seed(0)
    width = setting.size(256, 8)
    ours: nn.Module = build(configuration(name)["encoder"]["cell"])(width, width).to(setting.device)
    theirs = nn.LSTM(width, width, batch_first=True).to(setting.device)
    x = torch.randn(size, steps, width, device=setting.device, requires_grad=True)
    d_states = torch.randn(size, steps, width, device=setting.device)

    def train(states: Tensor, module: nn.Module) -> None:
        torch.autograd.grad(states, [x, *module.parameters()], d_states)

    times = setting.milliseconds(lambda: train(ours(x), ours), lambda: train(theirs(x)[0], theirs))
    yield Result(title, times[0], "ms", "nn.LSTM", times[1], wanted=wanted)
