"""The sampled softmax, compared with the complete one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from unroll.data.tokens import UNKNOWN
from unroll.pretraining import softmax
from unroll.pretraining.softmax import Negatives, Sampler, full_loss, inclusion_probability, sampled_loss

SIZE = 5


def problem(count: int = 40, words: int = 30, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random vectors (N, E), targets (N,), weight (V, E) and bias (V,), in float64, with gradients."""
    torch.manual_seed(seed)
    vectors, weight, bias = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((count, SIZE), (words, SIZE), (words,))
    )
    return vectors, torch.randint(UNKNOWN, words, (count,)), weight, bias


def complete(vectors: Tensor, targets: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The mean cross entropy without the padding."""
    return cross_entropy((vectors @ weight.T + bias)[:, UNKNOWN:], targets - UNKNOWN)


def tensors(drawn: Negatives[np.ndarray]) -> Negatives[Tensor]:
    return Negatives(torch.from_numpy(drawn.words), torch.from_numpy(drawn.log_probability).double())


@settings(max_examples=30)
@given(classes=st.integers(1, 300), samples=st.integers(1, 400))
def test_inclusion_probabilities_fall_with_the_rank_and_sum_to_the_number_of_draws(classes: int, samples: int) -> None:
    found = inclusion_probability(classes, samples)
    assert found.shape == (classes,)
    assert found.sum() == pytest.approx(min(classes, samples))
    assert (found > 0).all() and (found <= 1).all() and (np.diff(found) <= 0).all()
    below = np.flatnonzero(found < 1)
    np.testing.assert_allclose(found[below] * (below + 1), (found[below] * (below + 1))[:1].repeat(len(below)))


def test_words_are_drawn_as_often_as_their_probability_says() -> None:
    sampler, draw = Sampler(101, 20), np.random.default_rng(0)
    counts = np.bincount(np.concatenate([sampler.draw(draw).words for _ in range(4000)]), minlength=101) / 4000
    np.testing.assert_allclose(counts[UNKNOWN:], sampler.probability, atol=0.035)
    assert counts[0] == 0


def test_drawn_words_are_in_order_with_their_probability() -> None:
    drawn = (sampler := Sampler(1000, 50)).draw(np.random.default_rng(0))
    assert (np.diff(drawn.words) >= 0).all() and len(drawn.words) == 50
    np.testing.assert_allclose(drawn.log_probability, np.log(sampler.probability[drawn.words - 1]), rtol=1e-6)


def test_with_all_words_as_negatives_loss_and_gradients_are_those_of_the_softmax() -> None:
    inputs = problem()
    negatives = tensors(Sampler(30, 29).draw(np.random.default_rng(0)))
    (vectors, targets, weight, bias), differentiable = inputs, [inputs[0], *inputs[2:]]
    loss, exact = sampled_loss(vectors, targets, negatives, weight, bias), complete(*inputs)
    torch.testing.assert_close(loss, exact)
    for found, expected in zip(
        torch.autograd.grad(3 * loss, differentiable), torch.autograd.grad(3 * exact, differentiable), strict=True
    ):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("chunk", [1, 100, 10**6])
def test_loss_and_gradients_are_those_of_the_estimate_written_out(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets are among the negatives, one of them twice; in chunks of any size."""
    monkeypatch.setitem(softmax.CHUNK, "cpu", chunk)
    vectors, targets, weight, bias = problem()
    words, log_probability = torch.tensor([1, 2, 3, 7, 7, 12, 29]), -torch.tensor([0, 0, 0.1, 0.5, 0.5, 1, 2]).double()
    scores = vectors @ weight[words].T + bias[words] - log_probability
    own = (vectors * weight[targets]).sum(dim=1) + bias[targets]
    others = scores.masked_fill(words == targets[:, None], -torch.inf).logsumexp(dim=1)
    written = (torch.logaddexp(others, own) - own).mean()
    loss = sampled_loss(vectors, targets, Negatives(words, log_probability), weight, bias)
    torch.testing.assert_close(loss, written)
    found, expected = (torch.autograd.grad(it, [vectors, weight, bias]) for it in (loss, written))
    torch.testing.assert_close(found, expected)


def test_the_estimated_denominator_and_the_gradient_are_right_on_average() -> None:
    vectors, targets, weight, bias = problem(words=200)
    weight = (weight / 3).detach()  # with equal scores but for a factor of about 2, so that the mean is soon exact
    exact, draw, sampler = complete(vectors, targets, weight, bias), np.random.default_rng(0), Sampler(200, 150)
    scores = (vectors @ weight.T + bias)[:, UNKNOWN:]
    denominators, gradients = [], []
    for _ in range(300):
        each = [sampled_loss(vectors, targets, tensors(sampler.draw(draw)), weight, bias)]
        gradients.append(torch.autograd.grad(each[0], vectors)[0])
        one = sampled_loss(vectors[:1], targets[:1], tensors(sampler.draw(draw)), weight, bias)
        denominators.append((one + scores[0, targets[0] - UNKNOWN]).exp().detach())
    assert torch.stack(denominators).mean() == pytest.approx(scores[0].exp().sum().item(), rel=0.03)
    (expected,) = torch.autograd.grad(exact, vectors)
    assert (torch.stack(gradients).mean(dim=0) - expected).norm() < 0.05 * expected.norm()


def test_a_target_with_a_high_score_among_rare_negatives_keeps_its_precision() -> None:
    """Taken out of the sums again, it must leave the rest of them exact."""
    vectors, weight, bias = torch.ones(1, 1), torch.tensor([[0.0], [0.0], [15.0]]), torch.zeros(3)
    negatives = Negatives(torch.tensor([1, 2]), torch.tensor([0.0, -5.0]))
    loss = sampled_loss(vectors, torch.tensor([2]), negatives, weight, bias)
    assert loss.item() == pytest.approx(np.log1p(np.exp(-15)), abs=1e-5)


def test_the_full_loss_leaves_out_the_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = problem()
    for chunk in (1, 10**6):
        monkeypatch.setattr(softmax, "LARGE_CHUNK", 8 * chunk)
        assert full_loss(*inputs).item() == pytest.approx(40 * complete(*inputs).item())
