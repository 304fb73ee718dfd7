from pathlib import Path

import pytest
from omegaconf import OmegaConf

from unroll.conf_files import check_primary, groups_and_keys, message_with_file, typed_overrides


def test_an_override_is_read_as_it_was_typed() -> None:
    typed = ["seed=${sede}", "data=${hydra:runtime.cwd}/x", "model=gru"]
    assert typed_overrides(OmegaConf.create(typed)) == typed


def test_every_stage_of_the_project_has_the_form_that_is_asked_for(project: Path) -> None:
    for script in project.glob("pipelines/[a-z]*.py"):
        check_primary(project, script.stem)
    assert {"dataset", "model", "seed", "plan"} <= set(groups_and_keys(project, "train"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^conf/train\.yaml does not exist; to restore it: git checkout conf/train"):
        check_primary(tmp_path, "train")


@pytest.mark.parametrize("text", ["min_count=0; accepted: 1 or more", "min_count: missing key"])
@pytest.mark.parametrize(("typed", "is_named"), [([], True), (["min_count=0"], False), (["min_counts=0"], True)])
def test_a_message_names_the_file_unless_the_key_was_typed(
    text: str, typed: list[str], is_named: bool, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    file = "; see conf/prepare.yaml" if is_named else ""
    assert message_with_file(ValueError(text), typed, "prepare") == text + file


@pytest.mark.parametrize("text", ["data/raw/x is damaged", "no model: train one", "row 3: label=7; accepted: 0 to 4"])
def test_a_message_about_no_key_stays(text: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert message_with_file(ValueError(text), [], "prepare") == text


def test_a_message_names_the_file_of_a_choice(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the processes of a plan, which have no configuration of Hydra's."""
    monkeypatch.chdir(project)
    error = ValueError("model.hiden_size: unknown key")
    found = message_with_file(error, ["model=mine", "seed=1"], "train", {"model": "mine"})
    assert found == "model.hiden_size: unknown key; see conf/model/mine.yaml"


@pytest.mark.parametrize("key", ["hydra.sweeper.pruner", "hydra.sweeper.pruner.n_warmup_steps"])
def test_a_message_about_a_part_of_a_study_names_the_folder_of_its_choices(
    key: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    found = message_with_file(ValueError(f"{key}: unknown key"), ["seed=1,2"], "train")
    assert found == f"{key}: unknown key; see conf/hydra/sweeper/pruner/"
