"""The CRF by a tree of products: the tests of the loop, and those of its own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unroll.nn.crf
from tests.launches import Launches
from tests.nn import test_crf as of_loop
from tests.nn.test_crf import NAMES, Case, cases, loss_and_gradients, random_batch
from unroll.nn import crf_tree
from unroll.nn.crf import LinearChainCRF, iob2_constraints


@pytest.fixture(autouse=True)
def tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unroll.nn.crf, "_way", lambda logits: crf_tree)


test_log_partition_sums_over_all_paths = of_loop.test_log_partition_sums_over_all_paths
test_gradients_are_those_of_all_paths = of_loop.test_gradients_are_those_of_all_paths
test_decode_finds_the_best_allowed_path = of_loop.test_decode_finds_the_best_allowed_path
test_gradients_pass_gradcheck = of_loop.test_gradients_pass_gradcheck
test_float32_is_accurate_over_2000_steps = of_loop.test_float32_is_accurate_over_2000_steps
test_a_label_of_tiny_probability_can_become_probable_again = (
    of_loop.test_a_label_of_tiny_probability_can_become_probable_again
)
test_a_constant_added_to_all_transitions_counts_once_per_transition = (
    of_loop.test_a_constant_added_to_all_transitions_counts_once_per_transition
)
test_16_bit_logits_are_converted_to_float32 = of_loop.test_16_bit_logits_are_converted_to_float32
test_constraints_do_not_apply_to_the_loss_by_default = of_loop.test_constraints_do_not_apply_to_the_loss_by_default
test_padding_after_a_label_without_allowed_successor_is_ignored = (
    of_loop.test_padding_after_a_label_without_allowed_successor_is_ignored
)
test_values_at_padding_are_ignored = of_loop.test_values_at_padding_are_ignored
test_a_sequence_has_the_same_results_alone_as_in_a_batch = (
    of_loop.test_a_sequence_has_the_same_results_alone_as_in_a_batch
)


@settings(max_examples=30)
@given(steps=st.integers(1, 40), num_labels=st.integers(1, 6), seed=st.integers(0, 2**32), constrained=st.booleans())
def test_long_sequences_have_the_results_of_the_loop(steps: int, num_labels: int, seed: int, constrained: bool) -> None:
    torch.manual_seed(seed)
    crf = LinearChainCRF(num_labels).double()
    if constrained:
        crf.forbidden_transitions = torch.rand(num_labels, num_labels) < 0.3
        crf.forbidden_transitions.fill_diagonal_(False)
    lengths = [steps, *torch.randint(1, steps + 1, (2,)).tolist()]
    logits, labels, lengths = random_batch(num_labels, lengths, seed)
    logits = logits.double() * 3
    results = {}
    for way in (crf_tree, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(unroll.nn.crf, "_way", lambda logits, way=way: way)
            posterior = crf.posterior(logits, lengths)
            following = posterior.following.masked_fill(~(posterior.probabilities > 0), -1e4).softmax(dim=2)
            results[way] = [*loss_and_gradients(crf, logits, labels, lengths), posterior.probabilities, following]
            results[way].append(crf.decode(logits, lengths))
    torch.testing.assert_close(results[crf_tree], results[None])


@settings(max_examples=20)
@given(case=cases(max_scale=10.0), most=st.integers(1, 200))
def test_a_batch_in_parts_has_the_same_results(case: Case, most: int) -> None:
    crf, *batch = case
    whole = [*loss_and_gradients(crf, *batch), crf.marginals(batch[0], batch[2]), crf.decode(batch[0], batch[2])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crf_tree, "MOST_ELEMENTS", most)
        parts = [*loss_and_gradients(crf, *batch), crf.marginals(batch[0], batch[2]), crf.decode(batch[0], batch[2])]
    torch.testing.assert_close(parts, whole)


def test_a_forbidden_gold_path_has_an_infinite_loss_and_finite_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unroll.nn.crf.crf_loop, "readable", lambda x: False)
    crf = LinearChainCRF(5, iob2_constraints(NAMES), constrained_loss=True)
    batch = torch.zeros(1, 2, 5), torch.tensor([[0, 2]]), torch.tensor([2])  # O I-A
    loss, *gradients = loss_and_gradients(crf, *batch)
    assert loss == torch.inf and all(gradient.isfinite().all() for gradient in gradients)


def launches(steps: int, num_labels: int) -> int:
    """How many operators the loss, its gradient, decoding and the posterior take on a device that has no kernels."""
    crf = LinearChainCRF(num_labels, constrained_loss=True).to("meta")
    logits = torch.randn(4, steps, num_labels, device="meta", requires_grad=True)
    labels, lengths = (torch.ones(shape, dtype=torch.long, device="meta") for shape in ((4, steps), (4,)))
    with Launches() as found:
        crf.loss(logits, labels, lengths).backward()
        crf.decode(logits, lengths)
        crf.posterior(logits, lengths)
        crf.log_partition(logits, lengths)
    return len(found.names)


def test_nothing_waits_for_the_device_and_twice_the_steps_take_one_level_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    short, long, longer = (launches(steps, 5) for steps in (33, 65, 129))
    assert long - short == longer - long < 120


def test_many_labels_are_left_to_the_loop_which_does_not_wait_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    by_tree, by_loop = (launches(40, labels) - launches(8, labels) for labels in (crf_tree.MOST_LABELS, 65))
    assert by_tree < 3 * 120 < 32 * 15 < by_loop
