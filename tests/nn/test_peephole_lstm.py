import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from unroll.nn.peephole_lstm import PeepholeLSTM

sizes = st.integers(1, 5)


def make(input_size: int, hidden_size: int, seed: int = 0) -> PeepholeLSTM:
    """In float64, with biases and peepholes that are not zero."""
    torch.manual_seed(seed)
    cell = PeepholeLSTM(input_size, hidden_size).double()
    nn.init.normal_(cell.bias)
    nn.init.normal_(cell.peepholes)
    return cell


def sigmoid(z: float) -> float:
    return 1 / (1 + np.exp(-z))


def expected_states(x: np.ndarray, cell: PeepholeLSTM) -> np.ndarray:
    """Sequence by sequence, step by step, unit by unit."""
    U, W, b, p = (parameter.detach().numpy() for parameter in cell.parameters())
    H = W.shape[1]
    states = np.zeros((len(x), x.shape[1], H))
    for n, sequence in enumerate(x):
        s, c = np.zeros(H), np.zeros(H)
        for t, inputs in enumerate(sequence):
            a = U @ inputs + W @ s + b  # the rows of i, then f, g, o
            for k in range(H):
                i = sigmoid(a[k] + p[0, k] * c[k])
                f = sigmoid(a[H + k] + p[1, k] * c[k])
                c[k] = f * c[k] + i * np.tanh(a[2 * H + k])
                o = sigmoid(a[3 * H + k] + p[2, k] * c[k])
                s[k] = o * np.tanh(c[k])
            states[n, t] = s
    return states


@settings(max_examples=25, deadline=None)
@given(batch=sizes, steps=sizes, input_size=sizes, hidden_size=sizes, seed=st.integers(0, 1000))
def test_states_follow_the_equations_step_by_step(
    batch: int, steps: int, input_size: int, hidden_size: int, seed: int
) -> None:
    cell = make(input_size, hidden_size, seed)
    x = torch.randn(batch, steps, input_size, dtype=torch.float64)
    np.testing.assert_allclose(cell(x).detach(), expected_states(x.numpy(), cell), atol=1e-10)


def test_without_peepholes_states_equal_those_of_the_lstm_of_torch() -> None:
    cell = make(3, 5)
    nn.init.zeros_(cell.peepholes)
    reference = nn.LSTM(3, 5, batch_first=True).double()
    ours = [cell.input_weight, cell.recurrent_weight, cell.bias, torch.zeros_like(cell.bias)]
    with torch.no_grad():
        for theirs, weight in zip(reference.all_weights[0], ours, strict=True):
            theirs.copy_(weight)
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    torch.testing.assert_close(cell(x), reference(x)[0])


def test_gradients_equal_finite_differences() -> None:
    cell = make(2, 3)
    names = [name for name, _ in cell.named_parameters()]
    x = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)

    def states(x: Tensor, *parameters: Tensor) -> Tensor:
        return functional_call(cell, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(states, (x, *cell.parameters()))


def test_outputs_do_not_depend_on_later_inputs() -> None:
    cell = make(3, 5)
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    torch.testing.assert_close(cell(x)[:, :4], cell(x[:, :4]))


def test_autocast_shortens_the_input_products_alone() -> None:
    cell = make(8, 8).float()
    x = torch.randn(4, 20, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = cell(x)
        states.square().sum().backward()
    assert states.dtype == torch.float32
    torch.testing.assert_close(states, cell(x), rtol=0, atol=0.02)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in cell.parameters())


def test_it_starts_as_a_plain_lstm_with_an_open_forget_gate() -> None:
    cell = PeepholeLSTM(3, 2)
    assert not cell.peepholes.any()
    assert cell.bias.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]  # i, f, g, o
    for block in cell.recurrent_weight.chunk(4):
        torch.testing.assert_close(block @ block.T, torch.eye(2))
