from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from unroll.evaluation.example_counts import counts_of_runs, micro_f1
from unroll.evaluation.significance import (
    compare_models,
    compare_predictions,
    holm,
    interval_over_examples,
    interval_over_seeds,
)


def classified(*runs: str) -> list[pd.DataFrame]:
    """One run a string: 1 where an example is right."""
    return [
        pd.DataFrame({"row": range(len(run)), "label": "yes", "predicted": ["yes" if c == "1" else "no" for c in run]})
        for run in runs
    ]


def tagged(*predicted: list[str], label: list[str]) -> list[pd.DataFrame]:
    """One run a list of sentences, such as BO: a token that is an entity, and one that is none."""
    tags = {"B": "B-X", "O": "O"}
    runs = [[[tags[letter] for letter in sentence] for sentence in run] for run in (label, *predicted)]
    return [pd.DataFrame({"row": range(len(label)), "label": runs[0], "predicted": run}) for run in runs[1:]]


def test_accuracy_of_one_run_each_is_compared_by_mcnemar_s_test() -> None:
    found = compare_predictions(classified("1110" + "1" * 8), classified("1000" + "0" * 8), "classification")
    assert (found.first_score, found.second_score, found.difference) == pytest.approx((11 / 12, 1 / 12, 10 / 12))
    assert found.p_value == pytest.approx(stats.chi2.sf(10, 1))
    assert found.degrees_of_freedom == np.inf


def test_f1_of_one_run_each_is_compared_by_random_swaps() -> None:
    gold = ["BO"] * 8 + ["OB"] * 4
    first, second = tagged(["BO"] * 8 + ["OO"] * 4, ["OO"] * 12, label=gold)
    found = compare_predictions([first], [second], "labeling")
    assert (found.first_score, found.second_score) == (2 * 8 / (8 + 12), 0.0)
    assert found.p_value == pytest.approx(2 / 2**8, rel=0.5)  # all eight sentences swapped, or none
    assert found == compare_predictions([first], [second], "labeling", seed=0)


def test_several_runs_are_compared_by_their_mean() -> None:
    first, second = classified("1110", "1100", "1111"), classified("1000", "1001")
    found = compare_predictions(first, second, "classification")
    assert (found.first_score, found.second_score) == pytest.approx((9 / 12, 3 / 8))
    assert found.difference == pytest.approx(9 / 12 - 3 / 8)
    assert found.degrees_of_freedom < np.inf


def test_labels_of_texts_are_compared_as_sets() -> None:
    runs = [
        pd.DataFrame({"row": [0, 1], "label": [["a", "b"], []], "predicted": predicted})
        for predicted in ([["b", "a"], []], [["a"], ["b"]])
    ]
    found = compare_predictions(runs[:1], runs[1:], "multilabel")
    assert (found.first_score, found.second_score) == (1.0, 2 * 1 / (2 + 2))


@pytest.mark.parametrize("runs", [1, 3])
def test_without_an_entity_to_find_nothing_differs(runs: int) -> None:
    silent, loud = tagged(["O", "O"], ["B", "O"], label=["O", "O"])
    found = compare_predictions([silent] * runs, [loud] * runs, "labeling")
    assert (found.first_score, found.second_score, found.p_value) == (0.0, 0.0, 1.0)


def test_all_pairs_are_compared_in_the_order_of_the_models() -> None:
    models = {"gru": classified("1110", "1100"), "fcnn": classified("0000"), "lstm": classified("1111", "1011")}
    found = compare_models(models, "classification")
    assert list(found) == [("gru", "fcnn"), ("gru", "lstm"), ("fcnn", "lstm")]
    for (first, second), comparison in found.items():
        assert comparison == compare_predictions(models[first], models[second], "classification")


def test_a_single_run_of_a_model_that_no_seed_changes_is_not_taken_to_vary() -> None:
    generator = np.random.default_rng(0)
    several = ["".join("1" if right else "0" for right in generator.random(500) < skill) for skill in (0.7, 0.74, 0.72)]
    models = {"network": classified(*several), "baseline": classified("110" * 166 + "11")}
    (varying,) = compare_models(models, "classification").values()
    (steady,) = compare_models(models, "classification", seedless={"baseline"}).values()
    (repeated,) = compare_models(models | {"baseline": models["baseline"] * 3}, "classification").values()
    assert steady.p_value == pytest.approx(repeated.p_value)
    assert steady.standard_error < varying.standard_error
    alone = {"one": classified(several[0]), "baseline": models["baseline"]}  # one run each is about these two
    assert compare_models(alone, "classification", seedless={"baseline"}) == compare_models(alone, "classification")


OTHER_ROWS = [run.assign(row=run["row"] + 1) for run in classified("10")]
OTHER_LABELS = [run.assign(label="no") for run in classified("10")]


@pytest.mark.parametrize("second", [OTHER_ROWS, OTHER_LABELS, classified("101"), classified("10") + OTHER_ROWS])
def test_other_examples_are_refused(second: list[pd.DataFrame]) -> None:
    with pytest.raises(ValueError, match="second and first were not scored on the same test examples"):
        compare_predictions(classified("11"), second, "classification")


def test_other_tags_are_refused() -> None:
    first, second = tagged(["BO"], label=["BO"]), tagged(["BO"], label=["OB"])
    with pytest.raises(ValueError, match="same test examples"):
        compare_predictions(first, second, "labeling")


@pytest.mark.parametrize(
    ("first", "second", "level", "message"),
    [
        (classified("1"), [], 0.05, "no run of second"),
        ([], classified("1"), 0.05, "no run of first"),
        (classified(""), classified(""), 0.05, "the test split is empty"),
        (classified("1"), classified("1"), 0.0, "level=0.0; accepted: above 0, below 1"),
        (classified("1"), classified("1"), 5.0, "level=5.0"),
    ],
)
def test_unusable_input_is_named(
    first: list[pd.DataFrame], second: list[pd.DataFrame], level: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare_predictions(first, second, "classification", level)


def test_holm_of_a_published_set_of_p_values() -> None:
    """Benjamini and Hochberg 1995, section 4.1: a family-wise error of 0.05 leaves three of the fifteen."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p_values += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
    adjusted = holm(p_values[::-1])[::-1]
    assert adjusted[:4].tolist() == pytest.approx([15 * 0.0001, 14 * 0.0004, 13 * 0.0019, 12 * 0.0095])
    assert (adjusted < 0.05).sum() == 3
    assert all(one <= other for one, other in pairwise(adjusted))
    assert holm([]).tolist() == []


def test_the_interval_over_seeds_is_student_s() -> None:
    scores = [0.80, 0.83, 0.82]
    interval = stats.ttest_1samp(scores, 0).confidence_interval(0.9)
    assert interval_over_seeds(scores, 0.1) == pytest.approx((interval.low, interval.high))
    assert all(np.isnan(interval_over_seeds([0.8])))


@pytest.mark.parametrize("runs", [1, 3])
def test_the_interval_over_examples_is_scipy_s_bootstrap(runs: int) -> None:
    generator = np.random.default_rng(0)
    gold = ["".join(generator.choice(["B", "O"], 5)) for _ in range(150)]
    predicted = [[flipped(sentence, generator) for sentence in gold] for _ in range(runs)]
    predictions = tagged(*predicted, label=gold)
    counts = counts_of_runs(predictions, "labeling")

    def score(examples: np.ndarray, axis: int) -> np.ndarray:
        """examples: (…, N) indices."""
        return micro_f1(counts[:, examples]).mean(axis=0)

    expected = stats.bootstrap((np.arange(150),), score, method="percentile", vectorized=True, rng=1)
    found = interval_over_examples(predictions, "labeling")
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=0.003)
    assert found == interval_over_examples(predictions, "labeling", seed=0)


def flipped(sentence: str, generator: np.random.Generator) -> str:
    return "".join("BO"[letter == "B"] if generator.random() < 0.2 else letter for letter in sentence)


@pytest.mark.parametrize("run", ["1" * 20, "0" * 20])
def test_examples_that_are_all_right_or_all_wrong_have_no_interval(run: str) -> None:
    assert all(np.isnan(interval_over_examples(classified(run), "classification")))


def test_the_interval_over_examples_narrows_with_the_level() -> None:
    run = classified("1" * 70 + "0" * 30)
    (low, high), (lower, higher) = (interval_over_examples(run, "classification", level) for level in (0.2, 0.01))
    assert lower < low < 0.7 < high < higher
