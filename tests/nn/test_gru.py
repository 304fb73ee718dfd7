import numpy as np
import torch
from torch import Tensor, nn

from unroll.nn import GRU


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def with_random_biases(cell: GRU) -> GRU:
    for name, parameter in cell.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter)
    return cell


def weights(cell: GRU) -> list[Tensor]:
    """U, W, and the two biases, the gates r, z, n below each other."""
    return [cell.loop.weight_ih_l0, cell.loop.weight_hh_l0, cell.loop.bias_ih_l0, cell.loop.bias_hh_l0]


def test_states_follow_the_equations_step_by_step() -> None:
    torch.manual_seed(0)
    cell = with_random_biases(GRU(3, 5)).double()
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    U, W, b, b2 = (weight.detach().numpy() for weight in weights(cell))
    state = np.zeros((4, 5))
    expected = []
    for step in range(6):
        from_input = np.split(x[:, step].numpy() @ U.T + b, 3, axis=1)
        from_state = np.split(state @ W.T + b2, 3, axis=1)
        r, z = sigmoid(from_input[0] + from_state[0]), sigmoid(from_input[1] + from_state[1])
        n = np.tanh(from_input[2] + r * from_state[2])
        state = (1 - z) * n + z * state
        expected.append(state)

    states, last = cell(x)

    np.testing.assert_allclose(states.detach(), np.stack(expected, axis=1), atol=1e-12)
    np.testing.assert_allclose(last.detach(), state, atol=1e-12)


def test_states_equal_those_of_torch() -> None:
    torch.manual_seed(0)
    cell = with_random_biases(GRU(3, 5))
    reference = nn.GRU(3, 5, batch_first=True)
    with torch.no_grad():
        for theirs, ours in zip(reference.all_weights[0], weights(cell), strict=True):
            theirs.copy_(ours)
    x = torch.randn(4, 6, 3)

    states, last = cell(x)

    expected, expected_last = reference(x)
    torch.testing.assert_close(states, expected)
    torch.testing.assert_close(last, expected_last[0])


def test_every_gate_starts_with_an_orthogonal_recurrent_weight_and_no_bias() -> None:
    _, W, b, b2 = weights(GRU(3, 6))
    for block in W.chunk(3):
        torch.testing.assert_close(block @ block.T, torch.eye(6))
    assert not b.any() and not b2.any()
