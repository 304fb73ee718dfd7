import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.tiny import forget_checksums, random_model, save_baseline, save_random_model, tiny_parts
from unroll.data.batches import SequentialBatches
from unroll.data.prepared import EncodedSplit, PreparedData
from unroll.data.schema import DataSchema
from unroll.data.tokenizer import Tokenizer
from unroll.data.tokens import Spelling, Task, Tokens
from unroll.inference.building import Model, build_model
from unroll.inference.trained_model import TrainedModel
from unroll.nn.heads import CRFHead, MultilabelHead

MODELS = ["fcnn", "elman", "lstm", "gru", "bilstm", "awd_lstm", "bilstm_char_crf"]
TAGS = ["O", "B-PER", "I-PER"]


def schema_of(task: Task, label_names: list[str]) -> DataSchema:
    return DataSchema(task, label_names, ["word"] * 30, ["c"] * 20, Tokenizer(), is_pair=False)


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_gives_the_scores_of_the_saved_one(name: str, entities: PreparedData, tmp_path: Path) -> None:
    saved = random_model(entities, name)
    loaded = TrainedModel.load(save_random_model(entities, tmp_path / "model", name))

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
    checksums = json.loads(files.pop("sha256.json"))
    assert checksums == {name: sha256(content).hexdigest() for name, content in files.items()}
    assert set(files) == {"weights.safetensors", "vocabulary.json", "alphabet.json", "tokenizer.json", "config.json"}
    assert json.loads(files["vocabulary.json"]) == reviews.schema.vocabulary
    assert json.loads(files["alphabet.json"]) == reviews.schema.alphabet
    assert json.loads(files["config.json"]) == {
        "task": "classification",
        "is_pair": False,
        "given_tokens": False,
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
    loaded = TrainedModel.load(tmp_path / "model").model.state_dict()
    assert weights.keys() == loaded.keys()
    assert all(torch.equal(weights[name], loaded[name]) for name in weights)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match=f"no trained model in {folder}"):
            TrainedModel.load(folder)


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
        ("classification", "pooling", "first", r"\.pooling='first': input should be 'last', 'mean'"),
        ("labeling", "head", "argmax", r"\.head='argmax': input should be 'softmax', 'crf' or 'constrained_crf'"),
        ("labeling", "word_dropout", 1.5, r"\.word_dropout=1\.5; accepted: 0 to below 1"),
        ("labeling", "hidden_size", 0, r"\.hidden_size=0; accepted: 1 or more"),
    ],
)
def test_values_that_the_network_refuses_are_named(task: Task, key: str, value: object, message: str) -> None:
    config = tiny_parts("lstm")["model"] | {key: value}
    with pytest.raises(ValueError, match=f"^model{message}"):
        build_model(config, schema_of(task, TAGS))


def predict_alone(model: Model, split: EncodedSplit, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The labels of one sequence and the probabilities of all labels, computed from the arrays without batches."""
    rows = np.array(split.tokens[split.offsets[index] : split.offsets[index + 1]])
    words, casing = (torch.from_numpy(ids[rows])[None] for ids in (split.table.words, split.table.casing))
    spelling = Spelling(torch.from_numpy(split.table.spell(rows)), torch.arange(len(rows))[None])
    lengths = torch.tensor([len(rows)])
    with torch.no_grad():
        scores = model(Tokens(words, casing, lengths, spelling))  # (1, L) or (1, T, L)
    if isinstance(model.head, CRFHead):
        return model.head.crf.decode(scores, lengths)[0], model.head.crf.marginals(scores, lengths)[0]
    if isinstance(model.head, MultilabelHead):
        probabilities = 1 / (1 + (-scores[0].double()).exp())
        return probabilities > 0.5, probabilities
    return scores[0].argmax(dim=-1), scores[0].double().softmax(dim=-1)


@pytest.mark.parametrize("task", ["classification", "labeling", "multilabel"])
@pytest.mark.parametrize("name", ["fcnn", "elman", "bilstm", "bilstm_char_crf"])
def test_predictions_are_in_the_order_of_the_split_for_every_batch_size(
    task: Task, name: str, prepared: dict[Task, PreparedData]
) -> None:
    split, trained = prepared[task].split("test"), random_model(prepared[task], name)
    expected = [predict_alone(trained.model, split, index) for index in range(len(split))]
    assert len({probabilities.numpy().tobytes() for _, probabilities in expected}) > 5

    for batch_size in (1, 5, 64):
        found = trained.predict(split, batch_size)

        assert len(found) == len(split)
        for (labels, probabilities, *_), (best, distribution) in zip(found, expected, strict=True):
            assert probabilities.dtype == np.float64
            np.testing.assert_array_equal(labels, best)
            np.testing.assert_allclose(probabilities, distribution, atol=1e-4)
            if task != "multilabel":
                np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-12)


def test_a_label_that_is_nearly_certain_has_a_complement_above_zero(topics: PreparedData) -> None:
    trained, split = random_model(topics, "gru"), topics.split("test")
    with torch.no_grad():
        trained.model.head.output.weight.zero_()
        trained.model.head.output.bias.fill_(20.0)  # whose sigmoid is exactly 1 in float32
    for found in trained.predict(split, 8):
        np.testing.assert_allclose(np.log(1 - found.probabilities), -20, rtol=1e-6)


def test_nothing_is_dropped_even_from_a_model_in_training(reviews: PreparedData) -> None:
    trained, split = random_model(reviews, "bilstm_char_crf"), reviews.split("test")
    expected = trained.predict(split, 8)
    trained.model.train()
    found = trained.predict(split, 8)
    for before, after in zip(expected, found, strict=True):
        np.testing.assert_array_equal(before.probabilities, after.probabilities)


FILES = ["weights.safetensors", "vocabulary.json", "alphabet.json", "tokenizer.json"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "deleted"])
def test_a_damaged_folder_is_noticed_and_named(name: str, damage: str, reviews: PreparedData, tmp_path: Path) -> None:
    folder = save_random_model(reviews, tmp_path / "model", "lstm")
    content = (folder / name).read_bytes()
    middle = len(content) // 2
    damaged = {
        "cut": content[:middle],
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "emptied": b"",
    }
    if damage == "deleted":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(damaged[damage])
    with pytest.raises(ValueError, match=f"^the model in {folder} cannot be used .*{name}") as refused:
        TrainedModel.load(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["task", "is_pair", "label_names", "model"])
@pytest.mark.parametrize("value", [None, 5, "x", [1], {"a": 1}])
def test_a_configuration_of_another_kind_is_refused_in_one_line(
    key: str, value: object, reviews: PreparedData, tmp_path: Path
) -> None:
    folder = save_random_model(reviews, tmp_path / "model", "lstm")
    forget_checksums(folder)
    config = json.loads((folder / "config.json").read_text()) | {key: value}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError) as refused:
        TrainedModel.load(folder)
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_without_checksums_is_loaded(reviews: PreparedData, tmp_path: Path) -> None:
    folder = save_random_model(reviews, tmp_path / "model", "lstm")
    forget_checksums(folder)
    assert TrainedModel.load(folder).schema.label_names == reviews.label_names


def changed(folder: Path, file: str, *keys: str, value: Any) -> None:
    """Set a value in a JSON file of the model in `folder`, whose checksums are deleted."""
    content = json.loads((folder / file).read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    (folder / file).write_text(json.dumps(content))
    forget_checksums(folder)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("hidden_size",), 100_000),
        (("hidden_size",), 10**12),
        (("hidden_size",), 10**30),
        (("embedding_size",), 10**9),
        (("casing_size",), -1),
        (("characters", "filters"), 10**7),
        (("encoder", "num_layers"), 10**30),
        (("encoder", "_target_"), "os.system"),
        (("encoder", "cell"), {"_target_": "os.system", "_args_": ["x"]}),
        (("encoder", "cell", "_args_"), [1]),
        (("dropout",), float("nan")),
        (("dropout",), {"_target_": "unroll.nn.LSTM"}),
    ],
)
def test_a_hostile_configuration_is_refused_before_memory_is_used(
    keys: tuple[str, ...], value: Any, entities: PreparedData, tmp_path: Path
) -> None:
    folder = save_random_model(entities, tmp_path / "model", "bilstm_char_crf")
    changed(folder, "config.json", "model", *keys, value=value)
    with pytest.raises(ValueError, match=f"^the model in {folder} cannot be used .*model") as refused:
        TrainedModel.load(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("key", "value"), [("split", "x"), ("split", None), ("nfc", {"_target_": "x"}), ("new", 1)])
def test_a_hostile_tokenizer_is_refused(key: str, value: Any, reviews: PreparedData, tmp_path: Path) -> None:
    folder = save_random_model(reviews, tmp_path / "model", "lstm")
    changed(folder, "tokenizer.json", key, value=value)
    with pytest.raises(ValueError, match=rf"^the model in {folder} cannot be used \(tokenizer\.json\.{key}"):
        TrainedModel.load(folder)


@pytest.mark.parametrize("name", ["majority", "tfidf", "crfsuite"])
def test_a_baseline_of_other_labels_is_refused(
    name: str, reviews: PreparedData, entities: PreparedData, tmp_path: Path
) -> None:
    data = reviews if name == "tfidf" else entities
    folder = save_baseline(data, tmp_path / "model", name)
    changed(folder, "config.json", "label_names", value=[f"{it}x" for it in data.label_names[1:]])
    with pytest.raises(ValueError, match=f"^the model in {folder} cannot be used .*; accepted|accepted: numbers"):
        TrainedModel.load(folder)


def test_a_file_that_is_cut_is_no_model_of_crfsuite(entities: PreparedData, tmp_path: Path) -> None:
    folder = save_baseline(entities, tmp_path / "model", "crfsuite")
    forget_checksums(folder)
    file = folder / "model.crfsuite"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.crfsuite is no complete model of CRFsuite"):
        TrainedModel.load(folder)


def _with_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """Change the weights of a model folder, as somebody would who makes new checksums or deletes them."""
    (file,) = folder.glob("*.safetensors")
    weights = load_file(file)
    change(weights)
    save_file(weights, file)
    forget_checksums(folder)
    return folder


NAME = "encoder.forward_cells.0.loop.weight_hh_l0"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: it.update({NAME: it[NAME].long()}), rf"{NAME} is int64 \(32, 8\); accepted: float32 \(32, 8\)"),
        (lambda it: it.update({NAME: it[NAME].bool()}), rf"{NAME} is bool"),
        (lambda it: it.update({NAME: it[NAME].to(torch.complex64)}), rf"{NAME} is complex64"),
        (lambda it: it.update({NAME: it[NAME].T.contiguous()}), rf"{NAME} is float32 \(8, 32\); accepted: float32"),
        (lambda it: it.update({NAME: it[NAME] * torch.nan}), rf"{NAME} is not finite"),
        (lambda it: it.update({NAME: it[NAME] * torch.inf}), rf"{NAME} is not finite"),
        (lambda it: it.update(x=torch.zeros(2)), "has the unknown x"),
        (lambda it: it.pop(NAME), rf"has no {NAME}"),
    ],
)
def test_weights_that_are_not_the_model_s_are_refused(
    change: Callable[[dict[str, torch.Tensor]], object], said: str, reviews: PreparedData, tmp_path: Path
) -> None:
    folder = _with_weights(save_random_model(reviews, tmp_path / "model", "lstm"), change)
    with pytest.raises(ValueError, match=said) as caught:
        TrainedModel.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_another_precision_are_read(
    precision: torch.dtype, reviews: PreparedData, tmp_path: Path
) -> None:  # as `trainer.precision=bf16-true` writes them
    folder = save_random_model(reviews, tmp_path / "model", "lstm")
    _with_weights(folder, lambda it: it.update({name: tensor.to(precision) for name, tensor in it.items()}))
    assert {it.dtype for it in TrainedModel.load(folder).model.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("tfidf", "idf", np.nan, "idf is not a number"),
        ("tfidf", "ngrams", 0, "ngrams are not increasing whole numbers"),
        ("majority", "counts", -1, "counts has negative numbers"),
    ],
)
def test_parameters_of_a_baseline_that_it_cannot_have_are_refused(
    name: str, key: str, value: float, said: str, reviews: PreparedData, tmp_path: Path
) -> None:
    folder = save_baseline(reviews, tmp_path / "model", name)
    _with_weights(folder, lambda it: it.update({key: torch.full_like(it[key], value)}))
    with pytest.raises(ValueError, match=said):
        TrainedModel.load(folder)


@pytest.mark.parametrize("file", ["vocabulary.json", "config.json"])
def test_a_name_that_stands_twice_is_refused(file: str, reviews: PreparedData, tmp_path: Path) -> None:
    folder = save_random_model(reviews, tmp_path / "model", "lstm")
    content = json.loads((folder / file).read_text())
    names = content if file == "vocabulary.json" else content["label_names"]
    names[-1] = names[0]
    (folder / file).write_text(json.dumps(content))
    forget_checksums(folder)
    with pytest.raises(ValueError, match="has the same text twice"):
        TrainedModel.load(folder)


@pytest.mark.parametrize("keep", [False, True])
def test_a_link_out_of_the_folder_needs_a_checksum(keep: bool, reviews: PreparedData, tmp_path: Path) -> None:
    folder = save_random_model(reviews, tmp_path / "model", "lstm")
    for name in ("vocabulary.json", "sha256.json"):  # as DVC links them to its cache
        (folder / name).rename(tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
    TrainedModel.load(folder)

    other = "notes" if keep else "vocabulary.json"
    if keep:
        (folder / other).symlink_to(tmp_path)
    else:
        forget_checksums(folder)
    with pytest.raises(ValueError, match=rf"{other}: a link out of the folder, without a checksum in sha256\.json"):
        TrainedModel.load(folder)


def test_a_link_within_the_folder_is_read(reviews: PreparedData, tmp_path: Path) -> None:
    folder = save_random_model(reviews, tmp_path / "model", "lstm")
    (folder / "vocabulary.json").rename(folder / "words.json")
    (folder / "vocabulary.json").symlink_to("words.json")
    (tmp_path / "link").symlink_to(folder)
    TrainedModel.load(tmp_path / "link")
