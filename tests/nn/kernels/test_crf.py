"""The CRF's kernels, by Triton's interpreter, against the loop and against all paths."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import unroll.nn.crf
from tests.launches import Launches
from tests.nn import test_crf as of_loop
from tests.nn.test_crf import NAMES, Case, cases, close, log_sum, loss_and_gradients, paths_of_each, random_batch
from unroll.nn.crf import LinearChainCRF, iob2_constraints

pytestmark = pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # NumPy's, of log 0


def everything(crf: LinearChainCRF, logits: Tensor, labels: Tensor, lengths: Tensor) -> list[Tensor]:
    """The loss and its gradients, the marginals, `following` as far as it matters, and the best paths."""
    found = crf.posterior(logits, lengths)
    assert found.following is not None
    following = found.following.masked_fill(~(found.probabilities > 0), -1e4).softmax(dim=2)
    paths = crf.decode(logits, lengths)
    return [*loss_and_gradients(crf, logits, labels, lengths), found.probabilities, following, paths]


def by_loop(*arguments: Any) -> list[Tensor]:
    """The same by the loop over time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unroll.nn.crf, "_way", lambda logits: None)
        return everything(*arguments)


def double(crf: LinearChainCRF) -> LinearChainCRF:
    own = LinearChainCRF(crf.num_labels, None, crf.constrained_loss).double()
    own.load_state_dict(crf.state_dict())
    own.forbidden_starts, own.forbidden_transitions = crf.forbidden_starts, crf.forbidden_transitions
    return own


@settings(max_examples=6)
@given(case=cases(constrained=False, max_scale=10.0))
def test_float64_has_the_results_of_the_loop(case: Case) -> None:
    crf, logits, labels, lengths = case
    arguments = double(crf), logits.double(), labels, lengths
    torch.testing.assert_close(everything(*arguments), by_loop(*arguments))


@settings(max_examples=6)
@given(constrained=st.booleans(), data=st.data())
def test_float32_has_the_results_of_all_paths(constrained: bool, data: st.DataObject) -> None:
    case = data.draw(cases(constrained))
    scores = paths_of_each(case)
    log_z = case.crf.log_partition(case.logits, case.lengths).tolist()
    paths = case.crf.decode(case.logits, case.lengths).tolist()
    for own, path, length, found in zip(log_z, paths, case.lengths.tolist(), scores, strict=True):
        assert own == close(log_sum(found), found)
        assert path[length:] == [0] * (len(path) - length)
        if tuple(path[:length]) not in found:
            assert not constrained
        else:
            assert found[tuple(path[:length])] == close(max(found.values()), found)


test_a_label_of_tiny_probability_can_become_probable_again = (
    of_loop.test_a_label_of_tiny_probability_can_become_probable_again
)
test_padding_after_a_label_without_allowed_successor_is_ignored = (
    of_loop.test_padding_after_a_label_without_allowed_successor_is_ignored
)


@pytest.mark.parametrize("constrained", [False, True])
def test_labels_that_fill_no_tile_and_steps_of_several_programs(constrained: bool) -> None:
    names = ["O", *(f"{letter}-{kind}" for kind in "ABCDEFGHI" for letter in "BI")]  # 19
    crf = LinearChainCRF(len(names), iob2_constraints(names), constrained_loss=constrained)
    logits, labels, lengths = random_batch(len(names), [10, 3])
    labels = torch.where(labels >= 0, labels.clamp(max=0), labels)
    loss, *others = everything(crf, logits * 3, labels, lengths)
    expected_loss, *expected = by_loop(double(crf), logits.double() * 3, labels, lengths)
    torch.testing.assert_close(loss.double(), expected_loss)
    for found, own in zip(others, expected, strict=True):
        torch.testing.assert_close(found.to(own.dtype), own, atol=1e-5, rtol=1e-4)


def test_logits_of_16_bits_in_any_order_have_gradients_of_16_bits() -> None:
    crf = LinearChainCRF(5)
    logits, labels, lengths = random_batch(5, [3, 1])
    logits = logits.bfloat16().permute(2, 1, 0).contiguous().permute(2, 1, 0)
    assert not logits.is_contiguous()
    with torch.autocast("cpu", torch.bfloat16):
        loss, gradient, *others = loss_and_gradients(crf, logits, labels, lengths)
        expected, its_gradient, *its_others = by_loop(crf, logits, labels, lengths)[:5]
    assert gradient.dtype is torch.bfloat16
    torch.testing.assert_close([loss, *others], [expected, *its_others])
    torch.testing.assert_close(gradient, its_gradient)


def test_values_at_padding_are_ignored() -> None:
    crf = LinearChainCRF(5, iob2_constraints(NAMES), constrained_loss=True)
    logits, lengths = torch.randn(2, 3, 5), torch.tensor([3, 1])
    labels = torch.tensor([[0, 1, 2], [3, -100, -100]])
    spoilt = logits.clone()
    spoilt[1, 1:] = torch.tensor([[torch.nan], [torch.inf]])
    first, second = everything(crf, logits, labels, lengths), everything(crf, spoilt, labels, lengths)
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))


def test_a_forbidden_gold_path_has_an_infinite_loss_and_finite_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unroll.nn.crf.crf_loop, "readable", lambda x: False)  # as on a device
    crf = LinearChainCRF(5, iob2_constraints(NAMES), constrained_loss=True)
    loss, *gradients = loss_and_gradients(crf, torch.zeros(1, 2, 5), torch.tensor([[0, 2]]), torch.tensor([2]))  # O I-A
    assert loss == torch.inf and all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize(("wrong_label", "length"), [(5, 2), (-100, 2), (0, 0), (0, 3)])
def test_what_a_device_cannot_refuse_has_no_loss(
    wrong_label: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unroll.nn.crf.crf_loop, "readable", lambda x: False)
    labels, lengths = torch.tensor([[0, wrong_label], [0, 0]]), torch.tensor([length, 2])
    assert LinearChainCRF(5).loss(torch.randn(2, 2, 5), labels, lengths).isnan()


def test_more_labels_than_fit_into_registers_are_left_to_another_way() -> None:
    from unroll.nn.kernels import crf

    assert unroll.nn.crf._way(torch.empty(1, 1, 128)) is crf
    assert unroll.nn.crf._way(torch.empty(1, 1, 129)) is None
    assert unroll.nn.crf._way(torch.empty(1, 1, 65, dtype=torch.float64)) is None


def test_a_loss_with_its_gradients_takes_a_few_launches_and_waits_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from unroll.nn.kernels import crf as kernels

    monkeypatch.setattr(unroll.nn.crf.crf_loop, "readable", lambda x: False)
    launched = []

    class Kernel:
        def __getitem__(self, grid: Any) -> Any:
            return lambda *args, **kwargs: launched.append(grid)

    for name in ("forward_backward_kernel", "gradients_kernel", "best_paths_kernel"):
        monkeypatch.setattr(kernels, name, Kernel())
    crf = LinearChainCRF(9, constrained_loss=True)
    logits, labels, lengths = random_batch(9, [50, 30])
    logits.requires_grad_()
    for call, kernels_of_it, others in (
        (lambda: crf.loss(logits, labels, lengths).backward(), 2, 6),
        (lambda: crf.decode(logits, lengths), 1, 0),
        (lambda: crf.posterior(logits, lengths), 2, 2),
    ):
        launched.clear()
        with Launches() as found:
            call()
        assert len(launched) == kernels_of_it and len(found.names) <= others, found.names
