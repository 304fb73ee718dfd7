import itertools
import math
from typing import NamedTuple

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from unroll.data.tokens import IGNORE
from unroll.nn.crf import Constraints, LinearChainCRF, iob2_constraints

NAMES = ["O", "B-A", "I-A", "B-B", "I-B"]


class Case(NamedTuple):
    crf: LinearChainCRF
    logits: Tensor
    labels: Tensor
    lengths: Tensor


@st.composite
def cases(draw: st.DrawFn, constrained: bool = False, max_scale: float = 50.0) -> Case:
    """Small shapes, scores of any scale in float32; with `constrained`, some starts and transitions are forbidden."""
    batch, steps, num_labels = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    torch.manual_seed(draw(st.integers(0, 2**32)))
    constraints = None
    if constrained:
        constraints = Constraints(torch.rand(num_labels) < 0.7, torch.rand(num_labels, num_labels) < 0.7)
    crf = LinearChainCRF(num_labels, constraints, constrained_loss=constrained)
    scales = st.sampled_from([0.1, 1.0, 10.0, max_scale])
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=draw(scales))
    lengths = torch.tensor(draw(st.lists(st.integers(1, steps), min_size=batch, max_size=batch)))
    labels = torch.randint(num_labels, (batch, steps))
    labels[torch.arange(steps) >= lengths[:, None]] = IGNORE
    return Case(crf, torch.randn(batch, steps, num_labels) * draw(scales), labels, lengths)


def all_paths(crf: LinearChainCRF, logits: Tensor) -> dict[tuple[int, ...], float]:
    """The score of every path through logits (T, L) that the constraints allow, in float64."""
    start, transitions, end, logits = (x.detach().double() for x in (crf.start, crf.transitions, crf.end, logits))
    scores = {}
    for path in itertools.product(range(crf.num_labels), repeat=len(logits)):
        moves = list(itertools.pairwise(path))
        if crf.forbidden_starts[path[0]] or any(crf.forbidden_transitions[move] for move in moves):
            continue
        emitted = sum(logits[step, label] for step, label in enumerate(path))
        scores[path] = float(start[path[0]] + emitted + sum(transitions[move] for move in moves) + end[path[-1]])
    return scores


def paths_of_each(case: Case) -> list[dict[tuple[int, ...], float]]:
    """`all_paths` of each sequence; rejects the example if the constraints exclude every path of a sequence."""
    found = [all_paths(case.crf, row[:length]) for row, length in zip(case.logits, case.lengths.tolist(), strict=True)]
    assume(all(found))
    return found


def log_sum(scores: dict[tuple[int, ...], float]) -> float:
    return torch.tensor(list(scores.values()), dtype=torch.float64).logsumexp(0).item()


def close(expected: float, scores: dict[tuple[int, ...], float]) -> object:
    """Equality up to the float32 rounding error of sums of these paths' scores."""
    return pytest.approx(expected, rel=1e-5, abs=1e-5 * (1 + max(map(abs, scores.values()))))


def random_batch(num_labels: int, lengths: list[int], seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    steps = max(lengths)
    labels = torch.randint(num_labels, (len(lengths), steps))
    labels[torch.arange(steps) >= torch.tensor(lengths)[:, None]] = IGNORE
    return torch.randn(len(lengths), steps, num_labels), labels, torch.tensor(lengths)


def loss_and_gradients(crf: LinearChainCRF, logits: Tensor, labels: Tensor, lengths: Tensor) -> list[Tensor]:
    """The loss and its gradients by logits, start, transitions and end."""
    inputs = [logits.detach().requires_grad_(), crf.start, crf.transitions, crf.end]
    loss = crf.loss(inputs[0], labels, lengths)
    return [loss.detach(), *torch.autograd.grad(loss, inputs)]


# Against the enumeration of all paths


@settings(max_examples=60)
@given(constrained=st.booleans(), data=st.data())
def test_log_partition_sums_over_all_paths(constrained: bool, data: st.DataObject) -> None:
    case = data.draw(cases(constrained))
    found = paths_of_each(case)
    for log_z, scores in zip(case.crf.log_partition(case.logits, case.lengths).tolist(), found, strict=True):
        assert log_z == close(log_sum(scores), scores)


@settings(max_examples=60)
@given(case=cases())
def test_loss_is_minus_log_likelihood_per_token(case: Case) -> None:
    found = paths_of_each(case)
    gold = [tuple(row[:length]) for row, length in zip(case.labels.tolist(), case.lengths.tolist(), strict=True)]
    total = sum(log_sum(scores) - scores[path] for scores, path in zip(found, gold, strict=True))
    largest = max(abs(score) for scores in found for score in scores.values())
    loss = case.crf.loss(case.logits, case.labels, case.lengths).item()
    assert loss == pytest.approx(total / case.lengths.sum().item(), rel=1e-5, abs=1e-5 * (1 + largest))


@settings(max_examples=60)
@given(constrained=st.booleans(), data=st.data())
def test_marginals_are_those_of_all_paths(constrained: bool, data: st.DataObject) -> None:
    case = data.draw(cases(constrained))
    expected = torch.zeros_like(case.logits, dtype=torch.float64)
    for row, scores in zip(expected, paths_of_each(case), strict=True):
        log_z = log_sum(scores)
        for path, score in scores.items():
            row[torch.arange(len(path)), list(path)] += torch.tensor(score - log_z, dtype=torch.float64).exp()
    torch.testing.assert_close(case.crf.marginals(case.logits, case.lengths).double(), expected, atol=2e-4, rtol=1e-3)


@settings(max_examples=60)
@given(constrained=st.booleans(), data=st.data())
def test_gradients_are_those_of_all_paths(constrained: bool, data: st.DataObject) -> None:
    case = data.draw(cases(constrained))
    found = paths_of_each(case)
    inputs = [case.logits.requires_grad_(), case.crf.start, case.crf.transitions, case.crf.end]
    gradients = torch.autograd.grad(case.crf.log_partition(case.logits, case.lengths).sum(), inputs)
    unary, pairs = torch.zeros_like(case.logits).double(), torch.zeros_like(case.crf.transitions).double()
    for row, scores in zip(unary, found, strict=True):
        log_z = log_sum(scores)
        for path, score in scores.items():
            probability = torch.tensor(score - log_z, dtype=torch.float64).exp()
            row[torch.arange(len(path)), list(path)] += probability
            for move in itertools.pairwise(path):
                pairs[move] += probability
    ends = unary[torch.arange(len(unary)), case.lengths - 1].sum(dim=0)
    for gradient, expected in zip(gradients, (unary, unary[:, 0].sum(dim=0), pairs, ends), strict=True):
        torch.testing.assert_close(gradient.double(), expected, atol=5e-4, rtol=1e-3)


@settings(max_examples=60)
@given(case=cases(constrained=True))
def test_decode_finds_the_best_allowed_path(case: Case) -> None:
    found = paths_of_each(case)
    for row, length, scores in zip(
        case.crf.decode(case.logits, case.lengths).tolist(), case.lengths.tolist(), found, strict=True
    ):
        assert row[length:] == [0] * (len(row) - length)
        assert scores[tuple(row[:length])] == close(max(scores.values()), scores)


# Against another implementation


def test_loss_gradients_and_paths_equal_those_of_pytorch_crf() -> None:
    torchcrf = pytest.importorskip("torchcrf", reason="pytorch-crf is not installed")
    logits, labels, lengths = random_batch(9, [50, 3, 17, 1, 50, 28, 44, 9])
    mask = torch.arange(50) < lengths[:, None]
    ours, theirs = LinearChainCRF(9), torchcrf.CRF(9, batch_first=True)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.mul_(20)
        theirs.start_transitions.copy_(ours.start)
        theirs.transitions.copy_(ours.transitions)
        theirs.end_transitions.copy_(ours.end)
    their_logits = logits.clone().requires_grad_()
    expected = -theirs(their_logits, labels.clamp(min=0), mask=mask, reduction="token_mean")
    inputs = [their_logits, theirs.start_transitions, theirs.transitions, theirs.end_transitions]
    expected_all = [expected.detach(), *torch.autograd.grad(expected, inputs)]
    torch.testing.assert_close(loss_and_gradients(ours, logits, labels, lengths), expected_all)
    paths = [row[:length] for row, length in zip(ours.decode(logits, lengths).tolist(), lengths.tolist(), strict=True)]
    assert paths == theirs.decode(logits, mask=mask)


# Gradients and precision


@pytest.mark.parametrize("constrained", [False, True])
def test_gradients_pass_gradcheck(constrained: bool) -> None:
    torch.manual_seed(0)
    crf = LinearChainCRF(5, iob2_constraints(NAMES), constrained_loss=constrained).double()
    logits, lengths = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True), torch.tensor([4, 1, 3])
    labels = torch.tensor([[0, 1, 2, 3], [3, 0, 0, 0], [3, 4, 4, 0]])
    parameters = [crf.start, crf.transitions, crf.end]
    assert torch.autograd.gradcheck(lambda x, *_: crf.loss(x, labels, lengths), (logits, *parameters))


@pytest.mark.parametrize("transitions_up_to", [1.0, 80.0], ids=["mild transitions", "harsh transitions"])
def test_float32_is_accurate_over_2000_steps(transitions_up_to: float) -> None:
    logits, labels, lengths = random_batch(5, [2000, 1234])
    single = LinearChainCRF(5)
    torch.nn.init.uniform_(single.transitions, -transitions_up_to, transitions_up_to)
    double = LinearChainCRF(5).double()
    double.load_state_dict(single.state_dict())
    loss, *gradients = loss_and_gradients(single, logits, labels, lengths)
    expected, *expected_gradients = loss_and_gradients(double, logits.double(), labels, lengths)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for gradient, its_double in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient.double(), its_double, atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(
        single.marginals(logits, lengths).double(), double.marginals(logits.double(), lengths), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("cost", [50.0, 80.0, 100.0, 500.0])
def test_a_label_of_tiny_probability_can_become_probable_again(cost: float) -> None:
    crf = LinearChainCRF(2)
    crf.load_state_dict(
        {"start": torch.zeros(2), "end": torch.zeros(2), "transitions": torch.tensor([[0.0, -cost], [-cost, 0.0]])}
    )
    logits, lengths = (
        torch.tensor([[[0.0, -cost], [0.0, cost]]]),
        torch.tensor([2]),
    )  # 0 0, 0 1, 1 1 have equal scores
    log_z = crf.log_partition(logits, lengths)
    assert log_z.item() == pytest.approx(math.log(3), rel=1e-5)
    (counts,) = torch.autograd.grad(log_z, crf.transitions)
    torch.testing.assert_close(counts, torch.tensor([[1 / 3, 1 / 3], [0.0, 1 / 3]]), atol=1e-5, rtol=0)
    expected = torch.tensor([[[2 / 3, 1 / 3], [1 / 3, 2 / 3]]])
    torch.testing.assert_close(crf.marginals(logits, lengths), expected, atol=1e-5, rtol=0)


def test_a_constant_added_to_all_transitions_counts_once_per_transition() -> None:
    crf = LinearChainCRF(3)
    logits, labels, lengths = random_batch(3, [4, 1, 2])
    log_z, gradients = crf.log_partition(logits, lengths), loss_and_gradients(crf, logits, labels, lengths)
    with torch.no_grad():
        crf.transitions.add_(200)
    torch.testing.assert_close(crf.log_partition(logits, lengths), log_z + 200 * (lengths - 1), atol=1e-3, rtol=0)
    torch.testing.assert_close(loss_and_gradients(crf, logits, labels, lengths), gradients, atol=1e-3, rtol=0)


def test_autocast_changes_nothing_for_float32_logits() -> None:
    crf = LinearChainCRF(5)
    logits, labels, lengths = random_batch(5, [6, 2])
    expected = loss_and_gradients(crf, logits, labels, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss_and_gradients(crf, logits, labels, lengths)
    assert all(a.equal(b) for a, b in zip(found, expected, strict=True))


def test_16_bit_logits_are_converted_to_float32() -> None:
    crf = LinearChainCRF(5)
    logits, labels, lengths = random_batch(5, [6, 2])
    rounded = logits.bfloat16()
    torch.testing.assert_close(crf.loss(rounded, labels, lengths), crf.loss(rounded.float(), labels, lengths))


# Constraints


def is_iob2(path: tuple[str, ...]) -> bool:
    return all(
        not name.startswith("I-") or before in (f"B-{name[2:]}", name)
        for before, name in zip(("", *path), path, strict=False)
    )


def test_a_type_is_continued_only_where_it_is_open() -> None:
    starts, transitions = iob2_constraints(["O", "B-A", "I-A", "B-B"])
    assert starts.tolist() == [True, True, False, True]
    assert transitions.tolist() == [
        [True, True, False, True],  # from O
        [True, True, True, True],  # from B-A
        [True, True, True, True],  # from I-A
        [True, True, False, True],  # from B-B
    ]


@given(names=st.permutations(["O", "B-A", "I-A", "B-AB", "I-AB", "B-B-A"]))
def test_exactly_the_iob2_paths_are_allowed_whatever_the_order_of_names(names: list[str]) -> None:
    starts, transitions = iob2_constraints(names)
    for path in itertools.product(range(len(names)), repeat=3):
        allowed = bool(starts[path[0]]) and all(bool(transitions[pair]) for pair in itertools.pairwise(path))
        assert allowed == is_iob2(tuple(names[label] for label in path))


def test_decoding_obeys_the_constraints_even_against_all_logits() -> None:
    crf = LinearChainCRF(5, iob2_constraints(NAMES))
    logits = torch.zeros(1, 4, 5)
    logits[:, :, 4] = 100.0  # I-B throughout
    assert crf.decode(logits, torch.tensor([4])).tolist() == [[3, 4, 4, 4]]


def test_constraints_do_not_apply_to_the_loss_by_default() -> None:
    logits, _, lengths = random_batch(5, [4, 2])
    torch.manual_seed(0)
    free = LinearChainCRF(5)
    by_option = {}
    for constrained_loss in (False, True):
        crf = LinearChainCRF(5, iob2_constraints(NAMES), constrained_loss)
        crf.load_state_dict(free.state_dict())  # which does not contain the constraints
        by_option[constrained_loss] = crf
    assert by_option[False].log_partition(logits, lengths).equal(free.log_partition(logits, lengths))
    assert (by_option[True].log_partition(logits, lengths) < free.log_partition(logits, lengths)).all()
    inside = by_option[True].marginals(logits, lengths)[:, 0, [2, 4]]
    assert not inside.any() and free.marginals(logits, lengths)[:, 0, [2, 4]].all()


def test_a_forbidden_gold_path_is_refused_by_the_constrained_loss_only() -> None:
    logits, labels, lengths = torch.zeros(1, 2, 5), torch.tensor([[0, 2]]), torch.tensor([2])  # O I-A
    constraints = iob2_constraints(NAMES)
    assert LinearChainCRF(5, constraints).loss(logits, labels, lengths).isfinite()
    with pytest.raises(ValueError, match=r"the loss: inf; accepted: .* constraints that allow a path"):
        LinearChainCRF(5, constraints, constrained_loss=True).loss(logits, labels, lengths)


# Padding and batches


def test_padding_after_a_label_without_allowed_successor_is_ignored() -> None:
    constraints = Constraints(torch.tensor([True, False]), torch.tensor([[False, False], [False, True]]))
    crf = LinearChainCRF(2, constraints, constrained_loss=True)
    logits, labels, lengths = torch.randn(2, 3, 2), torch.tensor([[0, IGNORE, IGNORE]] * 2), torch.tensor([1, 1])
    assert all(not x.any() for x in loss_and_gradients(crf, logits, labels, lengths))  # the only path has probability 1
    assert crf.marginals(logits, lengths).tolist() == [[[1, 0], [0, 0], [0, 0]]] * 2
    assert crf.decode(logits, lengths).tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize("garbage", [1e30, float("nan"), float("inf"), float("-inf")])
def test_values_at_padding_are_ignored(garbage: float) -> None:
    crf = LinearChainCRF(5, iob2_constraints(NAMES), constrained_loss=True)
    logits, _, lengths = random_batch(5, [6, 2, 1])
    labels = torch.tensor([[0, 1, 2, 2, 3, 4], [3, 4, *[IGNORE] * 4], [1, *[IGNORE] * 5]])
    spoilt = logits.masked_fill((torch.arange(6) >= lengths[:, None])[:, :, None], garbage)
    results = []
    for x in (logits, spoilt):
        decoded, marginals = crf.decode(x, lengths), crf.marginals(x, lengths)
        results.append((*loss_and_gradients(crf, x, labels, lengths), decoded, marginals))
    assert all(a.equal(b) for a, b in zip(*results, strict=True))


def test_a_sequence_has_the_same_results_alone_as_in_a_batch() -> None:
    crf = LinearChainCRF(5, iob2_constraints(NAMES))
    logits, _, lengths = random_batch(5, [6, 2, 1, 5])
    paths, marginals = crf.decode(logits, lengths), crf.marginals(logits, lengths)
    log_z = crf.log_partition(logits, lengths)
    for i, length in enumerate(lengths.tolist()):
        alone = logits[i : i + 1, :length], lengths[i : i + 1]
        assert paths[i, :length].equal(crf.decode(*alone)[0])
        torch.testing.assert_close(marginals[i, :length], crf.marginals(*alone)[0])
        torch.testing.assert_close(log_z[i], crf.log_partition(*alone)[0])


def test_marginals_at_padding_are_zero() -> None:
    logits, _, lengths = random_batch(5, [6, 2])
    marginals = LinearChainCRF(5).marginals(logits, lengths)
    torch.testing.assert_close(marginals.sum(dim=2), (torch.arange(6) < lengths[:, None]).float())


def test_the_same_input_gives_the_same_bits() -> None:
    crf = LinearChainCRF(5)
    batch = random_batch(5, [30, 20])
    first, second = loss_and_gradients(crf, *batch), loss_and_gradients(crf, *batch)
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))


# Training and export


def test_transitions_learn_what_logits_do_not_contain() -> None:
    crf = LinearChainCRF(3)
    labels = torch.tensor([[0, 1, 2, 0, 1, 2, 0]])  # in cyclic order; all logits are equal
    logits, lengths = torch.zeros(1, 7, 3), torch.tensor([7])
    optimizer = torch.optim.Adam(crf.parameters(), lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        crf.loss(logits, labels, lengths).backward()
        optimizer.step()
    assert crf.decode(logits, lengths).equal(labels)


def test_decode_can_be_exported() -> None:
    crf = LinearChainCRF(5, iob2_constraints(NAMES))
    logits, _, lengths = random_batch(5, [6, 2, 4])

    class Decoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.crf = crf

        def forward(self, logits: Tensor, lengths: Tensor) -> Tensor:
            return self.crf.decode(logits, lengths)

    exported = torch.export.export(Decoder(), (logits, lengths)).module()
    other = torch.randn_like(logits), torch.tensor([1, 6, 3])
    assert exported(*other).equal(crf.decode(*other))


# Errors


def test_invalid_arguments_are_refused() -> None:
    crf = LinearChainCRF(5)
    logits, labels, lengths = random_batch(5, [6, 2])
    with pytest.raises(ValueError, match="num_labels=0; accepted: 1 or more"):
        LinearChainCRF(0)
    with pytest.raises(ValueError, match=r"constraints.starts of shape \(5,\); accepted: \(4,\)"):
        LinearChainCRF(4, iob2_constraints(NAMES))
    with pytest.raises(ValueError, match=r"labels of shape \(2, 5\); accepted: \(2, 6\)"):
        crf.loss(logits, labels[:, :5], lengths)
    for wrong in (5, -100):
        with pytest.raises(ValueError, match=f"labels: {wrong}; accepted: 0 to 4 within a sequence"):
            crf.loss(logits, labels.index_fill(1, torch.tensor([1]), wrong), lengths)


@pytest.mark.parametrize("method", ["decode", "marginals", "log_partition"])
def test_wrong_lengths_shapes_and_scores_are_refused(method: str) -> None:
    crf = LinearChainCRF(5)
    logits, _, lengths = random_batch(5, [6, 2])
    call = getattr(crf, method)
    for wrong in (0, 7):
        with pytest.raises(ValueError, match=f"lengths: {wrong}; accepted: 1 to 6, the steps of the logits"):
            call(logits, torch.tensor([6, wrong]))
    with pytest.raises(ValueError, match=r"logits of shape \(2, 6, 4\), .* accepted: \(B, T, 5\), \(B,\)"):
        call(logits[:, :, :4], lengths)
    with pytest.raises(ValueError, match=r"lengths of shape \(1,\); accepted: \(B, T, 5\), \(B,\)"):
        call(logits, lengths[:1])
    with pytest.raises(ValueError, match=": nan; accepted: a finite value, from finite logits"):
        call(logits.index_fill(1, torch.tensor([1]), torch.nan), lengths)
    blocked = LinearChainCRF(5, Constraints(torch.ones(5).bool(), torch.zeros(5, 5).bool()), constrained_loss=True)
    with pytest.raises(ValueError, match="constraints that allow a path"):
        getattr(blocked, method)(logits, lengths)
