"""The rule of the tokenizer that is nearest to given tokens."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import unroll
from tests.data.raw import rows_of
from tests.tiny import save_random_model
from unroll.data.prepare.given_tokens import Shares, measure_rules, nearest, written
from unroll.data.tokenizer import Split, TokenizerOptions

CONLL = Path(__file__).parents[4] / "shared" / "datasets" / "conll2003" / "data"


def measured(sentences: list[list[str]]) -> dict[Split, Shares]:
    rows = rows_of([], tags=[])
    ids = [rows.corpus.distinct.ids(sentence).tolist() for sentence in sentences]
    filled = rows_of(ids, tags=ids)
    filled.corpus.distinct = rows.corpus.distinct
    return measure_rules(filled, TokenizerOptions())


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["Ada", "'s", "dog", "is", "n't", "here", "."], "Ada's dog isn't here."),
        (["He", "paid", "$", "5", "(", "10", "%", ")", "?"], "He paid $5 (10%)?"),
        (["我", "在", "北京", "，", "好", "。"], "我在北京，好。"),
        (["หนัง", "สนุก", "OK"], "หนังสนุก OK"),
        (["one"], "one"),
    ],
)
def test_tokens_are_written_as_a_text(tokens: list[str], text: str) -> None:
    assert written(tokens) == text


@pytest.mark.parametrize(
    ("sentences", "rule"),
    [
        (["It isn't Tom's .", "Well ... why ?!", "a - b"], "words"),
        (["It is n't Tom 's .", "U.S.-led talks of 1996-08-22", "1 - 0"], "treebank"),
        (["It's (so) good!!", "rock'n'roll, no?"], "whitespace"),
        (["我 喜 欢 这 部 电 影 。", "很 好"], "characters"),
        (["我 喜欢 电影 。", "很 不好"], "words"),
    ],
)
def test_the_nearest_rule_is_chosen(sentences: list[str], rule: Split) -> None:
    shares = measured([sentence.split() for sentence in sentences])
    assert nearest(shares) == rule
    assert shares["whitespace"].joined == 1


def test_shares_are_of_sentences() -> None:
    shares = measured([["isn't", "."], ["is", "n't", "."], ["Ada", "'s"], ["fine"]])
    assert shares["words"] == (0.75, 0.5)
    assert shares["treebank"] == (0.75, 0.75)
    assert shares["whitespace"] == (1, 0.25)
    assert list(shares) == ["words", "treebank", "whitespace", "characters"]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("task", "labels"), [("classification", ["yes", "no"]), ("multilabel", [["yes"], ["yes", "no"]])]
)
def test_texts_may_be_given_as_tokens(task: Any, labels: list[Any], tmp_path: Path) -> None:
    sentences = [["It", "is", "n't", "New York", "."], ["U.S.-led", "."]]
    name = "label" if task == "classification" else "labels"
    rows = [{"tokens": sentences[i % 2], name: labels[i % 2]} for i in range(20)]
    file = write_rows(tmp_path / "rows.jsonl", rows)
    data = unroll.prepare(file, tmp_path / "out", task, {"tokens": "tokens", name: name})
    assert data.schema.given_tokens
    assert data.schema.tokenizer.options.split == data.description["split"] == "treebank"
    assert {"new york", "u.s.-led", "n't"} <= set(data.schema.vocabulary)
    predictor = unroll.load(save_random_model(data, tmp_path / "model"))
    given, joined = predictor.predict([sentences[1], "U.S.-led ."])
    assert given == joined
    assert predictor.predict([["is", "n't"]]) == predictor.predict(["isn't"])


@pytest.mark.parametrize(("split", "chosen"), [("words", "treebank"), ("whitespace", "whitespace")])
def test_a_rule_that_the_user_chose_is_kept(split: Split, chosen: Split, tmp_path: Path) -> None:
    rows = [{"tokens": ["Ada", "'s", "U.S.-led", "."], "labels": ["B-PER", "O", "O", "O"]}] * 20
    data = unroll.prepare(
        write_rows(tmp_path / "rows.jsonl", rows), tmp_path / "out", "labeling", tokenizer={"split": split}
    )
    assert data.schema.tokenizer.options.split == chosen
    report = json.loads((data.folder / "report.json").read_text())
    assert report["rules"]["treebank"] == {"joined": 1, "written": 1}
    assert report["split"] == chosen
    assert f"rule <code>{chosen}</code>" in " ".join((data.folder / "report.html").read_text().split())


@pytest.mark.skipif(not CONLL.exists(), reason=f"{CONLL} is missing")
def test_sentences_of_conll2003_are_divided_as_they_were_given() -> None:
    sentences = pq.read_table(next(CONLL.glob("train*")))["tokens"].to_pylist()[::20]
    shares = measured(sentences)
    assert nearest(shares) == "treebank"
    assert min(shares["treebank"]) > 0.98
