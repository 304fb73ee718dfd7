from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from unroll.nn import GRU, LSTM, Elman
from unroll.nn.dropout import VariationalDropout, WeightDropout

CELLS: dict[str, Callable[..., nn.Module]] = {
    "lstm": LSTM,
    "gru": GRU,
    "elman": Elman,
    "elman sigmoid": partial(Elman, activation="sigmoid"),
}
each_cell = pytest.mark.parametrize("cell_type", CELLS.values(), ids=CELLS.keys())


def test_a_sequence_has_one_mask_for_all_its_steps() -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 9, 16)
    factors = VariationalDropout(0.5)(x) / x
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
    assert len(factors[:, 0].unique(dim=0)) == 8  # sequences differ


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_share_of_dropped_features_is_p_and_the_mean_is_kept(p: float) -> None:
    torch.manual_seed(0)
    kept = VariationalDropout(p)(torch.ones(1000, 2, 100))[:, 0]
    torch.testing.assert_close(kept.unique(), torch.tensor([0, 1 / (1 - p)]))
    deviation = (p / (1 - p) / kept.numel()) ** 0.5  # standard deviation of the mean
    assert kept.mean().item() == pytest.approx(1, abs=4 * deviation)


def test_each_call_draws_a_new_mask() -> None:
    torch.manual_seed(0)
    x, dropout = torch.ones(4, 2, 64), VariationalDropout(0.5)
    assert not torch.equal(dropout(x), dropout(x))


def test_the_gradient_has_the_same_mask() -> None:
    torch.manual_seed(0)
    x = torch.ones(3, 4, 5, requires_grad=True)
    y = VariationalDropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_dropout_does_nothing_in_evaluation() -> None:
    x = torch.randn(2, 3, 4)
    assert torch.equal(VariationalDropout(0.5).eval()(x), x)


def test_the_type_of_the_input_is_kept() -> None:
    assert VariationalDropout(0.5)(torch.ones(2, 3, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_a_probability_out_of_range_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match=rf"dropout={p}; accepted: 0 to below 1"):
        VariationalDropout(p)


# WeightDropout


def recurrent_weight(cell: nn.Module) -> Tensor:
    return cell.recurrent_weight if isinstance(cell, Elman) else cell.loop.weight_hh_l0


def pair(cell_type: Callable[..., nn.Module], p: float) -> tuple[nn.Module, nn.Module]:
    """Two cells with the same weights, one of them with dropout."""
    torch.manual_seed(0)
    dropping, plain = cell_type(3, 8, weight_dropout=p), cell_type(3, 8)
    plain.load_state_dict(dropping.state_dict())
    return dropping, plain


@each_cell
def test_dropout_has_no_effect_in_evaluation(cell_type: Callable[..., nn.Module]) -> None:
    dropping, plain = pair(cell_type, 0.5)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(dropping.eval()(x), plain(x), rtol=0, atol=0)


@each_cell
def test_all_steps_use_the_same_mask(cell_type: Callable[..., nn.Module]) -> None:
    dropping, plain = pair(cell_type, 0.5)
    x = torch.randn(4, 6, 3)
    with torch.no_grad():
        torch.manual_seed(1)
        recurrent_weight(plain).copy_(WeightDropout(0.5)(recurrent_weight(dropping)))

    torch.manual_seed(1)
    states = dropping(x)

    torch.testing.assert_close(states, plain(x))


@each_cell
def test_each_forward_pass_in_training_draws_a_new_mask(cell_type: Callable[..., nn.Module]) -> None:
    dropping, _ = pair(cell_type, 0.5)
    x = torch.randn(2, 5, 3)
    assert not torch.equal(dropping(x), dropping(x))


@each_cell
def test_a_dropped_weight_gets_no_gradient_and_the_others_do(cell_type: Callable[..., nn.Module]) -> None:
    dropping, _ = pair(cell_type, 0.5)
    weight = recurrent_weight(dropping)
    torch.manual_seed(1)
    kept = WeightDropout(0.5)(torch.ones_like(weight)) > 0

    torch.manual_seed(1)
    dropping(torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(2))).square().sum().backward()

    assert weight.grad is not None
    assert torch.equal(weight.grad != 0, kept)


def test_the_share_of_dropped_weights_is_p_and_the_mean_is_kept() -> None:
    torch.manual_seed(0)
    dropped = WeightDropout(0.3)(torch.ones(1000, 100))
    assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1, abs=0.01)


@each_cell
@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_a_weight_dropout_out_of_range_is_refused(cell_type: Callable[..., nn.Module], p: float) -> None:
    with pytest.raises(ValueError, match=rf"weight_dropout={p}; accepted: 0 to below 1"):
        cell_type(3, 8, weight_dropout=p)
