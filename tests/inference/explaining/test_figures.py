"""Figures of explanations."""

from dataclasses import replace

import numpy as np
import pytest

from tests.pages.drawn import assert_fits
from tests.tiny import random_model
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task
from unroll.inference.explaining.explain import explain
from unroll.inference.explaining.figures import explanation_figure, sensitivity_figure
from unroll.inference.explaining.gradients import Sensitivity
from unroll.inference.predictor import Predictor

TEXT = "so very good and old"
LONG = "an_internationalized_word_of_many_letters"


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_a_classified_text_has_four_panels_with_a_row_for_each_token(
    task: Task, prepared: dict[Task, PreparedData]
) -> None:
    found = explain(Predictor(random_model(prepared[task], "gru")), TEXT)
    figure = explanation_figure(found)
    output, change, felt, influence = figure.axes
    label = found.labels[0]
    assert [it.get_text() for it in output.get_yticklabels()] == TEXT.split()
    np.testing.assert_allclose(output.lines[0].get_xdata(), found.prefix_log_odds[:, label])
    np.testing.assert_allclose([it.get_width() for it in change.patches], found.state_changes)
    np.testing.assert_allclose(felt.lines[0].get_xdata(), found.sensitivity)
    np.testing.assert_allclose([it.get_width() for it in influence.patches], found.influence[:, label])
    assert felt.get_xscale() == "log"
    seen = [it for it in felt.get_xticks() if felt.get_xlim()[0] <= it <= felt.get_xlim()[1]]
    assert len(seen) >= 2
    assert output.get_ylim()[0] > output.get_ylim()[1]  # the first token is on top


def test_the_axis_of_the_output_is_marked_in_per_cent(reviews: PreparedData) -> None:
    output = explanation_figure(explain(Predictor(random_model(reviews, "gru")), TEXT)).axes[0]
    for place, text in zip(output.get_xticks(), output.get_xticklabels(), strict=True):
        assert 100 / (1 + np.exp(-place)) == pytest.approx(float(text.get_text()))


@pytest.mark.parametrize("name", ["lstm", "bilstm_char_crf"])
def test_labels_of_tokens_have_three_squares(name: str, entities: PreparedData) -> None:
    found = explain(Predictor(random_model(entities, name)), TEXT.split())
    probability, felt, influence = (axes for axes in explanation_figure(found).axes if axes.get_title(loc="left"))
    kept = (found.probabilities >= 0.01).any(axis=0)
    np.testing.assert_allclose(probability.images[0].get_array(), found.probabilities[:, kept])
    np.testing.assert_allclose(influence.images[0].get_array(), found.influence)
    seen = found.sensitivity > 0
    np.testing.assert_allclose(felt.images[0].get_array()[seen], np.log10(found.sensitivity[seen]))


def test_means_are_drawn_on_a_log_axis_without_rare_distances_and_zeros() -> None:
    means = {
        "elman": Sensitivity(np.arange(4), np.array([1, 0.1, 0.01, 0.5]), np.array([9, 8, 7, 4]), 9),
        "tagger": Sensitivity(np.array([-1, 0, 1]), np.array([0.0, 1, 0.3]), np.array([9, 9, 9]), 9),
    }
    axes = sensitivity_figure(means).axes[0]
    assert axes.get_yscale() == "log"
    assert [[*map(float, line.get_xdata())] for line in axes.lines[:2]] == [[0, 1, 2], [0, 1]]
    assert [it.get_text() for it in axes.get_legend().get_texts()] == ["elman", "tagger"]


@pytest.mark.parametrize("text", ["good", f"{LONG} {TEXT} {LONG}"])
@pytest.mark.parametrize("task", ["classification", "labeling"])
def test_what_is_written_beside_the_axes_fits(task: Task, text: str, prepared: dict[Task, PreparedData]) -> None:
    predictor = Predictor(random_model(prepared[task], "gru"))
    found = explain(predictor, text.split() if task == "labeling" else text)
    assert_fits(explanation_figure(found))
    assert_fits(explanation_figure(replace(found, label_names=[f"{LONG} {it}" for it in found.label_names])))
    means = Sensitivity(np.arange(3), np.array([1e-9, 1, 1e-5]), np.array([9, 8, 7]), 9)
    assert_fits(sensitivity_figure({LONG: means}))
