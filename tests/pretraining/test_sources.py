"""Where unlabelled text comes from."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unroll.data.download import hub
from unroll.data.download.download import download
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import COLUMNS, Source
from unroll.files import sha256
from unroll.pretraining import sources
from unroll.pretraining.sources import Dataset, Document, TextSource

TEXTS = ["So good.", "bad\nfilm", "naïve"]


def read(source: TextSource, cache: Path) -> list[Document]:
    cache.mkdir(exist_ok=True)
    return joined(source.documents("corpus.sources.a", str(cache)))


def joined(batches: Iterable[list[Document]]) -> list[Document]:
    return [it for batch in batches for it in batch]


def write_file(folder: Path, kind: str) -> str:
    import json

    path, rows = folder / f"texts{kind}", [{"text": text, "other": 1} for text in TEXTS]
    if kind == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == ".csv":
        path.write_text("text,other\n" + "".join(f'"{text}",1\n' for text in TEXTS))
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


@pytest.mark.parametrize("kind", [".parquet", ".csv", ".jsonl"])
def test_a_file_a_glob_and_a_folder_of_each_kind(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = write_file(folder, kind)
    for path in (file, f"{folder}/*{kind}", str(folder)):
        assert read(TextSource(path=path), tmp_path / "cache") == TEXTS


def test_text_files_have_a_text_on_each_line(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "b.txt").write_text("one text\n\n  \nanother\r\n")
    (folder / "inner/c.txt").write_text("last")
    (folder / "README.md").write_text("not a text")
    found = read(TextSource(path=str(folder)), tmp_path / "cache")
    assert found == ["one text", "another", "last"]
    assert read(TextSource(path=str(folder / "b.txt")), tmp_path / "cache") == found[:2]


def test_lists_of_tokens_are_documents(tmp_path: Path) -> None:
    pq.write_table(pa.table({"tokens": [["Ada", "met"], ["us", ""], None]}), tmp_path / "a.parquet")
    found = read(TextSource(path=str(tmp_path / "a.parquet"), column="tokens"), tmp_path / "cache")
    assert found == [["Ada", "met"], None, None]


def test_texts_that_are_not_utf8_are_none(tmp_path: Path) -> None:
    broken = pa.array([b"good", b"\xff", b"end"]).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    assert read(TextSource(path=str(tmp_path / "a.parquet")), tmp_path / "cache") == ["good", None, "end"]


def test_a_large_file_is_read_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BATCH", 2)
    for kind in (".parquet", ".csv"):
        path = write_file(tmp_path, kind)
        batches = list(TextSource(path=path).documents("", str(tmp_path)))
        assert [len(it) for it in batches] == [2, 1]
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    assert list(TextSource(path=f"{tmp_path}/a.txt").documents("", "")) == [["one", "two"], ["three"]]


def test_a_repository_of_the_hub(
    tmp_path: Path, write_dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How it is downloaded is tested with the download stage."""
    splits = {"train": {"text": ["labelled"], "label": [1]}, "unsupervised": {"text": TEXTS, "label": [0, 0, 0]}}
    folder, asked = write_dataset(tmp_path / "repository", splits), []

    def snapshot(*arguments: object) -> tuple[Path, str]:
        asked.append(arguments)
        return folder, "abc"

    monkeypatch.setattr(hub, "snapshot", snapshot)
    source = TextSource(path="acme/texts", split="unsupervised", revision="abc")
    assert read(source, tmp_path / "cache") == TEXTS
    assert asked == [("acme/texts", "abc", (), "corpus.sources.a")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "nowhere/*.txt"}, r"corpus\.sources\.a\.path='nowhere/\*\.txt': no file matches"),
        ({"path": "./nowhere"}, r"corpus\.sources\.a\.path='\./nowhere': no such folder or file; accepted: a folder"),
        (
            {"path": "{0}/texts/a.parquet", "column": "texts"},
            r"corpus\.sources\.a\.column='texts': no such column; .*: text",
        ),
        (
            {"path": "{0}/texts", "split": "unsupervised"},
            r"corpus\.sources\.a\.split='unsupervised': no such split; .*train",
        ),
        ({"path": "{0}/empty"}, r"corpus\.sources\.a\.path='.*empty' cannot be loaded: .*accepted: files of \.txt"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, arguments: dict[str, str], message: str) -> None:
    for folder in ("texts", "empty"):
        (tmp_path / folder).mkdir()
    pq.write_table(pa.table({"text": ["one"]}), tmp_path / "texts/a.parquet")
    source = TextSource(**{key: value.format(tmp_path) for key, value in arguments.items()})
    with pytest.raises(ValueError, match=message):
        read(source, tmp_path / "cache")


@pytest.mark.parametrize("arguments", [{}, {"dataset": "imdb", "path": "texts"}])
def test_a_source_is_a_dataset_or_a_path(arguments: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="accepted: one of the two"):
        TextSource(**arguments)


def test_the_identity_of_files_is_their_content_and_that_of_a_repository_its_revision(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    source = TextSource(path=str(tmp_path))
    before = source.identity("")
    assert before["sha256"] == {"a.txt": sha256(tmp_path / "a.txt")}
    (tmp_path / "a.txt").write_text("two")
    assert source.identity("") != before
    of_hub = TextSource(path="acme/texts", revision="abc").identity("")
    assert of_hub == {"path": "acme/texts", "revision": "abc", "column": "text", "split": "train"}


def test_what_prepare_has_drawn_from_train_is_not_in_the_training_texts(
    tmp_path: Path, write_dataset: Callable[..., Path]
) -> None:
    texts = {split: [f"{split} text {i}" for i in range(20)] for split in ("train", "test")}
    splits = {split: {"text": found, "label": [i % 2 for i in range(20)]} for split, found in texts.items()}
    columns = {name: name for name in COLUMNS["classification"][0]}
    declared = {"train": "train", "validation": None, "test": "test"}
    source = Source("classification", str(write_dataset(tmp_path / "hub", splits)), columns, splits=declared)
    download(source, tmp_path / "raw")
    dataset = Dataset("mine", source, tmp_path / "raw", tmp_path / "prepared")
    with pytest.raises(ValueError, match="contains no prepared data; run first"):
        list(dataset.documents("validation"))
    prepare(source, tmp_path / "raw", tmp_path / "prepared", PrepareOptions())
    found = {split: joined(dataset.documents(split)) for split in ("train", "validation", "test")}
    assert found["test"] == texts["test"]
    assert [len(found[split]) for split in ("train", "validation")] == [18, 2]
    assert sorted([*found["train"], *found["validation"]]) == sorted(texts["train"])
    assert dataset.identity(["validation"])["prepared"] == PreparedData(tmp_path / "prepared").checksum
    assert "prepared" not in dataset.identity(["test"])


def test_a_pair_is_two_texts_and_given_tokens_are_kept(tmp_path: Path, write_dataset: Callable[..., Path]) -> None:
    rows = {"text": ["one"] * 4, "text_pair": ["two", "three"] * 2, "label": [0, 1, 0, 1]}
    splits = {split: rows for split in ("train", "validation", "test")}
    columns = {name: name for name in COLUMNS["classification"][1]}
    source = Source("classification", str(write_dataset(tmp_path / "hub", splits)), columns)
    download(source, tmp_path / "raw")
    found = joined(Dataset("mine", source, tmp_path / "raw", tmp_path).documents("test"))
    assert found == ["one", "two", "one", "three"] * 2
