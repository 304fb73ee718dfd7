import numpy as np
import torch
from torch import Tensor, nn

from unroll.nn import LSTM


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def with_random_biases(cell: LSTM) -> LSTM:
    for name, parameter in cell.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter)
    return cell


def weights(cell: LSTM) -> list[Tensor]:
    """U, W, and the two biases, the gates i, f, g, o below each other."""
    return [cell.loop.weight_ih_l0, cell.loop.weight_hh_l0, cell.loop.bias_ih_l0, cell.loop.bias_hh_l0]


def test_states_follow_the_equations_step_by_step() -> None:
    torch.manual_seed(0)
    cell = with_random_biases(LSTM(3, 5)).double()
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    U, W, b, b2 = (weight.detach().numpy() for weight in weights(cell))
    state = memory = np.zeros((4, 5))
    expected = []
    for step in range(6):
        i, f, g, o = np.split(x[:, step].numpy() @ U.T + state @ W.T + b + b2, 4, axis=1)
        memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
        state = sigmoid(o) * np.tanh(memory)
        expected.append(state)

    states, last = cell(x)

    np.testing.assert_allclose(states.detach(), np.stack(expected, axis=1), atol=1e-12)
    np.testing.assert_allclose(last.detach(), state, atol=1e-12)


def test_states_equal_those_of_torch() -> None:
    torch.manual_seed(0)
    cell = with_random_biases(LSTM(3, 5))
    reference = nn.LSTM(3, 5, batch_first=True)
    with torch.no_grad():
        for theirs, ours in zip(reference.all_weights[0], weights(cell), strict=True):
            theirs.copy_(ours)
    x = torch.randn(4, 6, 3)

    states, last = cell(x)

    expected, (expected_last, _) = reference(x)
    torch.testing.assert_close(states, expected)
    torch.testing.assert_close(last, expected_last[0])


def test_the_forget_gate_starts_with_bias_one_and_the_others_with_zero() -> None:
    total = sum(bias.detach() for bias in weights(LSTM(3, 2))[2:])
    assert total.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]  # i, f, g, o


def test_every_gate_starts_with_an_orthogonal_recurrent_weight() -> None:
    for block in weights(LSTM(3, 6))[1].chunk(4):
        torch.testing.assert_close(block @ block.T, torch.eye(6))
