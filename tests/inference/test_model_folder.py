import json
from pathlib import Path

import pytest
import torch

from tests.tiny import random_model, save_random_model, tiny_parts
from unroll.data.batches import SequentialBatches
from unroll.data.prepared import PreparedData
from unroll.data.schema import DataSchema
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import Task
from unroll.inference.model_folder import ModelFolder, build_model

MODELS = ["fcnn", "elman", "lstm", "gru", "bilstm", "awd_lstm", "bilstm_char_crf"]
TAGS = ["O", "B-PER", "I-PER"]


def schema_of(task: Task, label_names: list[str]) -> DataSchema:
    return DataSchema(task, label_names, ["word"] * 30, ["c"] * 20, Tokenizer(), is_pair=False)


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_gives_the_scores_of_the_saved_one(name: str, entities: PreparedData, tmp_path: Path) -> None:
    saved = random_model(entities, name)
    loaded = ModelFolder.load(save_random_model(entities, tmp_path / "model", name))

    assert not loaded.model.training
    assert loaded.schema.differences(entities.schema) == []
    for tokens, _, _ in SequentialBatches(entities.split("test"), 8, characters=True):
        before, after = saved.model(tokens), loaded.model(tokens)
        assert torch.equal(before, after)
        for found in ("decode", "probabilities"):
            heads = (saved.model.head, before), (loaded.model.head, after)
            assert torch.equal(*(getattr(head, found)(scores, tokens.lengths) for head, scores in heads))


def test_a_folder_is_weights_and_json_and_nothing_pickled(reviews: PreparedData, tmp_path: Path) -> None:
    save_random_model(reviews, tmp_path / "model", "lstm")
    files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    assert set(files) == {"weights.safetensors", "vocabulary.json", "alphabet.json", "tokenizer.json", "config.json"}
    assert json.loads(files["vocabulary.json"]) == reviews.schema.vocabulary
    assert json.loads(files["alphabet.json"]) == reviews.schema.alphabet
    assert json.loads(files["config.json"]) == {
        "task": "classification",
        "is_pair": False,
        "label_names": reviews.label_names,
        "model": tiny_parts("lstm")["model"],
    }
    header_size = int.from_bytes(files["weights.safetensors"][:8], "little")
    header = json.loads(files["weights.safetensors"][8 : 8 + header_size])
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    last_byte = max(entry["data_offsets"][1] for entry in tensors.values())
    assert len(files["weights.safetensors"]) == 8 + header_size + last_byte


def test_saving_again_replaces_the_folder(reviews: PreparedData, tmp_path: Path) -> None:
    save_random_model(reviews, tmp_path / "model", "lstm")
    save_random_model(reviews, tmp_path / "model", "gru")
    weights = random_model(reviews, "gru").model.state_dict()
    loaded = ModelFolder.load(tmp_path / "model").model.state_dict()
    assert weights.keys() == loaded.keys()
    assert all(torch.equal(weights[name], loaded[name]) for name in weights)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match=f"{folder} holds no trained model"):
            ModelFolder.load(folder)


def test_sizes_are_those_of_the_dataset() -> None:
    model = build_model(tiny_parts("bilstm_char_crf")["model"], schema_of("labeling", TAGS))
    assert model.embedding.words.num_embeddings == 30
    assert model.embedding.characters.characters.embedding.num_embeddings == 20
    assert model.head.output.out_features == model.head.crf.num_labels == len(TAGS)


@pytest.mark.parametrize("name", ["???", "${x}", "${", "$a", ""])
def test_a_label_may_have_any_name(name: str) -> None:
    model = build_model(tiny_parts("gru")["model"], schema_of("classification", ["a", name]))
    assert model.head.output.out_features == 2


@pytest.mark.parametrize(
    ("task", "key", "value", "message"),
    [
        ("classification", "pooling", "first", "pooling='first'; accepted: last, mean, max"),
        ("labeling", "head", "argmax", "head='argmax'; accepted: softmax, crf, constrained_crf"),
        ("labeling", "word_dropout", 1.5, "word_dropout=1.5; accepted: 0 to below 1"),
        ("labeling", "hidden_size", 0, "hidden_size=0; accepted: 1 or more"),
    ],
)
def test_values_that_the_network_refuses_are_named(task: Task, key: str, value: object, message: str) -> None:
    config = tiny_parts("lstm")["model"] | {key: value}
    with pytest.raises(ValueError, match=f"^model: {message}"):
        build_model(config, schema_of(task, TAGS))
