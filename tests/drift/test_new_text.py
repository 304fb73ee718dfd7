import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from tests.drift.files import NEWS, REVIEWS, SPANS, Columns, write
from unroll.data.source import Source
from unroll.data.subwords import Subwords
from unroll.data.tokenizer import Tokenizer, TokenizerOptions
from unroll.drift.labels import read_new_labels
from unroll.drift.new_text import NewText, read_new_text

BODIES = ["Fine, café!", 'Two\nlines "quoted"', "12"]
TOKENS = [["Fine", ",", "café", "!"], ["Two", "lines", '"', "quoted", '"'], ["12"]]


def tokens_of(new: NewText) -> list[list[str]]:
    words = list(new.distinct)
    return [[words[i - 1] for i in tokens] for tokens in new.tokens]


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".parquet", ".arrow", ".CSV"])
def test_every_format_gives_the_same_texts_and_labels(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"new{ending.lower()}", {"id": [7, 8, 9], "body": BODIES, "stars": ["1", "0", "1"]})
    new = read_new_text(path.rename(path.with_suffix(ending)), REVIEWS, Tokenizer())
    assert tokens_of(new) == TOKENS
    assert new.labels == ["1", "0", "1"]


def test_an_arrow_file_that_datasets_wrote_is_read_with_its_label_names(tmp_path: Path) -> None:
    features = Features({"body": Value("string"), "stars": ClassLabel(names=["low", "high"])})
    Dataset.from_dict({"body": BODIES, "stars": [0, 1, 1]}, features).save_to_disk(tmp_path)
    new = read_new_text(next(tmp_path.glob("*.arrow")), REVIEWS, Tokenizer())
    assert tokens_of(new) == TOKENS
    assert (new.labels, new.declared_names) == ([0, 1, 1], ["low", "high"])


def test_a_text_file_has_a_text_a_line_and_no_labels(tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("\ufeffone\u2028text\r\n\nsecond", encoding="utf-8", newline="")
    new = read_new_text(tmp_path / "new.txt", REVIEWS, Tokenizer())
    assert tokens_of(new) == [["one", "text"], ["second"]]
    assert new.labels == [None, None]
    assert new.unused == {"empty text": 1}


def test_a_json_array_is_read_as_by_the_download_stage(tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text(json.dumps([{"body": body, "stars": 1} for body in BODIES], indent=2))
    new = read_new_text(tmp_path / "new.json", REVIEWS, Tokenizer())
    assert (tokens_of(new), new.labels) == (TOKENS, [1, 1, 1])


def test_a_text_file_does_for_a_dataset_of_tokens(tmp_path: Path) -> None:
    assert tokens_of(read_new_text(write(tmp_path / "new.txt", {"": ["Ada met us."]}), NEWS, Tokenizer())) == [
        ["Ada", "met", "us", "."]
    ]


def test_tokens_are_taken_as_they_are(tmp_path: Path) -> None:
    columns = {"words": [["New York", "won't"]], "tags": [["B-LOC", "O"]]}
    new = read_new_text(write(tmp_path / "new.jsonl", columns), NEWS, Tokenizer())
    assert tokens_of(new) == columns["words"]
    assert new.labels == columns["tags"]


def test_column_files_are_read_for_a_dataset_of_such(tmp_path: Path) -> None:
    source = Source("labeling", "acme", {"tokens": "0", "labels": "1"}, format="conll")
    named_txt = replace(source, splits={"train": "train.txt", "validation": None, "test": None})
    for name, declared in (("new.testb", source), ("new.txt", named_txt)):
        (tmp_path / name).write_text("Ada B-PER\nsat O\n\nAll O\n")
        new = read_new_text(tmp_path / name, declared, Tokenizer())
        assert tokens_of(new) == [["Ada", "sat"], ["All"]]
        assert new.labels == [["B-PER", "O"], ["O"]]


def test_spans_are_read_as_by_the_prepare_stage(tmp_path: Path) -> None:
    spans = [{"start": 0, "end": 13, "label": "PER"}, {"start": 20, "end": 25, "label": "LOC"}]
    columns: Columns = {"text": ["Ada Lovelace was in Parisian style"], "entities": [spans]}
    new = read_new_text(write(tmp_path / "new.jsonl", columns), SPANS, Tokenizer())
    assert tokens_of(new) == [["Ada", "Lovelace", "was", "in", "Paris", "ian", "style"]]
    assert new.labels == [["B-PER", "I-PER", "O", "O", "B-LOC", "O", "O"]]
    wide = read_new_text(tmp_path / "new.jsonl", SPANS, Tokenizer(), "widen")
    assert wide.labels == [["B-PER", "I-PER", "O", "O", "B-LOC", "O"]]


def test_spans_of_every_form_are_read_and_bad_ones_leave_their_text_without_labels(tmp_path: Path) -> None:
    forms: list[Any] = [[[0, 3, "PER"]], [{"start_offset": "0", "end_offset": "3", "label": "PER"}]]
    bad: list[Any] = [
        None,
        [{"start": None, "end": 3, "label": "PER"}],
        [[0, 3, None]],
        [[2, 1, "PER"]],
        [[0, 99, "PER"]],
    ]
    lines = [json.dumps({"text": "Ada met us", "entities": spans}) for spans in [*forms, *bad]]
    (tmp_path / "new.jsonl").write_text("\n".join(lines))
    new = read_new_text(tmp_path / "new.jsonl", SPANS, Tokenizer())
    assert new.labels == [["B-PER", "O", "O"]] * 2 + [None] * len(bad)
    assert tokens_of(new) == [["Ada", "met", "us"]] * len(lines)


@pytest.mark.parametrize(
    ("source", "label"), [(NEWS, ["B-PER", "O"]), (SPANS, [{"start": 0, "end": 6, "label": "PER"}])]
)
def test_subwords_of_a_word_share_its_entity(tmp_path: Path, source: Source, label: Any) -> None:
    tokenizer = Tokenizer(TokenizerOptions(subwords="bpe"), Subwords.train({"low": 9, "lower": 5}, "bpe", 8))
    assert tokenizer.pieces("lowest") != ["lowest"]
    text = ["lowest", "low"] if source is NEWS else "lowest low"
    path = write(tmp_path / "new.jsonl", {source.text_columns[0]: [text], source.label_column: [label]})
    new = read_new_text(path, source, tokenizer)
    assert tokens_of(new) == [tokenizer.tokenize("lowest low")]
    (tags,) = read_new_labels(new, path, source, ["O", "B-PER", "I-PER"])
    first, second = len(tokenizer.pieces("lowest")), len(tokenizer.pieces("low"))
    assert tags == ["B-PER", *["I-PER"] * (first - 1), *["O"] * second]


def test_a_pair_of_a_text_and_a_list_is_counted_with_its_reason(tmp_path: Path) -> None:
    source = Source("classification", "acme/pairs", {"text": "a", "text_pair": "b", "label": "c"})
    path = write(tmp_path / "new.jsonl", {"a": ["one"], "b": [["two"]], "c": [1]})
    with pytest.raises(ValueError, match=r"no usable text in column 'a': 1 a pair is not two texts"):
        read_new_text(path, source, Tokenizer())


def test_rows_without_text_are_counted_by_reason(tmp_path: Path) -> None:
    columns: Columns = {"body": ["good", "", None, "  "], "stars": [1, 0, 1, 0]}
    new = read_new_text(write(tmp_path / "new.parquet", columns), REVIEWS, Tokenizer())
    assert (tokens_of(new), new.labels) == ([["good"]], [1])
    assert new.unused == {"empty text": 2, "missing text": 1}
    (tmp_path / "new.jsonl").write_text('{"body": "good", "stars": 1}\n{"body": 3, "stars": 0}\n')
    new = read_new_text(tmp_path / "new.jsonl", REVIEWS, Tokenizer())
    assert (tokens_of(new), new.unused) == ([["good"]], {"neither text nor tokens: int": 1})


def test_a_line_may_be_long(tmp_path: Path) -> None:
    long = "word " * 500_000  # 2.5 MB
    for ending in (".csv", ".jsonl"):
        new = read_new_text(write(tmp_path / f"new{ending}", {"body": ["short", long]}), REVIEWS, Tokenizer())
        assert len(new.tokens.values) == 500_001


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("new.csv", b"", "cannot be read as .csv"),
        ("new.jsonl", b"", "cannot be read as .jsonl"),
        ("new.jsonl", b'{"body": "a"\n', "cannot be read as .jsonl"),
        ("new.json", b"", "cannot be read as .json: it contains no rows"),
        ("new.json", b"[]", "cannot be read as .json: it contains no rows"),
        ("new.csv", "body,stars\na,1\n".encode("utf-16-le"), "line 1 contains zero bytes; accepted: UTF-8, or UTF-16"),
        ("new.parquet", b"PAR1", "cannot be read as .parquet"),
        ("new.arrow", b"junk", "cannot be read as .arrow"),
        ("new.csv", b"body,stars\n\xff\xfe,1\n", "cannot be read as .csv"),
        ("new.txt", b"\xff\xfe", "cannot be read as .txt"),
        ("new.txt", b"", "no usable text in column 'body': the file has no rows"),
        ("new.csv", b"body,stars\n", "no usable text in column 'body': the file has no rows"),
        ("new.csv", b"body,stars\n,1\n,0\n", "no usable text in column 'body': 2 missing text"),
        ("new.jsonl", b'{"body": 3}\n', "no usable text in column 'body': 1 neither text nor tokens: int"),
        (
            "new.csv",
            b"text,stars\ngood,1\n",
            "no column 'body', which contains the texts of acme/reviews; it has the columns",
        ),
        ("new.xlsx", b"", "unsupported file extension '.xlsx'"),
        ("new", b"", "unsupported file extension ''"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as error:
        read_new_text(tmp_path / name, REVIEWS, Tokenizer())
    assert said in str(error.value)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["nowhere.csv", "."])
def test_what_is_no_file_is_named_with_what_is_accepted(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match=r"no such file; accepted: \.csv, \.tsv, \.json"):
        read_new_text(tmp_path / path, REVIEWS, Tokenizer())


def test_a_column_of_spans_has_to_hold_spans(tmp_path: Path) -> None:
    path = write(tmp_path / "new.jsonl", {"text": ["a"], "entities": [[{"start": 0}]]})
    with pytest.raises(
        ValueError, match=r"column 'entities' contains .*no end; accepted: lists of start, end and label"
    ):
        read_new_text(path, SPANS, Tokenizer())
