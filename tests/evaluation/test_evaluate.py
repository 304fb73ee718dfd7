from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from seqeval.metrics import f1_score
from sklearn.metrics import accuracy_score

from unroll.data.prepared import PreparedData
from unroll.data.source import Task
from unroll.evaluation.evaluate import EvaluateOptions, evaluate
from unroll.files import read_json, write_json
from unroll.training.model_folder import ModelFolder

OPTIONS = EvaluateOptions(batch_size=8, threads=1)
FILES = {"metrics.json", "classes.csv", "confusion.csv", "predictions.parquet", "throughput.json"}

both = pytest.mark.parametrize("task", ["classification", "labeling"])


@pytest.fixture(scope="module")
def runs(
    save_model: Callable[..., Path], prepared: dict[Task, PreparedData], tmp_path_factory: pytest.TempPathFactory
) -> dict[Task, Path]:
    """Each task's run folder after an evaluation of an untrained network."""
    folders = {task: tmp_path_factory.mktemp(task) for task in prepared}
    for task, folder in folders.items():
        save_model(task, folder / "model")
        evaluate(prepared[task], folder, OPTIONS)
    return folders


def predictions(run: Path) -> pd.DataFrame:
    return pd.read_parquet(run / "predictions.parquet")


def gold(data: PreparedData) -> list[Any]:
    """The test split's label names: one a text, or a list a sentence."""
    split = data.split("test")
    names = [data.label_names[i] for i in split.labels]
    return (
        names
        if data.task == "classification"
        else [names[a:b] for a, b in zip(split.offsets, split.offsets[1:], strict=False)]
    )


@both
def test_it_writes_what_the_comparison_reads(runs: dict[Task, Path], task: Task) -> None:
    assert {file.name for file in runs[task].iterdir()} == {"model", *FILES}


@both
def test_predictions_are_a_row_for_each_test_sequence_in_order(
    runs: dict[Task, Path], prepared: dict[Task, PreparedData], task: Task
) -> None:
    table, data = predictions(runs[task]), prepared[task]
    assert table["row"].tolist() == data.split("test").rows.tolist()
    assert table["length"].tolist() == data.split("test").lengths.tolist()
    labels = [list(value) if task == "labeling" else value for value in table["label"]]
    assert labels == gold(data)


@both
def test_probabilities_and_loss_are_the_network_s_one_sequence_at_a_time(
    runs: dict[Task, Path], prepared: dict[Task, PreparedData], task: Task
) -> None:
    data, model = prepared[task], ModelFolder.load(runs[task] / "model").model
    split, table = data.split("test"), predictions(runs[task])
    losses = []
    for i, (start, end) in enumerate(zip(split.offsets, split.offsets[1:], strict=False)):
        words, casing = (torch.tensor(array[start:end].astype(int))[None] for array in (split.words, split.casing))
        with torch.inference_mode():
            logits = model(words, casing, torch.tensor([end - start]))[0].double()  # (L,) or (T, L)
        targets = torch.tensor(split.labels[i] if task == "classification" else split.labels[start:end])
        losses += torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), reduction="none"
        ).tolist()
        expected = logits.softmax(-1) if task == "classification" else logits.softmax(-1).max(-1).values
        assert table["probabilities"][i] == pytest.approx(expected.tolist(), abs=1e-6)
        best = logits.argmax(-1).reshape(-1).tolist()
        predicted = [table["predicted"][i]] if task == "classification" else list(table["predicted"][i])
        assert predicted == [data.label_names[label] for label in best]
    assert read_json(runs[task] / "metrics.json")["test/loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-6)


def test_the_accuracy_of_texts_is_scikit_learn_s(runs: dict[Task, Path]) -> None:
    table = predictions(runs["classification"])
    accuracy = read_json(runs["classification"] / "metrics.json")["test/accuracy"]
    assert accuracy == pytest.approx(accuracy_score(table["label"], table["predicted"]))


def test_the_f1_of_entities_is_seqeval_s(runs: dict[Task, Path]) -> None:
    table = predictions(runs["labeling"])
    expected = f1_score([list(tags) for tags in table["label"]], [list(tags) for tags in table["predicted"]])
    assert read_json(runs["labeling"] / "metrics.json")["test/f1"] == pytest.approx(expected)


@both
def test_the_figures_are_returned_and_written(
    runs: dict[Task, Path], prepared: dict[Task, PreparedData], task: Task
) -> None:
    metrics = evaluate(prepared[task], runs[task], OPTIONS)
    assert metrics == read_json(runs[task] / "metrics.json")


@both
def test_speed_is_in_tokens_of_the_test_split(
    runs: dict[Task, Path], prepared: dict[Task, PreparedData], task: Task
) -> None:
    speed = read_json(runs[task] / "throughput.json")
    assert speed["tokens"] == len(prepared[task].split("test").words)
    assert speed["tokens_per_second"] == pytest.approx(speed["tokens"] / speed["seconds"])
    assert speed["batch_size"] == OPTIONS.batch_size


@both
def test_a_second_evaluation_writes_the_same_bytes(
    runs: dict[Task, Path], prepared: dict[Task, PreparedData], task: Task
) -> None:
    def contents() -> dict[str, bytes]:
        return {name: (runs[task] / name).read_bytes() for name in FILES - {"throughput.json"}}

    before = contents()
    evaluate(prepared[task], runs[task], OPTIONS)
    assert contents() == before


@both
def test_scores_do_not_depend_on_the_batch_size(
    runs: dict[Task, Path], prepared: dict[Task, PreparedData], task: Task
) -> None:
    alone, together = (evaluate(prepared[task], runs[task], EvaluateOptions(size, threads=1)) for size in (1, 64))
    assert alone == pytest.approx(together, abs=1e-6)
    evaluate(prepared[task], runs[task], OPTIONS)


def test_without_a_trained_model_is_an_error(prepared: dict[Task, PreparedData], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no trained model; train one with python pipelines/train\.py"):
        evaluate(prepared["classification"], tmp_path, OPTIONS)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("config.json", lambda config: config | {"label_names": ["down", "up"]}, "has labels ['down', 'up']"),
        ("vocabulary.json", lambda words: [*words[:2], *reversed(words[2:])], "another vocabulary"),
    ],
)
def test_a_model_of_other_data_is_an_error_and_nothing_is_written(
    save_model: Callable[..., Path],
    prepared: dict[Task, PreparedData],
    tmp_path: Path,
    file: str,
    change: Callable[[Any], Any],
    said: str,
) -> None:
    path = save_model("classification", tmp_path / "model") / file
    write_json(path, change(read_json(path)))
    with pytest.raises(ValueError) as error:
        evaluate(prepared["classification"], tmp_path, OPTIONS)
    assert said in str(error.value)
    assert str(prepared["classification"].folder) in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("option", ["batch_size", "threads"])
def test_an_option_out_of_range_is_named(option: str) -> None:
    with pytest.raises(ValueError, match=f"^{option}=0; accepted: 1 or more"):
        EvaluateOptions(**{"batch_size": 1, "threads": 1, option: 0})
