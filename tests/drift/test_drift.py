"""Texts from the same distribution are stable; known changes are detected."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.drift.files import write
from unroll.data.download.download import download
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.source import COLUMNS, Source
from unroll.data.tokens import Task
from unroll.drift.drift import Comparison, Drift, DriftOptions, find_drift

Row = dict[str, Any]
WORDS = [f"word{i}" for i in range(400)]
# As in natural text, few words are frequent and many are rare.
WEIGHTS = [1 / (rank + 5) for rank in range(len(WORDS))]
TAIL = WORDS[200:]


def review(draw: random.Random) -> Row:
    words = draw.choices(WORDS, WEIGHTS, k=draw.randrange(5, 40))
    return {"text": " ".join(words), "label": draw.choice(["negative", "neutral", "positive"])}


def report(draw: random.Random) -> Row:
    tokens = draw.choices(WORDS, WEIGHTS, k=draw.randrange(5, 20))
    labels = ["O"] * len(tokens)
    for place in range(0, len(tokens), 4):
        if draw.random() < 0.4:
            labels[place] = draw.choice(["B-PER", "B-LOC"])
    return {"tokens": tokens, "labels": labels}


MAKERS: dict[Task, Callable[[random.Random], Row]] = {"classification": review, "labeling": report}


class Corpus:
    """A corpus of which one half is prepared."""

    def __init__(self, task: Task, folder: Path) -> None:
        draw = random.Random(11)
        rows = [MAKERS[task](draw) for _ in range(4000)]
        self.new = rows[2000:]
        self.folder = folder
        (folder / "hub").mkdir(parents=True)
        for split, part in {"train": rows[:1500], "validation": rows[1500:1900], "test": rows[1900:2000]}.items():
            pq.write_table(pa.Table.from_pylist(part), folder / "hub" / f"{split}.parquet")
        self.source = Source(task, str(folder / "hub"), {name: name for name in COLUMNS[task][0]})
        download(self.source, folder / "raw")
        self.prepare("prepared", PrepareOptions())

    def prepare(self, name: str, options: PrepareOptions) -> None:
        prepare(self.source, self.folder / "raw", self.folder / name, options)

    def drift(self, rows: list[Row], data: str = "prepared", **changes: Any) -> Drift:
        path = write(self.folder / "new.parquet", {key: [row[key] for row in rows] for key in rows[0]})
        plain = {"output": "drift.json", "run": None, "watch": 0.1, "retrain": 0.25, "level": 0.05}
        options = DriftOptions(**{"against": str(path), "data": str(self.folder / data), **plain, **changes})
        return find_drift(self.source, options)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus("classification", tmp_path_factory.mktemp("reviews"))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus("labeling", tmp_path_factory.mktemp("reports"))


@pytest.fixture(params=["reviews", "reports"])
def corpus(request: pytest.FixtureRequest) -> Corpus:
    found: Corpus = request.getfixturevalue(request.param)
    return found


def drifted(drift: Drift) -> set[str]:
    return {found.feature for found in drift.comparisons if found.verdict != "stable"}


def comparison(drift: Drift, feature: str) -> Comparison:
    return next(found for found in drift.comparisons if found.feature == feature)


@pytest.mark.parametrize("size", [30, 200, 2000])
def test_one_half_of_a_corpus_is_stable_against_the_other(corpus: Corpus, size: int) -> None:
    drift = corpus.drift(corpus.new[:size])
    assert (drift.verdict, drifted(drift)) == ("stable", set())
    assert (drift.texts, drift.labelled) == (size, size)


def test_new_words_need_not_be_new_to_training_text_itself(reviews: Corpus) -> None:
    """Fewer unknown words than expected are not drift."""
    drift = reviews.drift(pq.read_table(reviews.folder / "hub" / "train.parquet").to_pylist())
    assert drifted(drift) == set()
    assert drift.new_words == {}


def test_longer_texts_are_found(reviews: Corpus) -> None:
    pairs = zip(reviews.new[::2], reviews.new[1::2], strict=True)
    drift = reviews.drift([{"text": f"{a['text']} {b['text']}", "label": a["label"]} for a, b in pairs])
    assert comparison(drift, "length").verdict == "retrain"
    assert drift.verdict == "retrain"
    assert comparison(drift, "labels").verdict == "stable"


def test_other_shares_of_labels_are_found_and_nothing_else(reviews: Corpus) -> None:
    drift = reviews.drift([row for i, row in enumerate(reviews.new) if row["label"] != "neutral" or i % 8 == 0])
    assert drifted(drift) == {"labels"}
    found = comparison(drift, "labels")
    assert next(iter(found.new)) == "neutral"
    assert found.reference["neutral"] == pytest.approx(1 / 3, abs=0.05)
    assert found.new["neutral"] < 0.1
    assert sum(found.new.values()) == pytest.approx(1)


def test_swapped_labels_are_found_where_they_are_not_as_frequent(reports: Corpus) -> None:
    swapped = {"O": "O", "B-PER": "B-LOC", "B-LOC": "B-LOC"}
    drift = reports.drift([row | {"labels": [swapped[tag] for tag in row["labels"]]} for row in reports.new])
    assert drifted(drift) == {"labels"}
    assert comparison(drift, "labels").new["PER"] == 0


def test_a_label_that_is_missing_from_train_is_named(reviews: Corpus) -> None:
    drift = reviews.drift([row | {"label": "mixed"} if i % 2 else row for i, row in enumerate(reviews.new)])
    assert drifted(drift) == {"labels"}
    assert comparison(drift, "labels").change.endswith("missing there: mixed")


def test_fewer_entities_are_found(reports: Corpus) -> None:
    rows = [row | {"labels": ["O"] * len(row["labels"])} if i % 2 else row for i, row in enumerate(reports.new)]
    assert drifted(reports.drift(rows)) == {"labels", "tokens in entities"}


def test_new_words_are_found_and_named(corpus: Corpus) -> None:
    def other(row: Row) -> Row:
        if "text" in row:
            return row | {"text": row["text"].replace("word1", "Neologism")}
        return row | {"tokens": [token.replace("word1", "Neologism") for token in row["tokens"]]}

    drift = corpus.drift([other(row) for row in corpus.new])
    assert comparison(drift, "unknown words").verdict == "retrain"
    assert next(iter(drift.new_words)) == "neologism"
    assert len(drift.new_words) == 10


def test_other_known_words_are_found(reviews: Corpus) -> None:
    draw = random.Random(5)
    rows = [row | {"text": " ".join(draw.choices(TAIL, k=row["text"].count(" ") + 1))} for row in reviews.new]
    assert drifted(reviews.drift(rows)) == {"surprisal"}


def test_without_labels_texts_alone_are_compared(reviews: Corpus) -> None:
    drift = reviews.drift([{"text": row["text"]} for row in reviews.new])
    assert [found.feature for found in drift.comparisons] == ["length", "unknown words", "surprisal"]
    assert (drift.texts, drift.labelled, drift.verdict) == (2000, 0, "stable")


def test_an_index_that_chance_explains_is_stable_however_large(reviews: Corpus) -> None:
    found = comparison(reviews.drift(reviews.new[:15]), "surprisal")
    assert 0.25 < found.index < found.chance
    assert found.verdict == "stable"


def test_thresholds_decide_between_watch_and_retrain(reviews: Corpus) -> None:
    rows = [row for i, row in enumerate(reviews.new) if row["label"] != "neutral" or i % 8 == 0]
    index = comparison(reviews.drift(rows), "labels").index
    assert reviews.drift(rows, retrain=index + 0.01).verdict == "watch"
    assert reviews.drift(rows, retrain=index - 0.01).verdict == "retrain"
    assert reviews.drift(rows, watch=index + 0.01, retrain=1.0).verdict == "stable"


def test_a_lower_level_asks_for_a_larger_index(reviews: Corpus) -> None:
    strict, lenient = (comparison(reviews.drift(reviews.new, level=level), "length") for level in (0.01, 0.1))
    assert strict.index == lenient.index
    assert strict.chance > lenient.chance


@pytest.mark.parametrize("too_long", ["truncate", "split"])
def test_texts_are_made_shorter_as_those_in_train_were(corpus: Corpus, too_long: Any) -> None:
    corpus.prepare("short", PrepareOptions(max_length=10, too_long=too_long))
    drift = corpus.drift(corpus.new, "short")
    assert drifted(drift) == set()
    assert comparison(drift, "length").new["90 %"] == 10


def test_prepared_data_of_another_task_are_an_error(reviews: Corpus, reports: Corpus) -> None:
    with pytest.raises(ValueError, match="was prepared for labeling; accepted: data of the task classification"):
        reviews.drift(reviews.new, str(reports.folder / "prepared"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"against": None}, r"^against=null: .*; accepted: \.csv"),
        ({"watch": 0.0}, "^watch=0 and retrain=0.25; accepted: 0 < watch <= retrain"),
        ({"watch": 0.3}, "^watch=0.3 and retrain=0.25"),
        ({"retrain": float("inf")}, "^watch=0.1 and retrain=inf"),
        ({"watch": float("nan")}, "^watch=nan"),
        ({"level": 0.0}, "^level=0; accepted: between 0 and 1"),
        ({"level": 1.0}, "^level=1;"),
    ],
)
def test_an_option_out_of_range_is_named(reviews: Corpus, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        reviews.drift(reviews.new, **changes)


def test_tags_are_read_as_those_that_were_prepared(tmp_path: Path) -> None:
    columns = {"tokens": [["Ada", "Brown", "left"]], "labels": [["PER_b", "PER_l", "_"]]}
    (tmp_path / "hub").mkdir()
    for split in ("train", "validation", "test"):
        write(tmp_path / "hub" / f"{split}.parquet", columns)
    source = Source("labeling", str(tmp_path / "hub"), {name: name for name in columns})
    download(source, tmp_path / "raw")
    prepare(source, tmp_path / "raw", tmp_path / "prepared", PrepareOptions())
    new = write(tmp_path / "new.parquet", {"tokens": [["Ada", "left"]], "labels": [["PER_u", "_"]]})
    options = DriftOptions(str(new), str(tmp_path / "prepared"), "drift.json", None, 0.1, 0.25, 0.05)
    drift = find_drift(source, options)
    assert drift.labelled == 1
    assert comparison(drift, "labels").new["PER"] == 1
    assert comparison(drift, "tokens in entities").new["mean"] == 0.5
