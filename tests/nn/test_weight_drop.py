from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from unroll.nn.elman import Elman
from unroll.nn.gru import GRU
from unroll.nn.lstm import LSTM
from unroll.nn.weight_drop import WeightDropout

CELLS: dict[str, Callable[..., nn.Module]] = {
    "lstm": LSTM,
    "gru": GRU,
    "elman": Elman,
    "elman sigmoid": partial(Elman, activation="sigmoid"),
}
each_cell = pytest.mark.parametrize("cell_type", CELLS.values(), ids=CELLS.keys())


def recurrent_weight(cell: nn.Module) -> Tensor:
    return cell.recurrent_weight if isinstance(cell, Elman) else cell.loop.weight_hh_l0


def pair(cell_type: Callable[..., nn.Module], p: float) -> tuple[nn.Module, nn.Module]:
    """The same weights with and without dropout."""
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
def test_training_reads_one_masked_weight_at_every_step(cell_type: Callable[..., nn.Module]) -> None:
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
def test_a_dropout_that_is_no_probability_below_one_is_refused(cell_type: Callable[..., nn.Module], p: float) -> None:
    with pytest.raises(ValueError, match=rf"weight_dropout={p}; accepted: 0 or more, and less than 1"):
        cell_type(3, 8, weight_dropout=p)
