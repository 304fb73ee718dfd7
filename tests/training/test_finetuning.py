"""How fast each layer of a network that begins with pretrained weights learns, and from when on."""

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from tests.tiny import CONF, OPTIONS, tiny_parts
from tests.training.pretrained_folders import ADDED, save_language_model
from tests.training.processes import train_apart
from tests.training.test_resume import die_at, result_of
from unroll.data.prepared import PreparedData
from unroll.data.pretrained import Pretrained
from unroll.data.tokens import SPECIAL_WORDS
from unroll.inference.building import build_model
from unroll.inference.trained_model import TrainedModel
from unroll.nn import SequenceModel
from unroll.training.finetuning import FineTuning, layers
from unroll.training.module import SequenceTask
from unroll.training.options import TrainOptions
from unroll.training.train import train

NONE = FineTuning()


def network(data: PreparedData, model: str) -> SequenceModel:
    built = build_model(tiny_parts(model)["model"], data.schema)
    assert isinstance(built, SequenceModel)
    return built


@pytest.fixture
def options(reviews: PreparedData, tmp_path: Path) -> TrainOptions:
    """Those of a training that begins with a language model of `awd_lstm`."""
    save_language_model(tmp_path / "lm", reviews, "awd_lstm")
    return replace(OPTIONS, pretrained=str(tmp_path / "lm"))


def parts_of(max_epochs: int = 3, **finetune: Any) -> dict[str, Any]:
    return tiny_parts("awd_lstm", max_epochs=max_epochs) | {"finetune": finetune}


@pytest.mark.parametrize("model", ["awd_lstm", "fcnn", "lru", "bilstm_char_crf"])
def test_a_network_is_divided_into_its_layers_from_the_top(model: str, entities: PreparedData) -> None:
    built = network(entities, model)
    names = {id(parameter): name for name, parameter in built.named_parameters()}
    found = [[names[id(it)] for it in layer] for layer in layers(built)]
    assert sorted(name for layer in found for name in layer) == sorted(names.values())
    assert all(name.startswith("head.") for name in found[0])
    assert all(name.startswith("embedding.") for name in found[-1])
    encoder = found[1:-1]
    assert len(encoder) == {"awd_lstm": 2, "fcnn": 1, "lru": 2, "bilstm_char_crf": 1}[model]
    for depth, layer in enumerate(reversed(encoder)):
        assert all(name.startswith("encoder.") and (f".{depth}." in name or model == "fcnn") for name in layer)


def test_each_layer_has_the_rate_of_the_one_above_divided_by_the_decay(reviews: PreparedData) -> None:
    model, tuning = network(reviews, "awd_lstm"), FineTuning(layer_decay=2.0)
    optimizer = torch.optim.SGD(tuning.groups(model), lr=0.8)
    tuning.slow_down(optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.8, 0.4, 0.2, 0.1])


def test_frozen_vectors_of_words_are_in_no_group(reviews: PreparedData) -> None:
    model, tuning = network(reviews, "awd_lstm"), FineTuning(2.0, freeze_embeddings=True)
    tuning.freeze(model, reviews.split("train"))
    tuned = [id(it) for group in tuning.groups(model) for it in group["params"]]
    assert id(model.embedding.words.weight) not in tuned
    assert len(tuned) == len([*model.parameters()]) - 1


def test_without_fine_tuning_all_parameters_are_one_group(reviews: PreparedData) -> None:
    model = network(reviews, "awd_lstm")
    (group,) = NONE.groups(model)
    assert list(map(id, group["params"])) == list(map(id, model.parameters()))


class Watcher(Callback):
    """Keeps the weights after each epoch."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.weights.append({name: it.detach().clone() for name, it in module.model.named_parameters()})

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.on_train_start(trainer, module)

    def changed(self, epoch: int) -> set[str]:
        """What has changed in an epoch, counted from 0: `head`, `embedding`, or the number of a layer."""
        before, after = self.weights[epoch : epoch + 2]
        changed = {name for name, it in after.items() if not torch.equal(before[name], it)}
        return {name.split(".")[2] if name.startswith("encoder") else name.split(".")[0] for name in changed}


def test_one_more_layer_is_trained_in_each_epoch(reviews: PreparedData, options: TrainOptions, tmp_path: Path) -> None:
    watcher = Watcher()
    train(reviews, parts_of(5, gradual_unfreezing=True), options, tmp_path / "run", callbacks=[watcher])
    expected = [{"head"}, {"head", "1"}, {"head", "1", "0"}, *2 * [{"head", "1", "0", "embedding"}]]
    assert [watcher.changed(epoch) for epoch in range(5)] == expected


def test_frozen_vectors_of_words_stay_and_all_else_is_trained(
    reviews: PreparedData, options: TrainOptions, tmp_path: Path
) -> None:
    watcher = Watcher()
    result = train(reviews, parts_of(1, freeze_embeddings=True), options, tmp_path / "run", callbacks=[watcher])
    before, after = watcher.weights
    assert [name for name, it in after.items() if torch.equal(before[name], it)] == ["embedding.words.weight"]
    trained = TrainedModel.load(tmp_path / "run/model")
    assert result["parameters"] == trained.model.num_parameters  # frozen ones are part of the model too


def test_vectors_of_words_that_train_does_not_contain_stay_and_are_in_no_optimizer(
    reviews: PreparedData, options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, parts = Watcher(), parts_of(2)
    parts["optimizer"]["weight_decay"] = 0.0
    train(reviews, parts, options, tmp_path / "run", callbacks=[watcher])
    trained = TrainedModel.load(tmp_path / "run/model")
    size = len(trained.schema.vocabulary)
    occurs = reviews.joined(trained.schema.vocabulary).split("train").word_counts(size) > 0
    occurs[SPECIAL_WORDS.index("<unk>")] = True
    assert set(ADDED).isdisjoint(np.array(trained.schema.vocabulary)[occurs])
    sizes = [len(weights["embedding.words.weight"]) for weights in watcher.weights]
    assert sizes == 3 * [occurs.sum() + 1]  # the padding
    pretrained = Pretrained.load(tmp_path / "lm")
    rows = [pretrained.vocabulary.index(word) for word in ADDED]
    mine = [trained.schema.vocabulary.index(word) for word in ADDED]
    vectors = trained.model.embedding.words.weight.detach().numpy()
    assert (vectors[mine] == pretrained.weights["words"][rows]).all()

    monkeypatch.setattr(FineTuning, "freeze", lambda *_: None)
    train(reviews, parts, options, tmp_path / "all")
    expected = TrainedModel.load(tmp_path / "all/model").model.state_dict()
    torch.testing.assert_close(trained.model.state_dict(), expected, atol=1e-5, rtol=1e-4)


def test_the_rates_follow_the_schedule_in_every_layer(
    reviews: PreparedData, options: TrainOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[float]] = []

    def rates(task: SequenceTask, outputs: Any, batch: Any, index: int) -> None:
        seen.append([group["lr"] for group in task.trainer.optimizers[0].param_groups])

    monkeypatch.setattr(SequenceTask, "on_train_batch_end", rates)
    parts = parts_of(1, layer_decay=2.6)
    parts["scheduler"] = yaml.safe_load((CONF / "scheduler/slanted_triangular.yaml").read_text())
    train(reviews, parts, options, tmp_path / "run")
    assert len({round(step[0], 9) for step in seen}) > 3
    for step in seen:
        assert step == pytest.approx([step[0] / 2.6**depth for depth in range(4)])


def test_a_killed_fine_tuning_ends_as_an_uninterrupted_one(
    reviews: PreparedData, options: TrainOptions, tmp_path: Path
) -> None:
    """Killed in the second epoch, after one layer has been unfrozen and before the others are."""
    parts = parts_of(3, gradual_unfreezing=True, layer_decay=2.0)
    assert train_apart(reviews, tmp_path / "whole", parts, options) == 0
    die = partial(die_at, 9, SequenceTask, "training_step")
    assert train_apart(reviews, tmp_path / "killed", parts, options, die) == -signal.SIGKILL
    assert os.listdir(tmp_path / "killed/checkpoints")
    assert train_apart(reviews, tmp_path / "killed", parts, options) == 0
    assert result_of(tmp_path / "killed") == result_of(tmp_path / "whole")


def test_fine_tuning_without_anything_pretrained_is_refused(reviews: PreparedData, tmp_path: Path) -> None:
    said = r"^finetune\.layer_decay=2\.6, but the network begins with random weights; accepted: with pretrained=NAME "
    with pytest.raises(ValueError, match=said):
        train(reviews, parts_of(1, layer_decay=2.6), OPTIONS, tmp_path / "run")
    assert FineTuning.of({"layer_decay": 1.0}, OPTIONS) == FineTuning.of(None, OPTIONS) == NONE


def test_vectors_from_a_file_can_be_frozen_too(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text(f"{ADDED[0]} 1 2\n")
    options = replace(OPTIONS, vectors=str(tmp_path / "glove.txt"))
    assert FineTuning.of({"freeze_embeddings": True}, options).freeze_embeddings


@pytest.mark.parametrize(
    ("finetune", "said"),
    [
        ({"layer_decay": 0.5}, r"^finetune\.layer_decay=0\.5; accepted: 1 or more$"),
        ({"layer_decay": "x"}, r"^finetune\.layer_decay='x': "),
        (
            {"freeze_embedding": True},
            r"^finetune\.freeze_embedding: unknown key \(did you mean 'freeze_embeddings'\?\); accepted: layer_",
        ),
    ],
)
def test_values_that_are_not_accepted_are_named(finetune: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FineTuning.of(finetune, OPTIONS)


@pytest.mark.parametrize("file", sorted((CONF / "finetune").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_file_is_accepted(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    made = FineTuning(**content.get("finetune", content))
    assert (made == NONE) == (file.stem == "none")
