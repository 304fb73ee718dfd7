from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unroll.nn.gru import GRU
from unroll.nn.lstm import LSTM

Cell = type[LSTM] | type[GRU]


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def lstm_states(x: np.ndarray, U: np.ndarray, W: np.ndarray, b: np.ndarray, b2: np.ndarray) -> np.ndarray:
    state = memory = np.zeros((len(x), W.shape[1]))
    states = []
    for step in range(x.shape[1]):
        i, f, g, o = np.split(x[:, step] @ U.T + state @ W.T + b + b2, 4, axis=1)
        memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
        state = sigmoid(o) * np.tanh(memory)
        states.append(state)
    return np.stack(states, axis=1)


def gru_states(x: np.ndarray, U: np.ndarray, W: np.ndarray, b: np.ndarray, b2: np.ndarray) -> np.ndarray:
    state = np.zeros((len(x), W.shape[1]))
    states = []
    for step in range(x.shape[1]):
        from_input = np.split(x[:, step] @ U.T + b, 3, axis=1)
        from_state = np.split(state @ W.T + b2, 3, axis=1)
        r, z = sigmoid(from_input[0] + from_state[0]), sigmoid(from_input[1] + from_state[1])
        n = np.tanh(from_input[2] + r * from_state[2])
        state = (1 - z) * n + z * state
        states.append(state)
    return np.stack(states, axis=1)


def weights(cell: LSTM | GRU) -> list[Tensor]:
    """U, W, and the two biases, the gates below each other."""
    return [weight.detach() for weight in cell.loop.all_weights[0]]


def make(cell_type: Cell, input_size: int, hidden_size: int) -> LSTM | GRU:
    """In float64, and with biases that are not zero."""
    torch.manual_seed(0)
    cell = cell_type(input_size, hidden_size).double()
    for bias in weights(cell)[2:]:
        nn.init.normal_(bias)
    return cell


@pytest.mark.parametrize(("cell_type", "expected"), [(LSTM, lstm_states), (GRU, gru_states)])
@pytest.mark.parametrize(("batch", "steps"), [(4, 6), (1, 1)])
def test_states_follow_the_equations_step_by_step(
    cell_type: Cell, expected: Callable[..., np.ndarray], batch: int, steps: int
) -> None:
    cell = make(cell_type, 3, 5)
    x = torch.randn(batch, steps, 3, dtype=torch.float64)

    states = cell(x)

    equations = expected(x.numpy(), *(weight.numpy() for weight in weights(cell)))
    np.testing.assert_allclose(states.detach(), equations, atol=1e-12)


@pytest.mark.parametrize(("cell_type", "reference_type"), [(LSTM, nn.LSTM), (GRU, nn.GRU)])
def test_states_equal_those_of_torch(cell_type: Cell, reference_type: type[nn.RNNBase]) -> None:
    cell = make(cell_type, 3, 5)
    reference = reference_type(3, 5, batch_first=True).double()
    with torch.no_grad():
        for theirs, ours in zip(reference.all_weights[0], weights(cell), strict=True):
            theirs.copy_(ours)
    x = torch.randn(4, 6, 3, dtype=torch.float64)

    torch.testing.assert_close(cell(x), reference(x)[0])


@pytest.mark.parametrize(("cell_type", "reference_type"), [(LSTM, nn.LSTM), (GRU, nn.GRU)])
def test_gradients_equal_those_of_torch(cell_type: Cell, reference_type: type[nn.RNNBase]) -> None:
    cell = make(cell_type, 5, 4)
    reference = reference_type(5, 4, batch_first=True).double()
    reference.load_state_dict(cell.loop.state_dict())
    x, d_states = torch.randn(3, 7, 5).double().requires_grad_(), torch.randn(3, 7, 4).double()
    ours = torch.autograd.grad(cell(x), [x, *cell.parameters()], d_states)
    theirs = torch.autograd.grad(reference(x)[0], [x, *reference.parameters()], d_states)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their)


@pytest.mark.parametrize("cell_type", [LSTM, GRU])
def test_states_are_the_same_with_and_without_gradients(cell_type: Cell) -> None:
    cell, x = make(cell_type, 5, 4), torch.randn(3, 7, 5).double()
    with torch.inference_mode():
        inferred = cell(x)
    torch.testing.assert_close(inferred, cell(x).detach())


def test_gradients_of_the_gru_are_those_of_finite_differences() -> None:
    cell = make(GRU, 3, 2)
    x = torch.randn(2, 4, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *weights: cell(x), (x, *cell.parameters()))


@pytest.mark.parametrize(("cell_type", "gates"), [(LSTM, 4), (GRU, 3)])
def test_every_gate_starts_with_an_orthogonal_recurrent_weight(cell_type: Cell, gates: int) -> None:
    for block in weights(cell_type(3, 6))[1].chunk(gates):
        torch.testing.assert_close(block @ block.T, torch.eye(6))


def test_the_forget_gate_of_the_lstm_starts_with_bias_one_and_the_others_with_zero() -> None:
    _, _, b, b2 = weights(LSTM(3, 2))
    assert (b + b2).tolist() == [0, 0, 1, 1, 0, 0, 0, 0]  # i, f, g, o


def test_the_gru_starts_without_bias() -> None:
    _, _, b, b2 = weights(GRU(3, 6))
    assert not b.any() and not b2.any()


@pytest.mark.parametrize("cell_type", [LSTM, GRU])
def test_outputs_do_not_depend_on_later_inputs(cell_type: Cell) -> None:
    cell = make(cell_type, 3, 5)
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    torch.testing.assert_close(cell(x)[:, :4], cell(x[:, :4]))
