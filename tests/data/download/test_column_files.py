"""CoNLL column files, from reading to prepared data."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.raw import OPTIONS, words_of
from unroll.data.download import hub
from unroll.data.download.download import download
from unroll.data.download.files import read_conll
from unroll.data.prepare.prepare import prepare
from unroll.data.prepared import PreparedData
from unroll.data.source import Source
from unroll.data.tags import spans
from unroll.files import sha256

IOB1 = """-DOCSTART- -X- O O

In IN I-PP O
Oslo NNP I-NP I-LOC
Rio NNP I-NP B-LOC

Ada NNP I-NP I-PER
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "train.txt"


@pytest.mark.parametrize(
    "content",
    [
        "a O\nb B-X\n\nc O\n",
        "a O\nb B-X\n\n\n \nc O",
        "a\tO\r\nb\tB-X\r\n\r\nc\tO\r\n",
        "\ufeffa O\nb B-X\n\nc O\n",
        "-DOCSTART- O\n\na O\nb B-X\n\n-DOCSTART- O\n\nc O\n",
        "# id = 1\na O\nb B-X\n\n# id = 2\nc O\n",
        "# first\na O\n# a comment\nb B-X\n\n#\n# newdoc id = x\n# two three\nc O\n",
        "# text = a\tb\na\tO\nb\tB-X\n\n# two\nc\tO\n",
        "a O\nb B-X\n-DOCSTART- -X-\nc O\n",
        "a O\rb B-X\r\rc O\r",
        "a  O\nb   B-X \n\n c O  \n",
        "a \t O\nb\tB-X\t\n\nc\tO \n",
    ],
    ids=[
        "plain",
        "more empty lines, no last one",
        "tabs and CRLF",
        "byte order mark",
        "documents",
        "comments",
        "comments of any number of words",
        "comments among tabs",
        "a document without an empty line",
        "CR",
        "several spaces",
        "spaces around tabs",
    ],
)
def test_sentences_of_every_form_are_read(file: Path, content: str) -> None:
    file.write_text(content, newline="")
    assert read_conll(file) == {"0": [["a", "b"], ["c"]], "1": [["O", "B-X"], ["O"]]}


def test_a_hash_may_be_a_token_and_a_token_may_hold_spaces_between_tabs(file: Path) -> None:
    file.write_text("new york\tB-X\n#\tO\n")
    assert read_conll(file)["0"] == [["new york", "#"]]


@pytest.mark.parametrize("separator", [" ", "\t"])
def test_tokens_that_begin_with_a_hash_are_tokens_wherever_they_stand(file: Path, separator: str) -> None:
    lines = ["#one HT", "# O", "two O", "", "# O", "#two HT", "", "#three O"]
    file.write_text("\n".join(line.replace(" ", separator) for line in lines))
    assert read_conll(file) == {
        "0": [["#one", "#", "two"], ["#", "#two"], ["#three"]],
        "1": [["HT", "O", "O"], ["O", "HT"], ["O"]],
    }


def test_ranges_and_empty_nodes_of_conllu_are_no_tokens(file: Path) -> None:
    rows = ["# sent_id = 1", "1\tI", "2-3\tdon't", "2\tdo", "3\tn't", "3.1\tgo", "", "# text = 4.1", "1\t4.1"]
    file.write_text("\n".join(rows))
    assert read_conll(file) == {"0": [["1", "2", "3"], ["1"]], "1": [["I", "do", "n't"], ["4.1"]]}


def test_numbers_that_are_tokens_stay(file: Path) -> None:
    file.write_text("1 O\n2-3 O\n\nlost O\n4.1 O\n")
    assert read_conll(file)["0"] == [["1", "2-3"], ["lost", "4.1"]]


def test_column_files_may_be_utf_16_or_compressed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("a O\r\n\r\nb O\r\n".encode("utf-16"))
    (tmp_path / "b.train.gz").write_bytes(gzip.compress(b"a O\n\nb O\n"))
    for name in ("a.txt", "b.train.gz"):
        assert read_conll(tmp_path / name) == {"0": [["a"], ["b"]], "1": [["O"], ["O"]]}


token = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=5).filter(
    lambda text: not text.startswith("#")
)


@given(st.lists(st.lists(st.tuples(token, token), min_size=1, max_size=4), min_size=1, max_size=4))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[list[tuple[str, str]]]) -> None:
    path = tmp_path_factory.mktemp("conll") / "x.conll"
    path.write_text("\n".join("".join(f"{a} {b}\n" for a, b in sentence) for sentence in rows), newline="")
    assert read_conll(path) == {str(i): [[pair[i] for pair in sentence] for sentence in rows] for i in range(2)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a O\nb\n", "line 2: 1 columns; accepted: 2, as in the lines before"),
        (b"\n\n", "contains no sentence; accepted: lines with a token"),
        (b"caf\xe9 O\n", "is not UTF-8"),
    ],
)
def test_what_is_no_column_file_is_named(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{file}.*{message}"):
        read_conll(file)


def source_of(folder: Path, **changes: object) -> Source:
    options = {
        "columns": {"tokens": "0", "labels": "3"},
        "splits": {"train": "train.txt", "validation": None, "test": "eng.testb"},
        "tag_scheme": "iob1",
    }
    return Source("labeling", str(folder), format="conll", **options | changes)  # type: ignore[arg-type]


def test_a_folder_of_column_files_is_downloaded_and_prepared(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "train.txt").write_text(IOB1 * 5)
    (folder / "eng.testb").write_text(IOB1)
    source = source_of(folder)
    manifest = download(source, tmp_path / "raw")
    assert manifest["files"] == {name: sha256(folder / name) for name in ("eng.testb", "train.txt")}
    prepare(source, tmp_path / "raw", tmp_path / "out", OPTIONS)
    data = PreparedData(tmp_path / "out")
    assert words_of(data, "test") == [["in", "oslo", "rio"], ["ada"]]
    tags = [data.label_names[i] for i in data.split("test").labels]
    assert tags == ["O", "B-LOC", "B-LOC", "B-PER"]
    assert len(spans(tags)) == 3


def test_column_files_of_a_hub_repository_are_asked_for_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, asked = "a" * 40, []
    folder = tmp_path / commit
    folder.mkdir()
    for name in ("train.txt", "eng.testb"):
        (folder / name).write_text(IOB1)

    def snapshot_download(*_: object, allow_patterns: list[str], **__: object) -> str:
        asked.extend(allow_patterns)
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(hub, "_resolve", lambda *_: commit)
    manifest = download(replace(source_of(folder), path="acme/news"), tmp_path / "raw")
    assert {"train.txt", "eng.testb", "*.parquet"} < set(asked)
    assert (manifest["commit"], manifest["revision"], set(manifest["files"])) == (
        commit,
        "main",
        {"train.txt", "eng.testb"},
    )


def test_a_file_or_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(IOB1)
    with pytest.raises(ValueError, match=r"dataset\.splits\.test='eng\.testb': .* accepted: train\.txt"):
        download(source_of(tmp_path), tmp_path / "raw")
    (tmp_path / "eng.testb").write_text(IOB1)
    with pytest.raises(ValueError, match=r"dataset\.columns\.labels='4': .* accepted: \['0', '1', '2', '3'\]"):
        download(source_of(tmp_path, columns={"tokens": "0", "labels": "4"}), tmp_path / "raw")
