"""bfloat16 autocast, which is what `trainer.precision=bf16-mixed` does."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import unroll.nn.model
from tests.tiny import NETWORKS, tiny_parts
from unroll.data.batches import SequentialBatches
from unroll.data.padding import Batch
from unroll.data.prepared import PreparedData
from unroll.inference.building import build_model
from unroll.nn import LSTM, SequenceModel
from unroll.nn.lstm import supports_lstm

BFLOAT16 = 2**-8  # relative spacing of bfloat16 numbers


def loss_and_gradient(model: SequenceModel, batch: Batch[Tensor]) -> tuple[Tensor, Tensor]:
    loss = model.head.loss(model(batch.tokens), batch.labels, batch.tokens.lengths)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return loss, torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("task", ["reviews", "entities", "topics"])
def test_mixed_precision_gives_the_loss_and_gradient_of_float32_up_to_rounding(
    task: str, model: str, request: pytest.FixtureRequest
) -> None:
    data: PreparedData = request.getfixturevalue(task)
    torch.manual_seed(0)
    network = build_model(tiny_parts(model)["model"], data.schema).eval()
    batch = next(iter(SequentialBatches(data.split("train"), 16, characters=network.reads_characters)))

    loss, gradient = loss_and_gradient(network, batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed_loss, mixed_gradient = loss_and_gradient(network, batch)

    assert mixed_loss.dtype == torch.float32
    torch.testing.assert_close(mixed_loss, loss, rtol=4 * BFLOAT16, atol=0)
    assert torch.cosine_similarity(mixed_gradient, gradient, dim=0) > 0.99


@pytest.mark.parametrize(("below", "is_mixed"), [(None, True), (8, True), (9, False)])  # the network has 8 units
def test_a_network_with_few_units_computes_in_float32_on_a_gpu(
    below: int | None, is_mixed: bool, reviews: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU stands in for it."""
    monkeypatch.setattr(unroll.nn.model, "FULL_PRECISION_BELOW", {"cuda": 512} | ({"cpu": below} if below else {}))
    torch.manual_seed(0)
    network = build_model(tiny_parts("bilstm")["model"], reviews.schema).eval()
    batch = next(iter(SequentialBatches(reviews.split("train"), 16)))
    scores = network(batch.tokens)
    with torch.autocast("cpu", torch.bfloat16):
        found = network(batch.tokens)
    gradients = [torch.autograd.grad(x.float().square().sum(), [*network.parameters()]) for x in (found, scores)]

    assert found.dtype == (torch.bfloat16 if is_mixed else torch.float32)
    assert torch.equal(found.float(), scores) == (not is_mixed)
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True)) == (not is_mixed)


def test_no_part_of_a_network_needs_bfloat16_instructions() -> None:
    """The tests of cells, encoders and characters, with oneDNN limited to older instructions."""
    files = [str(Path(__file__).with_name(f"test_{part}.py")) for part in ("cells", "encoder", "characters")]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--noconftest", "-k", "bfloat16", *files]
    done = subprocess.run(command, env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("weight_dropout", [0.0, 0.5])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_lstm_without_16_bit_instructions_rounds_the_states_of_float32(
    dtype: torch.dtype, weight_dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unroll.nn.lstm.supports_lstm", lambda dtype: False)
    cell, x, d_states = LSTM(3, 4, weight_dropout), torch.randn(2, 6, 3), torch.randn(2, 6, 4)
    gradients = partial(torch.autograd.grad, inputs=list(cell.parameters()))

    torch.manual_seed(0)
    expected = cell(x)
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype):
        states = cell(x)

    torch.testing.assert_close(states, expected.to(dtype), rtol=0, atol=0)
    for found, theirs in zip(
        gradients(states, grad_outputs=d_states.to(dtype)), gradients(expected, grad_outputs=d_states), strict=True
    ):
        assert torch.cosine_similarity(found.flatten(), theirs.flatten(), dim=0) > 0.999


def test_supports_lstm_draws_no_random_number_and_works_in_inference_mode() -> None:
    found = supports_lstm.__wrapped__(torch.bfloat16)
    state = torch.get_rng_state()
    with torch.inference_mode():
        assert supports_lstm.__wrapped__(torch.bfloat16) == found
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_supports_lstm_is_whether_a_plain_lstm_runs(dtype: torch.dtype) -> None:
    x = torch.zeros(1, 2, 3, requires_grad=True)
    try:
        with torch.autocast("cpu", dtype):
            states, _ = nn.LSTM(3, 4, batch_first=True)(x)
        states.float().sum().backward()
    except RuntimeError:
        assert not supports_lstm(dtype)
    else:
        assert supports_lstm(dtype)
