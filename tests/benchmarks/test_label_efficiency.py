"""The table, the tests and the picture of `python -m benchmarks.label_efficiency`."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import label_efficiency
from benchmarks.corpora import Corpora
from benchmarks.shipped import training

WORDS = {0: ["dull", "awful", "bad"], 1: ["fine", "great", "good"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A made-up dataset with the columns of rotten_tomatoes, whose labels one word decides."""
    data = tmp_path / "public" / "rotten_tomatoes" / "data"
    data.mkdir(parents=True)
    label = pa.array([0, 1] * 40)
    for split in ("train", "validation", "test"):
        texts = [f"{split} {i} is {WORDS[i % 2][i % 3]}" for i in range(80)]
        pq.write_table(pa.table({"text": texts, "label": label}), data / f"{split}-00000-of-00001.parquet")
    return tmp_path / "public"


def test_a_part_has_that_many_labels_and_the_whole_test_split(folder: Path, tmp_path: Path) -> None:
    corpora = Corpora(folder, tmp_path / "work")
    parts = [corpora.part("rotten_tomatoes", 20, seed) for seed in (1, 2)]
    for part in parts:
        assert [part.description["splits"][it]["rows"] for it in ("train", "validation", "test")] == [20, 20, 80]
    assert parts[0].schema.vocabulary != parts[1].schema.vocabulary


def test_systems_are_tested_against_the_first_and_drawn(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(label_efficiency, "ProcessPoolExecutor", lambda *arguments: ThreadPoolExecutor(1))
    systems = ["--system", "guess: model=majority", "--system", "words: model=tfidf model.min_count=1"]
    picture = tmp_path / "picture.png"
    label_efficiency.main([str(folder), *systems, "--labels", "40", "99999", "--seeds", "2", "--picture", str(picture)])
    table = capsys.readouterr().out
    assert "| system | 40 | 80 |" in table
    assert "| guess: `model=majority` | 50.00 ± 0.00 | 50.00 ± 0.00 |" in table
    assert table.count("(+50.00*)") == 2
    assert picture.stat().st_size > 10_000


def test_entities_are_tested_as_entities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(label_efficiency, "ProcessPoolExecutor", lambda *arguments: ThreadPoolExecutor(1))
    folder = tmp_path / "public" / "conll2003"
    folder.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        tokens = [[split, str(i), "saw", f"{split}ton"] for i in range(40)]
        tags = pa.array([["O", "O", "O", "B-PER"]] * 40)
        pq.write_table(pa.table({"tokens": tokens, "ner_tags": tags}), folder / f"{split}-00000-of-00001.parquet")
    systems = ["--system", "guess: model=majority", "--system", "crf: model=crfsuite"]
    arguments = ["--dataset", "conll2003", *systems, "--labels", "30", "--seeds", "2"]
    label_efficiency.main([str(tmp_path / "public"), *arguments])
    table = capsys.readouterr().out
    assert "test/f1 of conll2003" in table
    assert "| crf: `model=crfsuite` | 100.00 ± 0.00 (+100.00*) |" in table


def test_a_system_needs_a_name() -> None:
    with pytest.raises(SystemExit):
        label_efficiency.main(["folder", "--system", "model=gru"])


def test_all_options_of_a_training_are_its_own() -> None:
    parts, _ = training("rotten_tomatoes", ["model=gru", "finetune=discriminative", "trainer.max_steps=7"])
    assert parts["finetune"]["layer_decay"] == 2.6
    assert parts["trainer"]["max_steps"] == 7
