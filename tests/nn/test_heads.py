from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from torch import Tensor

from tests.launches import Launches
from unroll.data.tokens import IGNORE, Task
from unroll.nn.heads import LABELING_HEADS, SEQUENCE_HEADS, ClassificationHead, CRFHead, MultilabelHead, SoftmaxHead

TAGS = ["I-LOC", "O", "B-PER", "I-PER", "B-LOC"]  # in no particular order
CRFS = ("crf", "constrained_crf")
both_crfs = pytest.mark.parametrize("name", CRFS)


def make_crf(name: str, tags: list[str] = TAGS) -> CRFHead:
    """A CRF head with transition scores of the same size as the logits."""
    torch.manual_seed(0)
    head = LABELING_HEADS[name](4, tags, 0.0)
    assert isinstance(head, CRFHead)
    for parameter in (head.crf.start, head.crf.end, head.crf.transitions):
        torch.nn.init.normal_(parameter)
    return head


def softmax(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)


def is_iob2(tags: list[str]) -> bool:
    return all(
        not tag.startswith("I-") or before in (tag, f"B-{tag[2:]}")
        for before, tag in zip(["O", *tags], tags, strict=False)
    )


def path_odds(head: CRFHead, scores: Tensor, tags: list[str], constrained: bool) -> dict[tuple[int, ...], float]:
    """scores: (T, L) → exp of the score of every path."""
    found = {}
    start, end, moves = (p.detach().numpy() for p in (head.crf.start, head.crf.end, head.crf.transitions))
    for path in product(range(len(tags)), repeat=len(scores)):
        if constrained and not is_iob2([tags[i] for i in path]):
            continue
        score = start[path[0]] + end[path[-1]] + sum(scores.numpy()[range(len(path)), path])
        found[path] = float(np.exp(score + sum(moves[a, b] for a, b in pairwise(path))))
    return found


@pytest.mark.parametrize("task", SEQUENCE_HEADS)
def test_scores_of_sequences_are_linear_in_the_pooled_outputs(task: Task) -> None:
    torch.manual_seed(0)
    outputs, final, lengths = torch.randn(3, 5, 4), torch.randn(3, 4), torch.tensor([5, 2, 1])
    real = [row[:length] for row, length in zip(outputs, lengths, strict=True)]
    pooled = {
        "last": final,
        "mean": torch.stack([row.mean(dim=0) for row in real]),
        "max": torch.stack([row.amax(dim=0) for row in real]),
    }
    for pooling, expected in pooled.items():
        head = SEQUENCE_HEADS[task](4, 2, pooling, 0.5).eval()
        scores = head(outputs, final, lengths)
        torch.testing.assert_close(scores, expected @ head.output.weight.T + head.output.bias)


def test_classification_loss_is_the_mean_over_sequences() -> None:
    torch.manual_seed(0)
    scores, labels = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 2])
    expected = -np.log(softmax(scores.numpy())[range(5), labels.numpy()]).mean()
    loss = ClassificationHead(4, 3).loss(scores, labels, torch.ones(5))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_classification_predicts_the_label_with_the_largest_score() -> None:
    torch.manual_seed(0)
    head, scores, lengths = ClassificationHead(4, 3), torch.randn(5, 3), torch.ones(5)
    assert head.decode(scores, lengths).tolist() == scores.numpy().argmax(axis=1).tolist()
    np.testing.assert_allclose(head.probabilities(scores, lengths), softmax(scores.numpy()), rtol=1e-5)


def test_multilabel_loss_is_the_mean_over_sequences_and_labels() -> None:
    torch.manual_seed(0)
    scores, labels = torch.randn(5, 3), torch.rand(5, 3) < 0.4
    losses = [
        log_loss(labels[:, i].int(), 1 / (1 + np.exp(-scores[:, i].double().numpy())), labels=[0, 1]) for i in range(3)
    ]
    loss = MultilabelHead(4, 3).loss(scores, labels, torch.ones(5))
    assert loss.item() == pytest.approx(np.mean(losses), abs=1e-6)


def test_multilabel_loss_of_a_confident_error_is_finite_and_has_a_gradient() -> None:
    scores = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = MultilabelHead(4, 2).loss(scores, torch.tensor([[False, True]]), torch.ones(1))
    loss.backward()
    assert loss.item() == 200
    assert scores.grad is not None
    assert scores.grad.tolist() == [[0.5, -0.5]]


def test_multilabel_predicts_the_labels_with_a_probability_above_one_half() -> None:
    head, scores, lengths = MultilabelHead(4, 3), torch.tensor([[-1.0, 0.0, 1e-4], [-2, -3, -0.1]]), torch.ones(2)
    probabilities = head.probabilities(scores, lengths)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-scores.numpy())), rtol=1e-5)
    decoded = head.decode(scores, lengths)
    assert decoded.tolist() == (probabilities > 0.5).tolist() == [[False, False, True], [False, False, False]]


@pytest.mark.parametrize("name", LABELING_HEADS)
def test_labeling_scores_are_linear_in_every_output(name: str) -> None:
    torch.manual_seed(0)
    outputs, final, lengths = torch.randn(3, 5, 4), torch.randn(3, 4), torch.tensor([5, 2, 1])
    head = LABELING_HEADS[name](4, TAGS, 0.5).eval()
    expected = torch.stack([row @ head.output.weight.T + head.output.bias for row in outputs])
    torch.testing.assert_close(head(outputs, final, lengths), expected)


def test_softmax_loss_is_the_mean_over_real_tokens() -> None:
    torch.manual_seed(0)
    scores = torch.randn(2, 3, 5)
    labels = torch.tensor([[3, 0, 1], [2, IGNORE, IGNORE]])
    probabilities = softmax(scores.numpy())
    expected = -np.log([probabilities[0, 0, 3], probabilities[0, 1, 0], probabilities[0, 2, 1], probabilities[1, 0, 2]])
    loss = SoftmaxHead(4, TAGS).loss(scores, labels, torch.tensor([3, 1]))
    assert loss.item() == pytest.approx(expected.mean(), abs=1e-6)


def test_softmax_predicts_the_label_with_the_largest_score_of_each_token() -> None:
    torch.manual_seed(0)
    head, scores, lengths = SoftmaxHead(4, TAGS), torch.randn(2, 3, 5), torch.tensor([3, 1])
    assert head.decode(scores, lengths).tolist() == scores.numpy().argmax(axis=2).tolist()
    np.testing.assert_allclose(head.probabilities(scores, lengths), softmax(scores.numpy()), rtol=1e-5)


@both_crfs
def test_crf_loss_is_that_of_the_path_divided_by_the_number_of_tokens(name: str) -> None:
    head = make_crf(name)
    scores, lengths = torch.randn(2, 3, 5), torch.tensor([3, 2])
    paths = [(2, 3, 1), (4, 0)]  # B-PER I-PER O, B-LOC I-LOC
    labels = torch.tensor([paths[0], (*paths[1], IGNORE)])
    odds = [path_odds(head, row[:n], TAGS, name == "constrained_crf") for row, n in zip(scores, lengths, strict=True)]
    losses = [-np.log(found[path] / sum(found.values())) for found, path in zip(odds, paths, strict=True)]
    assert head.loss(scores, labels, lengths).item() == pytest.approx(sum(losses) / 5, abs=1e-5)


@both_crfs
def test_crf_probabilities_are_sums_over_the_paths_with_the_label(name: str) -> None:
    head, scores = make_crf(name), torch.randn(1, 3, 5)
    odds = path_odds(head, scores[0], TAGS, name == "constrained_crf")
    expected = np.zeros((3, 5))
    for path, value in odds.items():
        expected[range(3), path] += value / sum(odds.values())
    np.testing.assert_allclose(head.probabilities(scores, torch.tensor([3]))[0], expected, atol=1e-5)


@both_crfs
def test_crf_predicts_the_best_iob2_path(name: str) -> None:
    head, scores = make_crf(name), torch.randn(8, 3, 5)
    for row in scores:
        odds = path_odds(head, row, TAGS, constrained=True)
        assert tuple(head.decode(row[None], torch.tensor([3]))[0].tolist()) == max(odds, key=odds.__getitem__)


@pytest.mark.parametrize("name", CRFS)
@given(
    data=st.data(), tags=st.permutations([*TAGS, "B-X"]), lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4)
)
def test_crf_predictions_are_iob2_and_probabilities_sum_to_one(
    name: str, data: st.DataObject, tags: list[str], lengths: list[int]
) -> None:
    numbers = st.floats(-30, 30, width=32)
    size = len(lengths) * max(lengths) * len(tags)
    flat = data.draw(st.lists(numbers, min_size=size, max_size=size))
    scores = torch.tensor(flat).view(len(lengths), max(lengths), len(tags))
    head = make_crf(name, tags)
    decoded, probabilities = (
        method(scores, torch.tensor(lengths)) for method in (head.decode, head.probabilities)
    )  # (B, T), (B, T, L)
    for row, length in enumerate(lengths):
        assert is_iob2([tags[i] for i in decoded[row, :length]])
        np.testing.assert_allclose(probabilities[row, :length].sum(dim=1), 1, atol=1e-4)


def test_only_the_constrained_crf_gives_zero_probability_to_invalid_iob2() -> None:
    scores, lengths = torch.zeros(1, 2, 5), torch.tensor([2])
    first = {name: make_crf(name).probabilities(scores, lengths)[0, 0] for name in CRFS}
    inside = [i for i, tag in enumerate(TAGS) if tag.startswith("I-")]
    assert (first["crf"][inside] > 0).all()
    assert (first["constrained_crf"][inside] == 0).all()


def test_dropout_of_heads_applies_only_in_training() -> None:
    torch.manual_seed(0)
    inputs = (torch.randn(3, 5, 4), torch.randn(3, 4), torch.tensor([5, 2, 1]))
    sequence_heads = (ClassificationHead(4, 2, dropout=0.5), MultilabelHead(4, 2, dropout=0.5))
    for head in (*sequence_heads, SoftmaxHead(4, TAGS, 0.5), CRFHead(4, TAGS, 0.5)):
        torch.testing.assert_close(head.eval()(*inputs), head.eval()(*inputs))
        assert not torch.allclose(head.train()(*inputs), head.eval()(*inputs))


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(ValueError, match="pooling='first'; accepted: last, mean, max"):
        ClassificationHead(4, 2, "first")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [*SEQUENCE_HEADS, *LABELING_HEADS])
def test_no_head_waits_for_its_device(name: str) -> None:
    is_of_tokens = name in LABELING_HEADS
    head = LABELING_HEADS[name](4, TAGS, 0.5) if is_of_tokens else SEQUENCE_HEADS[name](4, 5, "attention", 0.5)
    head.to("meta")
    outputs, lengths = torch.randn(3, 7, 4, device="meta"), torch.ones(3, dtype=torch.long, device="meta")
    shape = (3, 7) if is_of_tokens else (3, 5) if name == "multilabel" else (3,)
    with Launches("meta"):
        scores = head(outputs, outputs[:, 0], lengths)
        head.loss(scores, torch.ones(shape, dtype=torch.long, device="meta"), lengths).backward()
        head.decode(scores, lengths)
        head.posterior(scores, lengths)
