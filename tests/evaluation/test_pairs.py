from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from unroll.evaluation.example_counts import counts_of_runs
from unroll.evaluation.pairs import compare_pairs, compare_predictions, conclusion, enumerate_words
from unroll.evaluation.runs import read_runs
from unroll.statistics.comparison import compare_all


def classified(*runs: str) -> list[pd.DataFrame]:
    """One run per string: 1 where an example is right."""
    return [
        pd.DataFrame({"row": range(len(run)), "label": "yes", "predicted": ["yes" if c == "1" else "no" for c in run]})
        for run in runs
    ]


def tagged(*predicted: list[str], label: list[str]) -> list[pd.DataFrame]:
    """One run per list of sentences, such as BO: a token that is an entity, and one that is not."""
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
    assert found == compare_predictions([first], [second], "labeling")


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
    counts = {name: counts_of_runs(runs, "classification") for name, runs in models.items()}
    found = compare_all(counts, "classification")
    assert list(found) == [("gru", "fcnn"), ("gru", "lstm"), ("fcnn", "lstm")]
    for (first, second), comparison in found.items():
        assert comparison == compare_predictions(models[first], models[second], "classification")


def test_a_single_run_of_a_model_that_no_seed_changes_is_not_taken_to_vary() -> None:
    generator = np.random.default_rng(0)
    several = ["".join("1" if right else "0" for right in generator.random(500) < skill) for skill in (0.7, 0.74, 0.72)]
    network, baseline = (
        counts_of_runs(classified(*runs), "classification") for runs in (several, ["110" * 166 + "11"])
    )
    models = {"network": network, "baseline": baseline}
    (varying,) = compare_all(models, "classification").values()
    (steady,) = compare_all(models, "classification", deterministic={"baseline"}).values()
    (repeated,) = compare_all(models | {"baseline": baseline.repeat(3, axis=0)}, "classification").values()
    assert steady.p_value == pytest.approx(repeated.p_value)
    assert steady.standard_error < varying.standard_error
    alone = {"one": network[:1], "baseline": baseline}  # one run each is about these two
    assert compare_all(alone, "classification", deterministic={"baseline"}) == compare_all(alone, "classification")


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


@pytest.mark.parametrize("folder", ["classification_runs", "labeling_runs", "multilabel_runs"])
def test_a_pair_is_compared_on_the_predictions_of_all_seeds(folder: str, request: pytest.FixtureRequest) -> None:
    runs = read_runs(request.getfixturevalue(folder))
    (pair,) = compare_pairs(runs, ["gru", "elman"], level=0.1).itertuples()
    seeds = [[run.predictions for run in runs if run.model == model] for model in ("gru", "elman")]
    expected = compare_predictions(*seeds, runs[0].task, level=0.1)
    assert (pair.first, pair.second) == ("gru", "elman")
    for name in ("first_score", "second_score", "difference", "low", "high", "p_value"):
        assert getattr(pair, name) == getattr(expected, name)
    assert pair.adjusted_p == pair.p_value  # of a single pair


def test_one_model_has_no_pairs(classification_runs: Path) -> None:
    pairs = compare_pairs(read_runs(classification_runs, ["gru"]), ["gru"], level=0.05)
    assert pairs.empty
    assert "adjusted_p" in pairs


def test_p_values_are_adjusted_over_all_pairs(classification_runs: Path) -> None:
    runs = read_runs(classification_runs)
    runs += [replace(run, model="copy") for run in runs if run.model == "elman"]
    pairs = compare_pairs(runs, ["gru", "elman", "copy"], level=0.05).set_index(["first", "second"])
    assert pairs["p_value"].nunique() == 2
    smallest = pairs["p_value"].min()
    assert pairs.loc[("gru", "elman"), "adjusted_p"] == pytest.approx(3 * smallest)
    assert pairs.loc[("elman", "copy"), ["difference", "adjusted_p"]].tolist() == [0, 1]
    assert pairs["significant"].tolist() == (pairs["adjusted_p"] < 0.05).tolist()


def test_the_conclusion_divides_the_others_into_worse_similar_and_better() -> None:
    pairs = pd.DataFrame(
        [("a", "b", 0.1, True), ("a", "c", 0.0, False), ("b", "c", -0.2, True)],
        columns=["first", "second", "difference", "significant"],
    )
    assert conclusion(pairs, "a") == "a is significantly better than b; it is not significantly different from c."
    assert conclusion(pairs, "b") == "b is significantly worse than a and c."
    assert conclusion(pairs, "c") == "c is significantly better than b; it is not significantly different from a."


def test_the_conclusion_names_whom_a_model_beats_and_whom_it_does_not() -> None:
    pairs = pd.DataFrame(
        [("a", "b", 0.1, True), ("a", "c", 0.2, True), ("a", "d", 0.0, False), ("a", "e", -0.1, True)],
        columns=["first", "second", "difference", "significant"],
    )
    assert conclusion(pairs, "a") == (
        "a is significantly better than b and c; it is not significantly different from d; "
        "it is significantly worse than e."
    )
    assert conclusion(pairs, "d") == "d is not significantly different from a."


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_words_are_enumerated(words: list[str], text: str) -> None:
    assert enumerate_words(words) == text
