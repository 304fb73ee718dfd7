"""The draws that `python -m benchmarks.small_data` trains on, and its lines."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import small_data
from benchmarks.corpora import Corpora, MissingCorpus
from benchmarks.scores import Result
from benchmarks.shipped import training
from unroll.data.prepared import PreparedData

ROWS = {"train": 60, "validation": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of two datasets without a test split, one of them without a validation split; each text is one word."""
    folder = tmp_path_factory.mktemp("public")
    for name, splits in {"rotten_tomatoes": ["train", "validation"], "imdb": ["train"]}.items():
        (folder / name / "data").mkdir(parents=True)
        for split in splits:
            labels = [("neg", "pos")[i % 2] for i in range(ROWS[split])]
            table = pa.table({"text": [f"{split}{i}" for i in range(ROWS[split])], "label": labels})
            pq.write_table(table, folder / name / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def texts(data: PreparedData, split: str) -> list[str]:
    """The texts that a split was drawn from, by the rows of the raw one."""
    raw = pq.read_table(data.folder.parent / "raw" / f"{split}.parquet")["text"].to_pylist()
    return [raw[row] for row in data.split(split).rows]


def test_draws_differ_in_their_training_rows_and_share_the_validation_rows(folder: Path, tmp_path: Path) -> None:
    draws = small_data.Draws(Corpora(folder, tmp_path), None)
    first, second = (draws.prepared("rotten_tomatoes 10", draw, False) for draw in (1, 2))
    assert len(set(texts(first, "train"))) == len(set(texts(second, "train"))) == 10
    assert set(texts(first, "train")) != set(texts(second, "train"))
    assert texts(first, "validation") == texts(second, "validation") == [f"validation{i}" for i in range(20)]


def test_a_larger_draw_contains_the_smaller_one_and_all_rows_are_one_draw(folder: Path, tmp_path: Path) -> None:
    draws = small_data.Draws(Corpora(folder, tmp_path), None)
    few, more = (set(texts(draws.prepared(f"rotten_tomatoes {rows}", 1, False), "train")) for rows in (10, 30))
    assert few < more
    everything = [draws.prepared("rotten_tomatoes all", draw, False) for draw in (1, 2)]
    assert everything[0].folder == everything[1].folder
    assert len(texts(everything[0], "train")) == 60


def test_without_a_validation_split_rows_of_train_are_set_aside(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_data, "VALIDATION_ROWS", 25)
    draws = small_data.Draws(Corpora(folder, tmp_path), None)
    found = [draws.prepared("imdb 30", draw, False) for draw in (1, 2)]
    validation = set(texts(found[0], "validation"))
    assert len(validation) == 25 and validation == set(texts(found[1], "validation"))
    assert all(len(texts(it, "train")) == 30 and not validation & set(texts(it, "train")) for it in found)


def test_lines_with_vectors_are_prepared_with_their_words(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text("unseen 1 2\n")
    draws = small_data.Draws(Corpora(folder, tmp_path), tmp_path / "glove.txt")
    sizes = [len(draws.prepared("rotten_tomatoes 10", 1, it).schema.vocabulary) for it in (False, True)]
    assert np.diff(sizes) == [1]


def test_a_missing_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingCorpus, match=f"no folder {tmp_path}/conll2003; accepted: a copy"):
        small_data.Draws(Corpora(tmp_path, tmp_path), None).prepared("conll2003 1000", 1, False)


@pytest.mark.parametrize("entry", [entry for group in small_data.GROUPS.values() for entry in group])
def test_every_line_composes_on_its_datasets(entry: small_data.Entry, tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text("unseen 1 2\n")
    for column in entry.columns:
        training(column.split()[0], entry.overrides.replace("FILE", str(tmp_path / "glove.txt")).split())


def test_a_baseline_of_all_rows_is_trained_once_and_a_network_with_each_seed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, ...]] = []

    def score(data: PreparedData, dataset: str, overrides: list[str]) -> Result:
        trained.append(tuple(overrides))
        return Result(len(trained) / 10, 2.0)

    monkeypatch.setattr(small_data, "trained", score)
    columns = ["rotten_tomatoes 10", "rotten_tomatoes all"]
    entries = [small_data.Entry("model=tfidf", tuple(columns)), small_data.Entry("model=gru", tuple(columns[1:]))]
    found = list(small_data.lines(entries, columns, small_data.Draws(Corpora(folder, tmp_path), None), 2))
    assert [seed for _, seed in trained] == ["seed=1", "seed=2", "seed=1", "seed=1", "seed=2"]
    assert found == [
        "| model=tfidf | 15.00 ± 7.07 (2 s) | 30.00 (2 s) |",
        "| model=gru |  | 45.00 ± 7.07 (2 s) |",
    ]
