from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
import torch
from seqeval.metrics import f1_score
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import MultiLabelBinarizer

from tests.tiny import forget_checksums, prepare_tiny, random_model, save_random_model
from unroll.data.batches import collate
from unroll.data.predictions import Prediction
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.tokens import Task
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.files import read_json, write_json
from unroll.inference.trained_model import TrainedModel

OPTIONS = EvaluateOptions(batch_size=8, threads=1, device="cpu")
FILES = {"metrics.json", "classes.csv", "confusion.csv", "predictions.parquet", "throughput.json"}

CASES: dict[str, tuple[Task, str]] = {
    "texts": ("classification", "gru"),
    "texts of many labels": ("multilabel", "gru"),
    "tokens": ("labeling", "gru"),
    "tokens by a CRF": ("labeling", "bilstm_char_crf"),
}
each_case = pytest.mark.parametrize("run", CASES, indirect=True)


class Run(NamedTuple):
    data: PreparedData
    folder: Path


@pytest.fixture(scope="module")
def runs(prepared: dict[Task, PreparedData], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Each case's run folder after an evaluation of an untrained network."""
    found = {case: Run(prepared[task], tmp_path_factory.mktemp(task)) for case, (task, _) in CASES.items()}
    for case, (data, folder) in found.items():
        save_random_model(data, folder / "model", CASES[case][1])
        evaluate(data, folder, OPTIONS)
    return found


@pytest.fixture
def run(request: pytest.FixtureRequest, runs: dict[str, Run]) -> Run:
    return runs[request.param]


def predictions(run: Run) -> pd.DataFrame:
    return pd.read_parquet(run.folder / "predictions.parquet")


def metrics(run: Run) -> dict[str, float]:
    return read_json(run.folder / "metrics.json")


def gold(data: PreparedData) -> list[Any]:
    """The gold label names of the test split: one per text, or a list per text or sentence."""
    split = data.split("test")
    if data.task == "multilabel":
        return [[name for name, given in zip(data.label_names, row, strict=True) if given] for row in split.labels]
    names = [data.label_names[i] for i in split.labels]
    return names if data.task == "classification" else [names[a:b] for a, b in pairwise(split.offsets)]


@each_case
def test_it_writes_what_the_comparison_reads(run: Run) -> None:
    assert {file.name for file in run.folder.iterdir()} == {"model", *FILES}


@each_case
def test_predictions_are_a_row_for_each_test_sequence_in_order(run: Run) -> None:
    table, split = predictions(run), run.data.split("test")
    assert table["row"].tolist() == split.rows.tolist()
    assert table["length"].tolist() == split.lengths.tolist()
    labels = [value if run.data.task == "classification" else list(value) for value in table["label"]]
    assert labels == gold(run.data)


@each_case
def test_predictions_probabilities_and_loss_are_the_network_s_one_sequence_at_a_time(run: Run) -> None:
    """The probabilities of a text are all labels', those of a token the predicted label's own."""
    data, model, table = run.data, TrainedModel.load(run.folder / "model").model, predictions(run)
    split = data.split("test")
    losses = []
    for i, (start, end) in enumerate(pairwise(split.offsets)):
        tokens, labels, _ = collate(split, np.array([i]), characters=True)
        with torch.inference_mode():
            scores = model(tokens).double()
            best = model.head.decode(scores, tokens.lengths)[0]  # () or (T,)
            probabilities = model.head.probabilities(scores, tokens.lengths)[0]  # (L,) or (T, L)
        if data.task == "multilabel":
            likelihoods = torch.where(labels[0], probabilities, 1 - probabilities)  # (L,)
            assert table["predicted"][i].tolist() == [data.label_names[label] for label in best.nonzero()]
            expected = probabilities
        else:
            likelihoods = probabilities.gather(-1, labels[0, ..., None])  # (1,) or (T, 1)
            predicted = np.array(data.label_names)[best]
            assert np.array_equal(table["predicted"][i], predicted)
            expected = probabilities if data.task == "classification" else probabilities[range(end - start), best]
        losses += (-likelihoods.log()).flatten().tolist()
        assert table["probabilities"][i] == pytest.approx(expected.tolist(), abs=1e-5)
    assert metrics(run)["test/loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-4)


def test_what_a_crf_predicts_is_iob2_and_need_not_be_the_likeliest_label(runs: dict[str, Run]) -> None:
    run = runs["tokens by a CRF"]
    for tags in predictions(run)["predicted"]:
        for before, tag in pairwise(["O", *tags]):
            assert not tag.startswith("I-") or before[2:] == tag[2:]
    assert np.concatenate(predictions(run)["probabilities"]).min() < 1 / len(run.data.label_names)


def test_the_accuracy_of_texts_is_scikit_learn_s(runs: dict[str, Run]) -> None:
    table = predictions(runs["texts"])
    accuracy = metrics(runs["texts"])["test/accuracy"]
    assert accuracy == pytest.approx(accuracy_score(table["label"], table["predicted"]))


def test_the_f1_of_label_sets_is_scikit_learn_s(runs: dict[str, Run]) -> None:
    run = runs["texts of many labels"]
    names, table = MultiLabelBinarizer(classes=run.data.label_names), predictions(run)
    gold, predicted = (names.fit_transform(table[side]) for side in ("label", "predicted"))
    expected = sklearn.metrics.f1_score(gold, predicted, average="micro")
    assert 0 < expected < 1
    assert metrics(run)["test/f1"] == pytest.approx(expected)
    classes = pd.read_csv(run.folder / "classes.csv")
    assert (
        classes["support"].tolist() == gold.sum(axis=0).tolist() == run.data.split("test").labels.sum(axis=0).tolist()
    )


def test_where_no_label_is_ever_predicted_the_lists_are_empty(topics: PreparedData, tmp_path: Path) -> None:
    trained = random_model(topics, "gru")
    with torch.no_grad():
        trained.model.head.output.weight.zero_()
        trained.model.head.output.bias.fill_(-1)
    trained.save(tmp_path / "model")
    found = evaluate(topics, tmp_path, OPTIONS)
    assert [list(row) for row in pd.read_parquet(tmp_path / "predictions.parquet")["predicted"]] == [[]] * 18
    assert (found["test/f1"], found["test/macro_f1"]) == (0, 0)


@pytest.mark.parametrize("run", ["tokens", "tokens by a CRF"], indirect=True)
def test_the_f1_of_entities_is_seqeval_s(run: Run) -> None:
    table = predictions(run)
    expected = f1_score([list(tags) for tags in table["label"]], [list(tags) for tags in table["predicted"]])
    assert metrics(run)["test/f1"] == pytest.approx(expected)


@each_case
def test_the_figures_are_returned_and_written(run: Run) -> None:
    assert evaluate(run.data, run.folder, OPTIONS) == metrics(run)


@each_case
def test_speed_is_in_tokens_of_the_test_split(run: Run) -> None:
    speed = read_json(run.folder / "throughput.json")
    assert speed["tokens"] == len(run.data.split("test").tokens)
    assert speed["tokens_per_second"] == pytest.approx(speed["tokens"] / speed["seconds"])
    assert speed["batch_size"] == OPTIONS.batch_size
    assert speed["device"] == "cpu"


def test_a_few_batches_are_read_before_the_clock_starts(
    reviews: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    predict = TrainedModel.predict

    def recorded(model: TrainedModel, split: EncodedSplit, batch_size: int) -> list[Prediction]:
        read.append(len(split))
        return predict(model, split, batch_size)

    monkeypatch.setattr(TrainedModel, "predict", recorded)
    save_random_model(reviews, tmp_path / "model")
    evaluate(reviews, tmp_path, EvaluateOptions(batch_size=2, threads=1))
    assert read == [6, len(reviews.split("test"))]


@each_case
def test_a_second_evaluation_writes_the_same_bytes(run: Run) -> None:
    def contents() -> dict[str, bytes]:
        return {name: (run.folder / name).read_bytes() for name in FILES - {"throughput.json"}}

    before = contents()
    evaluate(run.data, run.folder, OPTIONS)
    assert contents() == before


def test_files_are_replaced_and_never_written_in_place(reviews: PreparedData, tmp_path: Path) -> None:
    """A hard link, as DVC's cache may be one, keeps the old content."""
    save_random_model(reviews, tmp_path / "model")
    evaluate(reviews, tmp_path, OPTIONS)
    (tmp_path / "cache").mkdir()
    for name in FILES:
        (tmp_path / name).write_text("old")
        (tmp_path / "cache" / name).hardlink_to(tmp_path / name)
    evaluate(reviews, tmp_path, OPTIONS)
    for name in FILES:
        assert (tmp_path / "cache" / name).read_text() == "old" != (tmp_path / name).read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {"model", "cache", *FILES}


@each_case
def test_scores_do_not_depend_on_the_batch_size(run: Run) -> None:
    alone, together = (evaluate(run.data, run.folder, EvaluateOptions(size, threads=1)) for size in (1, 64))
    assert alone == pytest.approx(together, abs=1e-5)
    evaluate(run.data, run.folder, OPTIONS)


def test_without_a_trained_model_is_an_error(reviews: PreparedData, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no trained model in .*; train one with python pipelines/train\.py"):
        evaluate(reviews, tmp_path, OPTIONS)


def test_the_command_for_a_missing_model_has_its_dataset_and_its_name(reviews: PreparedData, tmp_path: Path) -> None:
    said = r"train one with python pipelines/train\.py dataset=tickets model=gru seed=2$"
    with pytest.raises(ValueError, match=said):
        evaluate(reviews, tmp_path / "models/tickets/gru/2", OPTIONS)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("config.json", lambda config: config | {"label_names": ["down", "up"]}, "has labels ['down', 'up']"),
        ("vocabulary.json", lambda words: [*words[:2], *reversed(words[2:])], "another vocabulary"),
        ("alphabet.json", lambda letters: [*letters[:2], *reversed(letters[2:])], "another alphabet"),
    ],
)
def test_a_model_of_other_data_is_an_error_and_nothing_is_written(
    reviews: PreparedData, tmp_path: Path, file: str, change: Callable[[Any], Any], said: str
) -> None:
    path = save_random_model(reviews, tmp_path / "model") / file
    forget_checksums(path.parent)
    write_json(path, change(read_json(path)))
    with pytest.raises(ValueError) as error:
        evaluate(reviews, tmp_path, OPTIONS)
    assert said in str(error.value)
    assert str(reviews.folder) in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_a_model_that_knows_more_words_reads_them_in_the_test_split(tmp_path: Path) -> None:
    """Words outside the vocabulary of the data, which pretrained weights have added to that of the model."""
    data = prepare_tiny("classification", tmp_path, min_count=30)
    joined = data.joined(["bad", "good", "not"])
    run = Run(data, tmp_path / "run")
    network = TrainedModel.load(save_random_model(joined, run.folder / "model"))
    evaluate(data, run.folder, OPTIONS)
    expected = [it.probabilities for it in network.predict(joined.split("test"), 8)]
    unread = [it.probabilities for it in network.predict(data.split("test"), 8)]
    found = np.stack(predictions(run)["probabilities"].to_list())
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not np.allclose(found, unread)


@pytest.mark.parametrize("option", ["batch_size", "threads"])
def test_an_option_out_of_range_is_named(option: str) -> None:
    with pytest.raises(ValueError, match=f"^{option}=0; accepted: 1 or more"):
        EvaluateOptions(**{"batch_size": 1, "threads": 1, option: 0})


def test_another_device_is_refused_before_a_file_is_written() -> None:
    with pytest.raises(ValueError, match=r"^device='tpu'; accepted: auto, cpu, cuda, mps$"):
        EvaluateOptions(8, 1, "tpu")
