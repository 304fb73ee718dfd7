"""User-defined datasets as described in docs/data.md, with one YAML file each."""

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.data.raw import words_of
from unroll.config import source_of
from unroll.data.download.download import download
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import SPLITS

PAIR = """
task: classification
path: DATA/answers.jsonl
columns: {text: question, text_pair: answer, label: fits}
splits: {train: train, validation: null, test: null}
"""


def prepared(folder: Path, declaration: str, **options: Any) -> PreparedData:
    source = source_of(OmegaConf.create({"dataset": OmegaConf.create(declaration.replace("DATA", str(folder)))}))
    download(source, folder / "raw")
    prepare(source, folder / "raw", folder / "prepared", PrepareOptions(**options))
    return PreparedData(folder / "prepared")


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_people(folder: Path, row: dict[str, Any]) -> None:
    """The same sentence, three times in each split."""
    for split in SPLITS:
        write_lines(folder / "people" / f"{split}.jsonl", [row] * 3)


def entity_tags(data: PreparedData, split: str) -> list[list[str]]:
    encoded = data.split(split)
    return [
        [data.label_names[tag] for tag in encoded.labels[a:b]]
        for a, b in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)
    ]


def test_lists_in_cells_of_a_csv_file_are_json(tmp_path: Path) -> None:
    spans = '"[[0, 3, ""PER""], {""start"": 11, ""end"": 15, ""label"": ""LOC""}]"'
    (tmp_path / "people.csv").write_text(
        "text,tokens,topics,spans\n" + f'Ada was in Lima,"[""Ada"", ""!""]","[1]",{spans}\n' * 8
    )
    head = "path: DATA/people.csv\nsplits: {train: train, validation: null, test: null}\n"
    spanned = prepared(tmp_path, head + "task: labeling\ncolumns: {text: text, spans: spans}")
    assert entity_tags(spanned, "test") == [["B-PER", "O", "O", "B-LOC"]]
    topics = prepared(
        tmp_path / "b",
        head.replace("DATA", str(tmp_path)) + "task: multilabel\ncolumns: {tokens: tokens, labels: topics}",
    )
    assert (topics.label_names, topics.split("test").labels.tolist()) == (["1"], [[True]])
    assert words_of(topics, "test") == [["ada", "!"]]


def test_whole_numbers_with_a_point_are_numbers_of_labels(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "bad,1.0\ngood,10.0\n" * 8)
    declaration = "task: classification\npath: DATA/a.csv\ncolumns: {text: text, label: label}\n"
    data = prepared(tmp_path, declaration + "splits: {train: train, validation: null, test: null}")
    assert data.label_names == ["1", "10"]


def test_types_of_questions_without_a_validation_split(tmp_path: Path) -> None:
    kinds = ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"]
    for split, count in (("train", 120), ("test", 12)):
        rows = [{"question": f"What is {split} thing {i}?", "kind": kinds[i % 6]} for i in range(count)]
        write_lines(tmp_path / "questions" / f"{split}.jsonl", rows)
    data = prepared(
        tmp_path,
        """
        task: classification
        path: DATA/questions
        columns: {text: question, label: kind}
        splits: {train: train, validation: null, test: test}
        """,
    )
    assert data.label_names == kinds
    assert {split: len(data.split(split)) for split in ("train", "validation", "test")} == {
        "train": 108, "validation": 12, "test": 12
    }  # fmt: skip


def test_a_csv_file_with_labels_as_text(tmp_path: Path) -> None:
    lines = [f'{"fine" if i % 2 else "poor"},"It was, in short, visit {i}."' for i in range(60)]
    (tmp_path / "visits.csv").write_text("\n".join(["verdict,body", *lines]) + "\n")
    data = prepared(
        tmp_path,
        """
        task: classification
        path: DATA/visits.csv
        columns: {text: body, label: verdict}
        splits: {train: train, validation: null, test: null}
        """,
        test_fraction=0.2,
    )
    assert data.label_names == ["fine", "poor"]
    assert [len(data.split(split)) for split in ("train", "validation", "test")] == [43, 5, 12]
    assert sorted(i for split in ("train", "validation", "test") for i in data.split(split).rows) == list(range(60))


def test_json_lines_with_any_number_of_labels(tmp_path: Path) -> None:
    rows = [
        {"body": f"note {i}", "tags": [tag for n, tag in ((2, "even"), (3, "third")) if i % n == 0]} for i in range(40)
    ]
    for part in range(2):
        write_lines(tmp_path / "notes" / f"part-{part}.jsonl", rows[20 * part : 20 * part + 20])
    data = prepared(
        tmp_path,
        """
        task: multilabel
        path: DATA/notes/part-*.jsonl
        columns: {text: body, labels: tags}
        splits: {train: train, validation: null, test: null}
        """,
    )
    assert data.label_names == ["even", "third"]
    labels = {int(row): label for s in ("train", "validation", "test") for row, label in rows_and_labels(data, s)}
    assert labels == {i: (i % 2 == 0, i % 3 == 0) for i in range(40)}


def rows_and_labels(data: PreparedData, split: str) -> list[tuple[int, tuple[bool, ...]]]:
    encoded = data.split(split)
    return [(row, tuple(map(bool, given))) for row, given in zip(encoded.rows, encoded.labels, strict=True)]


def test_column_files_whose_entities_begin_with_i(tmp_path: Path) -> None:
    folder = tmp_path / "newswire"
    folder.mkdir()
    document = ["-DOCSTART- -X- O", ""]
    sentences = ["Ada NNP I-PER", "Lovelace NNP I-PER", "met VBD O", "", "In IN O", "Rio NNP I-LOC", "Oslo NNP B-LOC"]
    for name in ("a.train", "b.train", "c.test"):
        (folder / name).write_text("\n".join(document + sentences) + "\n")
    data = prepared(
        tmp_path,
        """
        task: labeling
        path: DATA/newswire
        format: conll
        columns: {tokens: "0", labels: "2"}
        splits: {train: "*.train", validation: c.test, test: c.test}
        tag_scheme: iob1
        """,
    )
    assert len(data.split("train")) == 4
    assert entity_tags(data, "test") == [["B-PER", "I-PER", "O"], ["O", "B-LOC", "B-LOC"]]


def test_tags_with_ends_and_singles(tmp_path: Path) -> None:
    row = {"words": ["Ada", "Lovelace", "met", "Mary"], "tags": ["B-PER", "E-PER", "O", "S-PER"]}
    write_people(tmp_path, row)
    data = prepared(
        tmp_path,
        """
        task: labeling
        path: DATA/people
        columns: {tokens: words, labels: tags}
        tag_scheme: bioes
        """,
    )
    assert entity_tags(data, "train") == [["B-PER", "I-PER", "O", "B-PER"]] * 3


def test_entities_as_characters_of_the_text(tmp_path: Path) -> None:
    row = {"text": "We met Ada Lovelace.", "entities": [{"start": 7, "end": 19, "label": "PER"}]}
    write_people(tmp_path, row)
    data = prepared(
        tmp_path,
        """
        task: labeling
        path: DATA/people
        columns: {text: text, spans: entities}
        """,
    )
    assert entity_tags(data, "test") == [["O", "O", "B-PER", "I-PER", "O"]] * 3


def test_pairs_of_texts(tmp_path: Path) -> None:
    rows = [{"question": f"Why {i}?", "answer": f"Since {i}", "fits": i % 2 == 0} for i in range(30)]
    write_lines(tmp_path / "answers.jsonl", rows)
    data = prepared(tmp_path, PAIR)
    assert data.schema.is_pair
    words = words_of(data, "train")[0]
    assert (words[0], words[2:5], len(words)) == ("why", ["?", "<sep>", "since"], 6)
    with pytest.raises(ValueError, match="too_long=split: a pair of texts cannot be split; accepted: truncate"):
        prepared(tmp_path, PAIR, max_length=3, too_long="split")
