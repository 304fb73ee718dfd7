"""A model's configuration can name parts of models, and cannot make the program do anything else."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import forget_checksums, save_random_model, tiny_parts
from unroll.data.prepared import PreparedData
from unroll.inference.building import build_model, check_model
from unroll.inference.predictor import Predictor
from unroll.inference.trained_model import TrainedModel
from unroll.nn import LSTM, CharacterCNN, SequenceModel

CALLS: list[str] = []


def record_call(*args: Any, **kwargs: Any) -> None:
    """What a hostile configuration asks for."""
    CALLS.append("called")


HOSTILE_TARGETS = [
    f"{__name__}.record_call",
    "os.system",
    "subprocess.run",
    "builtins.eval",
    "pathlib.Path.write_text",
    "pandas.read_pickle",
    "torch.load",
    "hydra.utils.instantiate",
    "unroll.files.delete",
    "unroll.tracking.git._git",
    "unroll.nn.model.load_file",
    "unroll.nn.SequenceModel.load",
    "unroll.nn.torch.load",
    "unroll.baselines.base.Path",
    "unroll.inference.building.build_model",
    ["os.system"],
    {"_target_": "os.system"},
    None,
    5,
    "",
]


def config(**changes: Any) -> dict[str, Any]:
    return tiny_parts("bilstm_char_crf")["model"] | changes


def hostile(target: Any) -> list[dict[str, Any]]:
    """The target at every depth of a configuration."""
    call = {"_target_": target, "command": "true"}
    encoder, characters = config()["encoder"], config()["characters"]
    return [
        call,
        config(encoder=call),
        config(encoder=call | {"_partial_": True}),
        config(encoder=encoder | {"cell": call}),
        config(encoder=encoder | {"cell": encoder["cell"] | {"weight_dropout": call}}),
        config(characters=characters | {"filters": [call]}),
        config(hidden_size={"size": call}),
        config(dropout=[[call]]),
    ]


@pytest.mark.parametrize("target", HOSTILE_TARGETS, ids=str)
def test_nothing_but_parts_of_models_can_be_named(target: Any, entities: PreparedData) -> None:
    CALLS.clear()
    for bad in hostile(target):
        with pytest.raises(ValueError) as refused:
            build_model(bad, entities.schema)
        assert "\n" not in str(refused.value)
    assert not CALLS


def test_a_refused_target_is_named_with_what_is_accepted() -> None:
    with pytest.raises(ValueError, match=r"^model\._target_='os\.system'; accepted: unroll\.nn\.SequenceModel, "):
        check_model({"_target_": "os.system", "command": "true"})
    with pytest.raises(ValueError, match=r"^model\.encoder\.cell\._target_='torch\.load'; accepted: .*unroll\.nn\.GRU"):
        check_model(config(encoder=config()["encoder"] | {"cell": {"_target_": "torch.load", "f": "x"}}))


@pytest.mark.parametrize("key", ["_args_", "_convert_", "_recursive_", "_call_", "hiden_size", "defaults"])
def test_an_unknown_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=rf"^model\.{key}: unknown key.*; accepted: "):
        check_model(config(**{key: []}))
    with pytest.raises(ValueError, match=rf"^model\.encoder\.{key}: unknown key.*; accepted: "):
        check_model(config(encoder=config()["encoder"] | {key: []}))


@pytest.mark.parametrize("key", ["task", "label_names", "vocabulary_size", "alphabet_size"])
def test_a_fact_about_the_dataset_is_no_key(key: str) -> None:
    with pytest.raises(ValueError, match=rf"^model\.{key}: "):
        check_model(config(**{key: 3}))


def test_a_fixed_argument_of_a_part_is_refused_in_one_line(entities: PreparedData) -> None:
    with pytest.raises(ValueError, match=r"^model: .*input_size"):
        build_model(config(encoder=config()["encoder"] | {"input_size": 5}), entities.schema)


@pytest.mark.parametrize("wrong", [5, "lstm", [], None])
def test_a_value_where_a_part_belongs_is_refused_in_one_line(wrong: Any, entities: PreparedData) -> None:
    with pytest.raises(ValueError, match=r"^model[.:]"):
        build_model(config(encoder=wrong), entities.schema)


def test_no_interpolation_is_resolved(entities: PreparedData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIZE", "8")
    with pytest.raises(ValueError, match=r"^model\.hidden_size='\$\{oc\.env:SIZE\}'"):
        build_model(config(hidden_size="${oc.env:SIZE}"), entities.schema)


def test_parts_are_built_as_they_are_described(entities: PreparedData) -> None:
    network = build_model(config(hidden_size=6), entities.schema)
    assert isinstance(network, SequenceModel)
    assert isinstance(network.embedding.characters, CharacterCNN)
    assert isinstance(network.encoder.forward_cells[0], LSTM)
    assert network.encoder.output_size == 12


@pytest.mark.parametrize("target", ["os.system", "unroll.tracking.git._git", f"{__name__}.record_call"])
def test_a_hostile_folder_is_refused_before_anything_runs(target: str, entities: PreparedData, tmp_path: Path) -> None:
    CALLS.clear()
    folder = save_random_model(entities, tmp_path / "model", "bilstm_char_crf")
    content = json.loads((folder / "config.json").read_text())
    content["model"]["encoder"]["cell"] = {"_target_": target, "command": f"touch {tmp_path}/ran"}
    (folder / "config.json").write_text(json.dumps(content))
    forget_checksums(folder)
    for load in (TrainedModel.load, Predictor.load):
        with pytest.raises(ValueError, match=r"model\.encoder\.cell\._target_="):
            load(folder)
    assert not CALLS
    assert not (tmp_path / "ran").exists()
