"""Probabilities of entities, compared with sums over all label sequences and with PyTorch's partition function."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inference.test_crf import NAMES, make_pair
from tests.tiny import save_baseline, save_random_model
from unroll.data.predictions import Prediction
from unroll.data.prepared import PreparedData
from unroll.data.tags import Span, spans
from unroll.data.tokens import Posterior
from unroll.inference.crf import softmax
from unroll.inference.entities import entity_probability
from unroll.inference.exporting.export import export
from unroll.inference.predictor import Predictor
from unroll.nn.crf_loop import potentials_of

TEXTS = ["Ada Brown met us in Paris , today .", "Ada", "the plan of Ada we lead in Paris"]


def of_sequences(potentials: np.ndarray, transitions: np.ndarray, starts: list[int]) -> dict[Span, float]:
    """The probability of each entity, by the scores of all label sequences."""
    scores: dict[tuple[int, ...], float] = {}
    for labels in product(range(len(NAMES)), repeat=len(potentials)):
        of_steps = potentials[np.arange(len(potentials)), labels].sum()
        scores[labels] = float(of_steps + transitions[labels[:-1], labels[1:]].sum())
    log_z = np.logaddexp.reduce(list(scores.values()))
    found: dict[Span, float] = {}
    for labels, score in scores.items():
        for span in spans([NAMES[labels[start]] for start in starts]):
            found[span] = found.get(span, 0.0) + float(np.exp(score - log_z))
    return found


def probability(posterior: Posterior[np.ndarray], span: Span, starts: list[int]) -> float:
    prediction = Prediction.of(0, np.zeros((1, 0)), posterior)
    return entity_probability(prediction, NAMES, span, starts)


WORDS = st.lists(st.integers(1, 2), min_size=1, max_size=4).filter(lambda lengths: sum(lengths) <= 4)


@given(lengths=WORDS, constrained_loss=st.booleans(), scale=st.sampled_from([0.3, 3.0, 30.0]), seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_the_probability_of_an_entity_is_that_of_all_label_sequences_that_have_it(
    lengths: list[int], constrained_loss: bool, scale: float, seed: int
) -> None:
    """`lengths` are numbers of subwords."""
    torch.manual_seed(seed)
    theirs, ours = make_pair(5, constrained_loss, True, scale)
    steps, starts = sum(lengths), np.cumsum([0, *lengths[:-1]]).tolist()
    logits, counts = scale * torch.randn(1, steps, 5), torch.tensor([steps])
    potentials, transitions = potentials_of(logits.double(), theirs.chain(constrained_loss), counts)
    expected = of_sequences(potentials[:, :, 0].detach().numpy(), transitions.detach().numpy(), starts)
    here = ours.posterior(logits.numpy(), counts.numpy())
    there = Posterior(*(it.numpy() for it in theirs.posterior(logits.double(), counts) if it is not None))
    for span, value in expected.items():
        assert probability(here, span, starts) == pytest.approx(value, rel=1e-6, abs=1e-12)
        assert probability(there, span, starts) == pytest.approx(value, rel=1e-6, abs=1e-12)


@given(lengths=WORDS, seed=st.integers(0, 999))
@settings(max_examples=15, deadline=None)
def test_the_probability_of_an_entity_of_independent_labels_is_that_of_all_label_sequences_that_have_it(
    lengths: list[int], seed: int
) -> None:
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    p = softmax(3 * np.random.default_rng(seed).standard_normal((1, sum(lengths), 5)))
    for span, value in of_sequences(np.log(p[0]), np.zeros((5, 5)), starts).items():
        assert probability(Posterior(p), span, starts) == pytest.approx(value, rel=1e-9)


def test_independent_labels_of_an_entity_are_multiplied() -> None:
    p = Posterior(np.array([[[0.1, 0.2, 0.7, 0, 0], [0.6, 0.3, 0.1, 0, 0], [0.25, 0.75, 0, 0, 0]]]))
    # B- or I-, then I-, then another label
    assert probability(p, Span("A", 0, 2), [0, 1, 2]) == pytest.approx((0.7 + 0.1) * 0.6 * (1 - 0.25))
    # B-, or I- after a label of another kind; then I-, and the end
    assert probability(p, Span("A", 1, 3), [0, 1, 2]) == pytest.approx((0.1 + 0.2 * 0.6) * 0.25)


def test_the_probability_of_an_entity_in_a_long_text_is_a_ratio_of_partition_functions() -> None:
    torch.manual_seed(4)
    theirs, ours = make_pair(5, False, True, 2.0)
    logits, lengths = torch.randn(1, 400, 5), torch.tensor([400])
    starts_with_b = torch.full((400, 5), True)
    starts_with_b[200] = torch.tensor([False, False, True, False, False])
    starts_with_b[201:204, 1:] = False  # I-A
    starts_with_b[204, 0] = False
    starts_with_i = starts_with_b.clone()
    starts_with_i[200] = torch.tensor([True, False, False, False, False])
    starts_with_i[199, [0, 2]] = False
    log_z = theirs.log_partition(logits.double(), lengths)
    parts = [
        theirs.log_partition(logits.double().masked_fill(~ways, -1e4), lengths)
        for ways in (starts_with_b, starts_with_i)
    ]
    expected = sum((part - log_z).exp().item() for part in parts)
    found = probability(ours.posterior(logits.numpy(), lengths.numpy()), Span("A", 200, 204), list(range(400)))
    assert found == pytest.approx(expected, rel=1e-5) and 0 < expected < 1


@pytest.mark.parametrize("model", ["bilstm", "bilstm_char_crf"])
def test_an_exported_network_gives_entities_the_probabilities_of_the_trained_one(
    model: str, entities: PreparedData, tmp_path: Path
) -> None:
    trained = save_random_model(entities, tmp_path / "model", model)
    export(trained, tmp_path / "onnx")
    found, expected = (
        [entity for answer in predictor.predict(TEXTS, probabilities=True) for entity in answer["entities"]]
        for predictor in (Predictor.load(tmp_path / "onnx"), Predictor.load(trained))
    )
    assert expected
    for one, other in zip(found, expected, strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-5) and 0 < one["probability"] < 1


@pytest.mark.parametrize("model", ["crfsuite", "bilstm_char_crf"])
def test_labels_that_depend_on_each_other_are_not_multiplied(
    model: str, entities: PreparedData, tmp_path: Path
) -> None:
    save = save_baseline if model == "crfsuite" else save_random_model
    predictor = Predictor.load(save(entities, tmp_path / "model", model))
    names, answers = entities.label_names, predictor.predict(TEXTS, probabilities=True)
    differing = 0
    for text, answer in zip(TEXTS, answers, strict=True):
        (prediction,) = predictor.model.predict(predictor.encode(text)[1], 1)
        independent = prediction._replace(following=None)
        for entity in answer["entities"]:
            span, steps = Span(entity["type"], entity["start"], entity["end"]), range(len(answer["tokens"]))
            differing += abs(entity_probability(independent, names, span, steps) - entity["probability"]) > 1e-4
    assert differing


def test_entities_of_a_baseline_without_transitions_have_probabilities(entities: PreparedData, tmp_path: Path) -> None:
    predictor = Predictor.load(save_baseline(entities, tmp_path / "model", "majority"))
    found = [it for answer in predictor.predict(TEXTS, probabilities=True) for it in answer["entities"]]
    assert found and all(0 < entity["probability"] < 1 for entity in found)
