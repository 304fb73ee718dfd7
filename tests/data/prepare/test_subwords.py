"""Datasets with subwords."""

from pathlib import Path

import pytest

from tests.data.raw import ENTITIES, REVIEWS, raw_reviews, texts, words_of, write_raw
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import PreparedData
from unroll.data.tags import spans
from unroll.data.tokenizer import TokenizerOptions

OPTIONS = PrepareOptions(tokenizer=TokenizerOptions(subwords="bpe", subword_vocabulary=11))


def test_texts_are_prepared_in_pieces_of_the_words_of_train(tmp_path: Path) -> None:
    raw = raw_reviews(
        tmp_path / "raw", train=texts("low lower lowest", "low slow low low low"), test=texts("slower", "owl")
    )
    prepare(REVIEWS, raw, tmp_path / "out", OPTIONS)
    data = PreparedData(tmp_path / "out")
    first, _ = words_of(data, "train")
    assert "".join(first).replace("##", "") == "lowlowerlowest"
    assert len(first) > 3
    assert first == data.schema.tokenizer.tokenize("low lower lowest")
    assert data.split("test").lengths.tolist() == [
        len(data.schema.tokenizer.tokenize(text)) for text in ("slower", "owl")
    ]


def test_an_entity_keeps_its_type_and_its_words(tmp_path: Path) -> None:
    columns = {
        "tokens": [["in", "Lower", "Lowland", "now"], ["Slowed"]],
        "tags": [["O", "B-LOC", "I-LOC", "O"], ["B-PER"]],
    }
    raw = write_raw(tmp_path / "raw", dict.fromkeys(("train", "validation", "test"), columns), None)
    prepare(ENTITIES, raw, tmp_path / "out", OPTIONS)
    data = PreparedData(tmp_path / "out")
    assert data.label_names == ["B-LOC", "B-PER", "I-LOC", "O", "I-PER"]
    split = data.split("test")
    for pieces, of_pieces, words in zip(words_of(data, "test"), split.tags, ("lowerlowland", "slowed"), strict=True):
        (entity,) = spans([data.label_names[tag] for tag in of_pieces])
        assert entity.end - entity.start > 1
        assert "".join(pieces[entity.start : entity.end]).replace("##", "") == words


def test_vectors_of_words_and_pieces_are_refused(tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text("low 1 2\n")
    with pytest.raises(ValueError, match=r"vectors=.* with tokenizer.subwords=bpe: .* accepted: one of the two"):
        PrepareOptions(vectors=str(tmp_path / "vectors.txt"), tokenizer=OPTIONS.tokenizer)
