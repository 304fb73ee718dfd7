import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import CONF, save_random_model, tiny_parts
from tests.training.pretrained_folders import save_vectors
from unroll.data.prepared import PreparedData
from unroll.plan import fingerprint
from unroll.plan.fingerprint import (
    EVALUATION,
    TRAINING,
    config_checksum,
    evaluation_inputs,
    training_inputs,
)
from unroll.run_folder import RunFolder
from unroll.source_files import PACKAGE, source_files


def modules(names: tuple[str, ...]) -> set[str]:
    return {str(file.relative_to(PACKAGE)) for file in source_files(names)}


def config(**changes: Any) -> dict[str, Any]:
    return {**tiny_parts("gru"), "seed": 1, "vectors": None, "output": "here", "run_name": "gru-1", **changes}


def test_training_depends_on_every_cell_and_on_how_batches_are_made() -> None:
    found = modules(TRAINING)
    assert {"nn/gru.py", "training/module.py", "baselines/tfidf.py", "data/batches.py", "files.py"} <= found
    assert {str(file.relative_to(PACKAGE)) for file in (PACKAGE / "nn").glob("*.py")} <= found


@pytest.mark.parametrize("group", ["model", "optimizer", "scheduler", "trainer"])
def test_training_depends_on_every_target_that_a_configuration_names(group: str) -> None:
    files = {f"unroll.{file.removesuffix('.py').replace('/', '.')}" for file in modules(TRAINING)}
    packages = {name.removesuffix(".__init__") for name in files}
    text = "".join(file.read_text() for file in (CONF / group).glob("*.yaml"))
    targets = set(re.findall(r"_target_: (unroll\.\S+)\.\w+", text))
    assert targets <= packages
    assert targets or group in ("optimizer", "trainer")


def test_a_baseline_does_not_depend_on_how_networks_are_trained(reviews: PreparedData) -> None:
    baseline = config() | {"model": {"_target_": "unroll.baselines.Majority"}}
    changed = baseline | {"trainer": {"max_epochs": 9}, "optimizer": {"lr": 9}, "vectors": "nowhere"}
    changed |= {"finetune": {"layer_decay": 2}, "pretrained": "nowhere"}
    assert training_inputs(baseline, reviews) == training_inputs(changed, reviews)


def test_vectors_that_are_not_there_are_named(reviews: PreparedData) -> None:
    with pytest.raises(ValueError, match="vectors=nowhere: no such file"):
        training_inputs(config(vectors="nowhere"), reviews)


def test_neither_depends_on_what_only_shows_or_keeps_results() -> None:
    for names in (TRAINING, EVALUATION):
        assert not any(
            file.startswith(("registry/", "sweep/", "tracking/", "drift/", "plan/")) for file in modules(names)
        )


def test_an_evaluation_does_not_depend_on_how_networks_are_trained() -> None:
    assert not any(file.startswith("training/") for file in modules(EVALUATION))


@pytest.mark.parametrize("key", ["model", "optimizer", "seed", "trainer"])
def test_a_value_that_has_an_effect_changes_the_checksum(key: str) -> None:
    before = config()
    after = before | {key: 7 if key == "seed" else before[key] | {"another": 1}}
    assert config_checksum(before) != config_checksum(after)


def test_where_results_go_and_what_the_run_is_called_changes_nothing() -> None:
    assert config_checksum(config()) == config_checksum(config(output="there", run_name="x", jobs=3, plan="p"))


@pytest.mark.parametrize("trainer", ["auto", "gpu"])
def test_the_same_training_on_another_device_is_no_other_one(trainer: str) -> None:
    """So that `trainer: auto` in params.yaml trains nothing again that `trainer: cpu` has trained."""
    assert config_checksum(config()) == config_checksum(config(trainer=tiny_parts("gru", trainer)["trainer"]))
    two = tiny_parts("gru", trainer)["trainer"] | {"devices": 2}  # share the batches, whose number differs
    assert config_checksum(config()) != config_checksum(config(trainer=two))


def test_an_evaluation_on_another_device_is_no_other_one(reviews: PreparedData, tmp_path: Path) -> None:
    found = [
        evaluation_inputs({"batch_size": 8, "threads": 1, "device": device}, reviews, RunFolder(tmp_path))
        for device in ("cpu", "cuda")
    ]
    assert found[0] == found[1]


def test_other_vectors_under_the_same_name_are_other_inputs(reviews: PreparedData, tmp_path: Path) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text("good 1 2")
    before = training_inputs(config(vectors=str(file)), reviews)
    file.write_text("good 1 3")
    assert training_inputs(config(vectors=str(file)), reviews) != before


def test_other_pretrained_weights_under_the_same_name_are_other_inputs(reviews: PreparedData, tmp_path: Path) -> None:
    found = []
    for number, scale in enumerate((1.0, 1.0, 2.0)):
        made = Path(save_vectors(tmp_path / f"{number}", ["good"], scale=scale))
        shutil.rmtree(tmp_path / "name", ignore_errors=True)
        made.rename(tmp_path / "name")
        found.append(training_inputs(config(pretrained=str(tmp_path / "name")), reviews))
    assert found[0] == found[1] != found[2]
    assert {key for key in found[0] if found[0][key] != found[2][key]} == {"pretrained"}


def test_an_evaluation_depends_on_every_byte_of_the_model(reviews: PreparedData, tmp_path: Path) -> None:
    save_random_model(reviews, tmp_path / "model")
    options = {"batch_size": 8, "threads": 1}
    before = evaluation_inputs(options, reviews, RunFolder(tmp_path))
    assert evaluation_inputs(options, reviews, RunFolder(tmp_path)) == before
    weights = tmp_path / "model/weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert evaluation_inputs(options, reviews, RunFolder(tmp_path)) != before


def test_an_edit_of_code_changes_the_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "unroll"
    for name, text in {"a.py": "import unroll.b.c", "b/__init__.py": "", "b/c.py": "x = 1", "d.py": ""}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    monkeypatch.setattr("unroll.source_files.PACKAGE", package)
    assert modules_of(package) == {"a.py", "b/__init__.py", "b/c.py"}
    before = checksum()
    (package / "d.py").write_text("y = 1")
    assert checksum() == before
    (package / "b/c.py").write_text("x = 2")
    assert checksum() != before


def modules_of(package: Path) -> set[str]:
    return {str(file.relative_to(package)) for file in source_files(["unroll.a"])}


def checksum() -> str:
    fingerprint.code_checksum.cache_clear()
    try:
        return fingerprint.code_checksum(("unroll.a",))
    finally:
        fingerprint.code_checksum.cache_clear()


def test_inputs_are_fit_for_json(reviews: PreparedData) -> None:
    inputs = training_inputs(config(), reviews)
    assert json.loads(json.dumps(inputs)) == inputs
