"""A model's configuration can name parts of models, and cannot make the program do anything else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import MODELS, forget_checksums, save_random_model, tiny_parts
from unroll.data.prepared import PreparedData
from unroll.data.tokens import Task
from unroll.inference.building import build_model, check_model, check_used, try_model
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


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_size": -3}, "model.hidden_size=-3; accepted: 1 or more"),
        ({"dropout": 1.5}, "model.dropout=1.5; accepted: 0 to below 1"),
        ({"encoder": {"num_layers": 0}}, "model.encoder.num_layers=0; accepted: 1 or more"),
        ({"encoder": {"dropout": 2.0}}, "model.encoder.dropout=2.0; accepted: 0 to below 1"),
        ({"characters": {"filters": 0}}, "model.characters.filters=0; accepted: 1 or more"),
    ],
)
def test_a_value_that_a_part_refuses_is_named_by_its_key(
    changes: dict[str, Any], said: str, entities: PreparedData
) -> None:
    made = {key: config()[key] | it if isinstance(it, dict) else it for key, it in changes.items()}
    for build in (build_model, try_model):
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            build(config(**made), entities.schema)


@pytest.mark.parametrize("name", MODELS)
def test_trying_a_model_refuses_what_building_it_does(name: str, prepared: dict[Task, PreparedData]) -> None:
    for data in prepared.values():
        found = []
        for build in (build_model, try_model):
            try:
                build(MODELS[name], data.schema)
                found.append("")
            except ValueError as error:
                found.append(str(error))
        assert found[0] == found[1]


CELLS = ["Elman", "GRU", "IndRNN", "LRU", "LSTM", "MinGRU", "MinLSTM", "PeepholeLSTM", "QRNN", "SLSTM", "SRU"]


@pytest.mark.parametrize("wrong", ["Lstm", "CharacterCNN", "LinearChainCRF", "RecurrentEncoder"])
def test_a_cell_that_is_none_lists_the_cells(wrong: str) -> None:
    with pytest.raises(ValueError) as error:
        check_model(config(encoder=config()["encoder"] | {"cell": {"_target_": f"unroll.nn.{wrong}"}}))
    said, _, accepted = str(error.value).partition("; accepted: ")
    hint = " (did you mean 'unroll.nn.LSTM'?)" if wrong == "Lstm" else ""
    assert said.startswith(f"model.encoder.cell._target_='unroll.nn.{wrong}'{hint}")
    assert accepted == ", ".join(f"unroll.nn.{name}" for name in CELLS)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "encoder",
            None,
            "model.encoder=None; accepted: a mapping with _target_ and _partial_: true; _target_ is one of "
            "unroll.nn.FeedForwardEncoder, unroll.nn.RecurrentEncoder",
        ),
        (
            "characters",
            "unroll.nn.characterCNN",
            "model.characters='unroll.nn.characterCNN' (did you mean 'unroll.nn.CharacterCNN'?); accepted: a mapping "
            "with _target_ and _partial_: true, or null; _target_ is one of unroll.nn.CharacterCNN, "
            "unroll.nn.CharacterLSTM",
        ),
    ],
)
def test_a_value_where_a_part_belongs_lists_the_parts(key: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        check_model(config(**{key: value}))


def test_an_unknown_key_lists_no_argument_that_the_code_passes() -> None:
    for changes in ({"hiden": 1}, {"encoder": config()["encoder"] | {"hiden": 1}}, {"characters": {"filtres": 1}}):
        made = {key: config()[key] | it if key == "characters" else it for key, it in changes.items()}
        with pytest.raises(ValueError, match="unknown key") as error:
            check_model(config(**made))
        accepted = str(error.value).partition("accepted: ")[2].split(", ")
        assert not {"task", "label_names", "vocabulary_size", "alphabet_size", "input_size"} & set(accepted)


@pytest.mark.parametrize(
    ("key", "value", "task", "said"),
    [
        ("head", "crf", "classification", "model.head=crf is for labeling and tagging, and the dataset's task is"),
        ("head", "constrained_crf", "multilabel", "model.head=constrained_crf is for labeling and tagging"),
        ("pooling", "max", "labeling", "model.pooling=max is for classification and multilabel"),
        ("pooling", "max", "tagging", "model.pooling=max is for classification and multilabel"),
    ],
)
def test_a_key_that_the_task_does_not_use_is_refused_where_it_was_set(
    key: str, value: str, task: Task, said: str
) -> None:
    made = config(**{key: value})
    with pytest.raises(ValueError, match=f"^{re.escape(said)}.* {task}; accepted: (softmax|last), or the command"):
        check_used([key, "hidden_size"], made, task)
    check_used(["hidden_size"], made, task)  # set in a file for both kinds of tasks


@pytest.mark.parametrize("task", ["classification", "multilabel", "labeling", "tagging"])
def test_values_that_say_nothing_are_accepted_for_every_task(task: Task) -> None:
    check_used(["head", "pooling"], config(head="softmax", pooling="last"), task)


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
