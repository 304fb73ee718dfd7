"""The prepare stage on small raw folders; see also test_quarantine.py and test_carving.py."""

import zipfile
from dataclasses import replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.raw import (
    ENTITIES,
    NAMES,
    OPTIONS,
    REVIEWS,
    TAGS,
    Columns,
    contents,
    raw_reviews,
    raw_train_and_test,
    texts,
    words_of,
    write_raw,
)
from unroll.data.prepare.prepare import PrepareOptions, prepare
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.source import SPLITS
from unroll.data.text import casing
from unroll.data.tokens import PADDING


def test_texts_come_back_through_the_vocabulary(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "raw", train=texts("It isn't GOOD!", "so so", labels=[1, 0]))
    description = prepare(REVIEWS, raw, tmp_path / "out", OPTIONS)
    data = PreparedData(tmp_path / "out")
    assert data.description == description
    assert data.label_names == NAMES
    assert words_of(data, "train") == [["it", "isn't", "good", "!"], ["so", "so"]]
    train = data.split("train")
    assert train.table.casing[train.tokens].tolist() == [
        casing(token) for token in ("It", "isn't", "GOOD", "!", "so", "so")
    ]
    assert train.tokens.tolist() == [1, 2, 3, 4, 5, 5]
    assert train.labels.tolist() == [1, 0]
    assert train.rows.tolist() == [0, 1]
    assert description["splits"]["train"] == {
        "rows": 2,
        "left_out": 0,
        "too_long": 0,
        "tokens": 6,
        "unknown_share": 0.0,
    }
    assert description["source"] == {"path": "acme/reviews", "name": None, "revision": "main", "commit": "a" * 40}


def without_orphans(pairs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Pairs of a token and the id of a tag; I-LOC after O or at the start is replaced by B-LOC."""
    before = [0, *(tag for _, tag in pairs)]
    return [(token, 1 if tag == 2 and last == 0 else tag) for (token, tag), last in zip(pairs, before, strict=False)]


sentence = st.lists(
    st.tuples(st.sampled_from(["in", "Oslo", "Rio", "U.N.", "3"]), st.sampled_from(range(3))), min_size=1
).map(without_orphans)


@settings(max_examples=25)
@given(st.lists(sentence, min_size=1, max_size=6))
def test_sentences_and_their_tags_come_back(sentences: list[list[tuple[str, int]]]) -> None:
    columns = {
        "tokens": [[token for token, _ in pairs] for pairs in sentences],
        "tags": [[tag for _, tag in pairs] for pairs in sentences],
    }
    with TemporaryDirectory() as folder:
        raw = write_raw(Path(folder) / "raw", dict.fromkeys(SPLITS, columns), TAGS)
        prepare(ENTITIES, raw, Path(folder) / "out", OPTIONS)
        data = PreparedData(Path(folder) / "out")
        for split in SPLITS:
            encoded = data.split(split)
            assert words_of(data, split) == [[token.lower() for token in tokens] for tokens in columns["tokens"]]
            assert encoded.labels.tolist() == list(chain(*columns["tags"]))
            assert encoded.lengths.tolist() == [len(tokens) for tokens in columns["tokens"]]


def test_the_vocabulary_is_of_train_alone(tmp_path: Path) -> None:
    raw = raw_reviews(
        tmp_path / "raw",
        train=texts("good", "bad"),
        validation=texts("Good grief", "bad"),
        test=texts("good heavens", "Heavens"),
    )
    description = prepare(REVIEWS, raw, tmp_path / "out", OPTIONS)
    data = PreparedData(tmp_path / "out")
    assert sorted(data.schema.vocabulary) == ["<pad>", "<unk>", "bad", "good"]
    assert words_of(data, "test") == [["good", "<unk>"], ["<unk>"]]
    assert words_of(data, "validation") == [["good", "<unk>"], ["bad"]]
    assert description["vocabulary_size"] == 4
    assert description["splits"]["test"]["unknown_share"] == pytest.approx(2 / 3)


def test_words_seen_fewer_times_than_min_count_are_unknown(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "raw", train=texts("Good good rare", "good bad BAD"))
    prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions(min_count=2))
    data = PreparedData(tmp_path / "out")
    assert data.schema.vocabulary == ["<pad>", "<unk>", "good", "bad"]
    assert words_of(data, "train")[0] == ["good", "good", "<unk>"]


def test_the_words_of_a_vectors_file_follow_those_of_train(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text("good 1 2\n<unk> 3 4\nHeavens 5 6\nearth 7 8\n")
    raw = raw_reviews(tmp_path / "raw", train=texts("good", "bad"), test=texts("good heavens", "hell"))
    prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions(vectors=str(tmp_path / "glove.txt")))
    data = PreparedData(tmp_path / "out")
    assert data.schema.vocabulary == ["<pad>", "<unk>", "bad", "good", "heavens", "earth"]
    assert words_of(data, "test") == [["good", "heavens"], ["<unk>"]]


def test_the_words_outside_the_vocabulary_are_kept_for_models_that_know_them(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "raw", train=texts("Good good rare", "good"), test=texts("Good HEAVENS <pad>"))
    prepare(REVIEWS, raw, tmp_path / "out", PrepareOptions(min_count=2))
    joined = PreparedData(tmp_path / "out").joined(["heavens", "rare", "other"])
    assert joined.schema.vocabulary == ["<pad>", "<unk>", "good", "heavens", "rare", "other"]
    assert words_of(joined, "train") == [["good", "good", "rare"], ["good"]]
    assert words_of(joined, "test")[0] == ["good", "heavens", *["<unk>"] * (len(words_of(joined, "test")[0]) - 2)]


@pytest.mark.parametrize(
    ("limit", "added"), [(2, ["heavens"]), (3, ["heavens", "earth"]), (None, ["heavens", "earth"])]
)
def test_of_a_vectors_file_the_first_words_are_added_up_to_a_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: int | None, added: list[str]
) -> None:
    (tmp_path / "glove.txt").write_text("good 1 2\nGood 1 2\nHeavens 5 6\nearth 7 8\n")
    raw = raw_reviews(tmp_path / "raw", train=texts("good", "bad"), test=texts("good earth", "hell"))
    options = PrepareOptions(vectors=str(tmp_path / "glove.txt"), vectors_limit=limit, processes=1)
    prepare(REVIEWS, raw, tmp_path / "out", options)
    assert PreparedData(tmp_path / "out").schema.vocabulary == ["<pad>", "<unk>", "bad", "good", *added]
    said = f"{4 + len(added)} words in the vocabulary, {len(added)} of them from {tmp_path}/glove.txt, vectors_limit="
    assert said + (str(limit) if limit else "null") in capsys.readouterr().out


def test_an_archive_with_several_files_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "glove.zip", "w") as archive:
        archive.writestr("a.txt", "good 1 2\n"), archive.writestr("b.txt", "good 1 2 3\n")
    with pytest.raises(ValueError, match=r"glove\.zip contains 2 files; accepted: vectors=.*glove\.zip::a\.txt, "):
        PrepareOptions(vectors=str(tmp_path / "glove.zip"))


def test_a_missing_vectors_file_is_named() -> None:
    with pytest.raises(ValueError, match=r"vectors=absent\.txt: no such file.*; accepted: a GloVe"):
        PrepareOptions(vectors="absent.txt")


def spellings_of(data: PreparedData, split: str) -> list[str]:
    """The characters of each token, looked up in the alphabet."""
    spelt = data.table.spell(data.split(split).tokens)
    return ["".join(data.schema.alphabet[i] for i in characters if i != PADDING) for characters in spelt]


def test_tokens_come_back_through_the_alphabet(tmp_path: Path) -> None:
    raw = raw_reviews(tmp_path / "raw", train=texts("noon no", "On! On"), test=texts("Noon.", "no"))
    prepare(REVIEWS, raw, tmp_path / "out", OPTIONS)
    data = PreparedData(tmp_path / "out")
    assert spellings_of(data, "train") == ["noon", "no", "<unk>n", "<unk>", "<unk>n"]
    assert spellings_of(data, "test") == ["<unk>oon", "<unk>", "no"]


def test_the_alphabet_is_of_train_alone_without_the_characters_of_a_single_word(tmp_path: Path) -> None:
    raw = raw_reviews(
        tmp_path / "raw",
        train=texts("good dog", "jazz jazz jazz"),
        validation=texts("zoo", "zebra"),
        test=texts("zoo", "zebra"),
    )
    prepare(REVIEWS, raw, tmp_path / "out", OPTIONS)
    data = PreparedData(tmp_path / "out")
    assert data.schema.alphabet == ["<pad>", "<unk>", "d", "g", "o"]
    assert spellings_of(data, "test") == ["<unk>oo", "<unk>" * 5]


@pytest.mark.parametrize("with_validation", [True, False])
def test_two_runs_give_the_same_bytes(tmp_path: Path, with_validation: bool) -> None:
    raw = (raw_reviews if with_validation else raw_train_and_test)(tmp_path / "raw")
    for name in ("first", "second"):
        prepare(REVIEWS, raw, tmp_path / name, OPTIONS)
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_the_checksum_is_of_the_data(tmp_path: Path) -> None:
    def checksum(name: str, **splits: Columns) -> str:
        raw = raw_reviews(tmp_path / name, **splits)
        return prepare(REVIEWS, raw, tmp_path / "out", OPTIONS)["checksum"]

    usual = checksum("usual")
    assert checksum("same") == usual
    assert checksum("label", test=texts("fine test", "bad one", labels=[1, 1])) != usual
    assert checksum("word", train=texts("fine train", "worse one")) != usual
    # Two characters with the same lower case: only the alphabet differs.
    assert checksum("theta", train=texts("Θ", "Θa")) != checksum("symbol", train=texts("\u03f4", "\u03f4a"))


def test_string_labels_without_declared_names_are_those_of_train(tmp_path: Path) -> None:
    columns = texts("fine", "awful", labels=["up", "down"])
    raw = write_raw(tmp_path / "raw", dict.fromkeys(SPLITS, columns), None)
    assert prepare(REVIEWS, raw, tmp_path / "out", OPTIONS)["label_names"] == ["down", "up"]
    assert PreparedData(tmp_path / "out").split("test").labels.tolist() == [1, 0]


def test_tags_that_are_not_iob2_are_an_error(tmp_path: Path) -> None:
    columns = {"tokens": [["in", "Oslo"]], "tags": [["O", "LOC"]]}
    raw = write_raw(tmp_path / "raw", dict.fromkeys(SPLITS, columns), None)
    with pytest.raises(ValueError, match=r"'LOC' is not a tag of the scheme 'iob2' .*: 'O', 'B-TYPE', 'I-TYPE'"):
        prepare(ENTITIES, raw, tmp_path / "out", OPTIONS)


def test_a_failure_keeps_what_was_prepared_before(tmp_path: Path) -> None:
    prepare(REVIEWS, raw_reviews(tmp_path / "raw"), tmp_path / "out", OPTIONS)
    before = contents(tmp_path / "out")
    with pytest.raises(ValueError):
        prepare(REVIEWS, raw_reviews(tmp_path / "worse", train=texts("", "")), tmp_path / "out", OPTIONS)
    assert contents(tmp_path / "out") == before


def test_a_folder_that_was_not_downloaded_is_an_error_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"python pipelines/download\.py dataset=NAME output="):
        prepare(REVIEWS, tmp_path / "reviews", tmp_path / "out", OPTIONS)


def test_a_column_that_was_not_downloaded_is_named(tmp_path: Path) -> None:
    source = replace(REVIEWS, columns={"text": "txt", "label": "label"})
    with pytest.raises(
        ValueError, match=r"dataset\.columns\.text='txt': .*train\.parquet has no such column; accepted: text"
    ):
        prepare(source, raw_reviews(tmp_path / "raw"), tmp_path / "out", OPTIONS)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("min_count", 0),
        ("validation_fraction", 0.0),
        ("validation_fraction", 1.0),
        ("max_bad_share", -0.1),
        ("max_bad_share", 1.1),
        ("seed", -1),
    ],
)
def test_an_option_out_of_range_is_named(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{option}={value}; accepted: "):
        PrepareOptions(**{option: value})


@pytest.mark.parametrize(
    ("name", "sizes"), [("rotten_tomatoes", (8530, 1066, 1066)), ("conll2003", (14041, 3250, 3453))]
)
def test_public_data_are_used_to_the_last_row(
    shared_datasets: Path, tmp_path: Path, name: str, sizes: tuple[int, int, int]
) -> None:
    from unroll.data.download.download import download

    source = {
        "rotten_tomatoes": replace(REVIEWS, path=str(shared_datasets / name)),
        "conll2003": replace(
            ENTITIES, path=str(shared_datasets / name), columns={"tokens": "tokens", "labels": "ner_tags"}
        ),
    }[name]
    download(source, tmp_path / "raw")
    description = prepare(source, tmp_path / "raw", tmp_path / "out", PrepareOptions(max_bad_share=0))
    assert tuple(description["splits"][split]["rows"] for split in SPLITS) == sizes
    data = PreparedData(tmp_path / "out")
    for split in SPLITS:
        encoded: EncodedSplit = data.split(split)
        raw = pq.read_table(tmp_path / "raw" / f"{split}.parquet")[source.columns.get("label", "ner_tags")].to_pylist()
        flat = raw if source.task == "classification" else [tag for tags in raw for tag in tags]
        assert encoded.labels.tolist() == flat
