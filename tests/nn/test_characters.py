import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from unroll.data.tokens import PADDING
from unroll.nn.characters import CharacterCNN, CharacterLSTM, window_sums

ALPHABET = 8
NETWORKS = {"cnn": CharacterCNN, "lstm": CharacterLSTM}
each_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)

batches = st.lists(st.lists(st.integers(1, ALPHABET - 1), min_size=1, max_size=9), min_size=1, max_size=6)
widths = st.integers(1, 6)


def pad(words: list[list[int]], more: int = 0) -> Tensor:
    """Character ids (U, C), with `more` additional columns of padding."""
    columns = max(map(len, words)) + more
    return torch.tensor([word + [PADDING] * (columns - len(word)) for word in words])


def make(network: type[nn.Module], **options: float) -> nn.Module:
    torch.manual_seed(0)
    module = network(ALPHABET, **options).double().eval()
    for name, parameter in module.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter)
    return module


def convolve(network: CharacterCNN, words: list[list[int]]) -> Tensor:
    """The maximum of PyTorch's convolution over each word alone."""
    filters = network.filters.permute(2, 1, 0)  # (F, E, K)
    width = filters.shape[2]
    embedded = [network.characters.embedding.weight[word].T for word in words]  # (E, C) each
    padded = [F.pad(x, ((width - 1) // 2, width // 2)) for x in embedded]
    return torch.stack([F.conv1d(x, filters, network.bias).amax(dim=1) for x in padded])


def read_both_ways(network: CharacterLSTM, words: list[list[int]]) -> Tensor:
    """PyTorch's LSTM over each word alone."""
    cells = [network.encoder.forward_cells[0], network.encoder.backward_cells[0]]
    hidden_size = network.output_size // 2
    reference = nn.LSTM(network.characters.embedding.embedding_dim, hidden_size, bidirectional=True).double()
    with torch.no_grad():
        for theirs, cell in zip(reference.all_weights, cells, strict=True):
            for weight, ours in zip(theirs, cell.parameters(), strict=True):
                weight.copy_(ours)
    states = [reference(network.characters.embedding.weight[word])[0] for word in words]  # (C, 2H) each
    return torch.stack([torch.cat([s[-1, :hidden_size], s[0, hidden_size:]]) for s in states])


@given(words=batches, width=widths)
def test_cnn_equals_a_convolution_and_a_maximum_word_by_word(words: list[list[int]], width: int) -> None:
    network = make(CharacterCNN, embedding_size=4, filters=5, width=width)
    torch.testing.assert_close(network(pad(words)), convolve(network, words))


@given(words=batches, width=widths)
def test_cnn_has_the_gradients_of_a_convolution_and_a_maximum(words: list[list[int]], width: int) -> None:
    network = make(CharacterCNN, embedding_size=4, filters=5, width=width)
    weights = list(network.parameters())
    pull = torch.randn(len(words), 5, dtype=torch.float64)

    gradients = torch.autograd.grad(network(pad(words)), weights, pull)

    torch.testing.assert_close(gradients, torch.autograd.grad(convolve(network, words), weights, pull))


@given(words=batches)
def test_lstm_equals_that_of_torch_word_by_word(words: list[list[int]]) -> None:
    network = make(CharacterLSTM, embedding_size=4, hidden_size=3)
    torch.testing.assert_close(network(pad(words)), read_both_ways(network, words))


@each_network
@given(words=batches, more=st.integers(0, 5), data=st.data())
def test_a_word_does_not_depend_on_padding_or_on_the_other_words(
    network: type[nn.Module], words: list[list[int]], more: int, data: st.DataObject
) -> None:
    module = make(network)
    order = data.draw(st.permutations(range(len(words))))
    vectors = module(pad([words[i] for i in order], more))
    for i, vector in zip(order, vectors, strict=True):
        torch.testing.assert_close(vector, module(pad([words[i]]))[0])


@each_network
def test_a_word_without_characters_is_finite_and_does_not_depend_on_padding(network: type[nn.Module]) -> None:
    module = make(network)
    vectors = module(pad([[], [1, 2, 3]]))
    assert vectors.isfinite().all()
    torch.testing.assert_close(vectors[:1], module(pad([[]], more=1)))


@each_network
def test_different_words_have_different_vectors(network: type[nn.Module]) -> None:
    words = [[1, 2, 3], [3, 2, 1], [1, 2], [1, 2, 4], [2, 3]]
    differences = torch.cdist(*2 * [make(network)(pad(words))])
    assert (differences > 1e-3).sum() == len(words) * (len(words) - 1)


@pytest.mark.parametrize(
    ("module", "size"), [(CharacterCNN(ALPHABET), 50), (CharacterLSTM(ALPHABET, hidden_size=7), 14)], ids=NETWORKS
)
def test_output_size_is_that_of_the_vectors(module: nn.Module, size: int) -> None:
    assert module(pad([[1, 2], [3]])).shape == (2, size)
    assert module.output_size == size


@each_network
def test_padding_is_zero_and_does_not_learn(network: type[nn.Module]) -> None:
    module = make(network)
    module(pad([[1, 2, 3], [4]])).sum().backward()
    table = module.characters.embedding.weight
    assert not table[PADDING].any()
    assert not table.grad[PADDING].any()
    assert table.grad[1:5].any(dim=1).all()


@each_network
def test_dropout_ignores_padding_and_is_the_same_for_a_character_in_all_words(network: type[nn.Module]) -> None:
    module = make(network, dropout=0.5).train()
    vectors = module(pad([[1, 2, 3], [4], [1, 2, 3]], more=2))
    torch.testing.assert_close(vectors[0], vectors[2])
    assert not torch.allclose(vectors, module(pad([[1, 2, 3], [4], [1, 2, 3]], more=2)))
    assert not module.characters()[PADDING].any()


@each_network
def test_dropout_drops_its_share_of_the_elements_in_training_only(network: type[nn.Module]) -> None:
    table = network(500, embedding_size=20, dropout=0.3).characters
    dropped = (table()[1:] == 0).float().mean()
    assert abs(dropped - 0.3) < 0.025  # 9 980 elements: five standard deviations
    torch.testing.assert_close(table.eval()(), table.embedding.weight)


@each_network
def test_bfloat16_autocast_gives_finite_vectors_and_gradients(network: type[nn.Module]) -> None:
    module = make(network).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors = module(pad([[1, 2, 3], [4]]))
    vectors.float().sum().backward()
    assert vectors.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


def test_weights_start_within_their_bounds() -> None:
    network = CharacterCNN(200, embedding_size=30, filters=50, width=3)
    table, filters = network.characters.embedding.weight[1:], network.filters
    for weight, bound in ((table, math.sqrt(3 / 30)), (filters, math.sqrt(6 / (3 * 30 + 50)))):
        assert 0.98 * bound < weight.abs().max() <= bound
    assert not network.bias.any()


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (CharacterCNN, {"alphabet_size": 0}, "alphabet_size=0; accepted: 1 or more"),
        (CharacterCNN, {"embedding_size": 0}, "embedding_size=0; accepted: 1 or more"),
        (CharacterCNN, {"filters": 0}, "filters=0; accepted: 1 or more"),
        (CharacterCNN, {"width": 0}, "width=0; accepted: 1 or more"),
        (CharacterCNN, {"dropout": 1.0}, "dropout=1.0; accepted: 0 to below 1"),
        (CharacterLSTM, {"alphabet_size": 0}, "alphabet_size=0; accepted: 1 or more"),
        (CharacterLSTM, {"embedding_size": 0}, "embedding_size=0; accepted: 1 or more"),
        (CharacterLSTM, {"hidden_size": 0}, "hidden_size=0; accepted: 1 or more"),
        (CharacterLSTM, {"dropout": -0.1}, "dropout=-0.1; accepted: 0 to below 1"),
    ],
)
def test_values_out_of_range_are_refused(network: type[nn.Module], options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**({"alphabet_size": ALPHABET} | options))


@given(words=batches, width=widths, filters=st.integers(1, 5))
def test_the_sums_of_windows_that_a_gpu_looks_up_are_those_that_are_gathered(
    words: list[list[int]], width: int, filters: int
) -> None:
    torch.manual_seed(0)
    tables = torch.randn(width, ALPHABET, filters, dtype=torch.float64, requires_grad=True)
    padded = F.pad(pad(words), ((width - 1) // 2, width // 2), value=PADDING)
    starts = torch.randint(padded.shape[1] - width + 1, (len(words), filters))
    expected = sum(table.gather(0, padded.gather(1, starts + k)) for k, table in enumerate(tables))
    found = window_sums(tables, padded, starts)
    d_sums = torch.randn_like(found)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(torch.autograd.grad(sums, tables, d_sums)[0] for sums in (found, expected)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_gradient_of_a_character_cnn_has_the_same_bits_each_time_on_a_gpu() -> None:
    torch.manual_seed(0)
    network = CharacterCNN(60).eval().cuda()
    characters = torch.randint(2, 60, (500, 12), device="cuda")
    first, *others = (
        torch.autograd.grad(network(characters).square().sum(), [*network.parameters()]) for _ in range(5)
    )
    for other in others:
        assert all(torch.equal(*pair) for pair in zip(first, other, strict=True))
