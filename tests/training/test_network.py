"""Word embeddings initialised with pretrained vectors; tests/data/vectors tests reading the files."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import OPTIONS, random_model, tiny_parts
from unroll.data.prepared import PreparedData
from unroll.inference.trained_model import TrainedModel
from unroll.training.network import start_from_vectors
from unroll.training.train import train

WIDTH = tiny_parts("gru")["model"]["embedding_size"]
FOUND = ("good", "not", "warm")


def write_vectors(path: Path, words: tuple[str, ...], width: int = WIDTH) -> dict[str, np.ndarray]:
    """Write a file with a random vector for each word; return the vectors."""
    vectors = {word: np.random.default_rng(i).normal(size=width).astype(np.float32) for i, word in enumerate(words)}
    path.write_text("".join(f"{word} {' '.join(map(str, vector))}\n" for word, vector in vectors.items()))
    return vectors


def test_words_that_the_file_has_begin_as_its_vectors_and_the_others_as_ever(
    reviews: PreparedData, tmp_path: Path
) -> None:
    vectors = write_vectors(tmp_path / "vectors.txt", (*FOUND, "zyzzyva"))
    model = random_model(reviews, "gru").model
    before = {name: weight.clone() for name, weight in model.state_dict().items()}

    start_from_vectors(model, reviews.schema, str(tmp_path / "vectors.txt"))

    after = model.state_dict()
    for row, word in enumerate(reviews.schema.vocabulary):
        expected = vectors[word] if word in FOUND else before["embedding.words.weight"][row]
        np.testing.assert_array_equal(after["embedding.words.weight"][row], expected)
    assert [name for name in after if not torch.equal(after[name], before[name])] == ["embedding.words.weight"]


def test_data_prepared_with_the_words_of_a_file_are_not_trained_without_it(
    reviews: PreparedData, tmp_path: Path
) -> None:
    data = PreparedData(reviews.folder)
    data.description = data.description | {"vectors": "glove.txt"}
    with pytest.raises(ValueError, match=r"was prepared with the words of glove\.txt, .* without vectors=glove\.txt"):
        train(data, tiny_parts("gru", max_epochs=1), OPTIONS, tmp_path)


def test_a_training_starts_from_the_vectors_and_prints_how_many(
    reviews: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "vectors.txt"
    vectors = write_vectors(path, FOUND)
    parts = tiny_parts("gru", max_epochs=1)
    parts["optimizer"] |= {"lr": 0.0}

    train(reviews, parts, replace(OPTIONS, vectors=str(path)), tmp_path / "run")

    size = len(reviews.schema.vocabulary)
    assert f"{path}: vectors of 3 of {size} words ({3 / size:.1%})\n" in capsys.readouterr().out
    weights = TrainedModel.load(tmp_path / "run" / "model").model.embedding.words.weight.detach()
    for word in FOUND:
        np.testing.assert_array_equal(weights[reviews.schema.vocabulary.index(word)], vectors[word])


def test_vectors_are_trained_further(reviews: PreparedData, tmp_path: Path) -> None:
    vectors = write_vectors(tmp_path / "vectors.txt", FOUND)
    train(reviews, tiny_parts("gru"), replace(OPTIONS, vectors=str(tmp_path / "vectors.txt")), tmp_path / "run")
    weights = TrainedModel.load(tmp_path / "run" / "model").model.embedding.words.weight.detach()
    assert not np.array_equal(weights[reviews.schema.vocabulary.index("good")], vectors["good"])


def test_vectors_of_another_width_are_refused_with_both_keys(reviews: PreparedData, tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    write_vectors(path, FOUND, width=WIDTH + 1)
    with pytest.raises(ValueError) as error:
        start_from_vectors(random_model(reviews, "gru").model, reviews.schema, str(path))
    for part in (f"vectors={path}", f"model.embedding_size={WIDTH};", f"accepted: model.embedding_size={WIDTH + 1}"):
        assert part in str(error.value)


def test_of_an_archive_the_file_with_vectors_of_the_models_size_is_taken(
    reviews: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = random_model(reviews, "gru").model
    with zipfile.ZipFile(tmp_path / "glove.zip", "w") as archive:
        for width in (WIDTH + 1, WIDTH):
            write_vectors(tmp_path / "vectors.txt", FOUND, width)
            archive.write(tmp_path / "vectors.txt", f"glove.{width}d.txt")
    start_from_vectors(model, reviews.schema, f"{tmp_path}/glove.zip")
    assert f"glove.zip::glove.{WIDTH}d.txt: vectors of 3 of" in capsys.readouterr().out
    expected = write_vectors(tmp_path / "vectors.txt", FOUND)["good"]
    weights = model.embedding.words.weight.detach()
    np.testing.assert_array_equal(weights[reviews.schema.vocabulary.index("good")], expected)


def test_a_file_that_is_not_there_is_named(reviews: PreparedData, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing\.txt"):
        start_from_vectors(random_model(reviews, "gru").model, reviews.schema, str(tmp_path / "missing.txt"))
