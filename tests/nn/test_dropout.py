import pytest
import torch

from unroll.nn.dropout import VariationalDropout


def test_a_sequence_has_one_mask_for_all_its_steps() -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 9, 16)
    factors = VariationalDropout(0.5)(x) / x
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
    assert len(factors[:, 0].unique(dim=0)) == 8  # sequences differ


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_a_share_p_is_dropped_and_the_mean_stays(p: float) -> None:
    torch.manual_seed(0)
    kept = VariationalDropout(p)(torch.ones(1000, 2, 100))[:, 0]
    torch.testing.assert_close(kept.unique(), torch.tensor([0, 1 / (1 - p)]))
    deviation = (p / (1 - p) / kept.numel()) ** 0.5  # of the mean
    assert kept.mean().item() == pytest.approx(1, abs=4 * deviation)


def test_each_call_drops_other_features() -> None:
    torch.manual_seed(0)
    x, dropout = torch.ones(4, 2, 64), VariationalDropout(0.5)
    assert not torch.equal(dropout(x), dropout(x))


def test_the_gradient_passes_where_the_value_did() -> None:
    torch.manual_seed(0)
    x = torch.ones(3, 4, 5, requires_grad=True)
    y = VariationalDropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_evaluation_drops_nothing() -> None:
    x = torch.randn(2, 3, 4)
    assert torch.equal(VariationalDropout(0.5).eval()(x), x)


def test_precision_stays() -> None:
    assert VariationalDropout(0.5)(torch.ones(2, 3, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_a_share_outside_its_range_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match=rf"dropout={p}; accepted: 0 to below 1"):
        VariationalDropout(p)
