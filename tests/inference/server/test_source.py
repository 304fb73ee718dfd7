import json
import os
from pathlib import Path

import pytest

from tests.tiny import save_random_model
from unroll.data.prepared import PreparedData
from unroll.files import delete
from unroll.inference.server.source import FolderSource, RegisteredName


@pytest.fixture
def model(reviews: PreparedData, tmp_path: Path) -> Path:
    return save_random_model(reviews, tmp_path / "models" / "reviews" / "gru" / "1" / "model")


def test_a_run_folder_stands_for_the_model_in_it(model: Path, tmp_path: Path) -> None:
    for path in (model, model.parent):
        served = FolderSource(path).copy(FolderSource(path).version(), tmp_path / f"copy of {path.name}")
        assert served.name == "reviews/gru/1"
        assert (served.folder / "config.json").read_bytes() == (model / "config.json").read_bytes()


def test_what_clients_learn_of_a_model_is_in_its_configuration(model: Path, tmp_path: Path) -> None:
    source = FolderSource(model)
    facts = source.copy(source.version(), tmp_path / "copy").facts()

    assert facts["task"] == "classification" and facts["labels"] == ["negative", "positive"]
    assert str(tmp_path) not in json.dumps(facts)


def test_the_version_changes_with_the_content_only(reviews: PreparedData, model: Path) -> None:
    source = FolderSource(model)
    first = source.version()
    os.utime(model / "config.json", (1, 1))
    assert source.version() == first
    save_random_model(reviews, model, seed=1)
    assert source.version() != first
    save_random_model(reviews, model, seed=0)
    assert source.version() == first


def test_a_model_without_checksums_has_a_version_too(model: Path, tmp_path: Path) -> None:
    delete(model / "sha256.json")
    source = FolderSource(model)
    first = source.version()
    assert source.copy(first, tmp_path / "copy").version == first
    (model / "config.json").write_text((model / "config.json").read_text() + " ")
    assert source.version() != first


def test_a_damaged_model_is_not_copied(model: Path, tmp_path: Path) -> None:
    source = FolderSource(model)
    (model / "vocabulary.json").write_text("[]")

    with pytest.raises(ValueError, match=r"vocabulary\.json changed while it was copied"):
        source.copy(source.version(), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_model_that_was_replaced_meanwhile_is_not_copied_under_the_old_version(
    reviews: PreparedData, model: Path, tmp_path: Path
) -> None:
    source = FolderSource(model)
    version = source.version()
    save_random_model(reviews, model, seed=1)

    with pytest.raises(ValueError, match="the model changed while it was copied"):
        source.copy(version, tmp_path / "copy")


def test_a_model_that_is_being_deleted_is_not_taken_for_one_without_checksums(model: Path) -> None:
    source = FolderSource(model)
    delete(model / "sha256.json")

    with pytest.raises(ValueError, match="no trained model in this folder any more"):
        source.version()


def test_a_model_that_is_deleted_has_no_version(model: Path) -> None:
    source = FolderSource(model)
    delete(model)

    with pytest.raises(ValueError, match="no trained model in this folder any more"):
        source.version()


@pytest.mark.parametrize(("name", "what"), [("empty", "no trained model in this folder"), ("none", "no such folder")])
def test_a_folder_without_a_model_is_an_error_with_what_is_accepted(
    name: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # without models/, which the message would name
    (tmp_path / "empty").mkdir()

    with pytest.raises(ValueError, match=rf"{name}: {what}; accepted: a run folder .*pipelines/train\.py"):
        FolderSource(tmp_path / name)


@pytest.mark.parametrize(
    ("uri", "parts"), [("models:/a b@champion", ("a b", "champion", True)), ("models:/name/12", ("name", "12", False))]
)
def test_a_registered_model_is_named_by_alias_or_version(uri: str, parts: tuple[str, str, bool]) -> None:
    assert RegisteredName.parse(uri) == parts


@pytest.mark.parametrize("uri", ["models:/", "models:/name", "models:/name/latest", "runs:/abc", "models:/a/b/c"])
def test_another_uri_is_an_error(uri: str) -> None:
    with pytest.raises(ValueError, match=rf"^{uri}: .*accepted: models:/NAME@ALIAS or models:/NAME/VERSION"):
        RegisteredName.parse(uri)
