import re
from pathlib import Path

import pytest

from unroll.plan.plan import Plan, check_models, read_plan

PARAMS = """
classification:
  models: [gru, 7]
labeling:
  datasets: [entities]
seeds: [1, 2]
"""


@pytest.fixture
def params(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path / "params.yaml"


def test_without_a_file_everything_is_compared() -> None:
    assert read_plan(None, "classification") == Plan(models=None, seeds=None)


def test_the_task_s_models_and_the_seeds_are_read_in_order(params: Path) -> None:
    assert read_plan(params, "classification") == Plan(models=["gru", "7"], seeds=[1, 2])


def test_datasets_of_several_labels_have_the_models_of_classification(params: Path) -> None:
    assert read_plan(params, "multilabel") == read_plan(params, "classification")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"plan=.*parms\.yaml: no such file; accepted: a params\.yaml, or null"):
        read_plan(tmp_path / "parms.yaml", "classification")


@pytest.mark.parametrize(
    "content",
    [
        PARAMS,  # no labeling.models
        "seeds: [1]",
        "labeling: {models: [gru]}",
        "labeling: [gru]\nseeds: [1]",
        "",
        "labeling: {models: [gru",
    ],
)
def test_a_file_that_does_not_list_them_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(ValueError) as error:
        read_plan(path, "labeling")
    assert f"plan={path} does not list labeling.models and seeds" in str(error.value)


def test_a_key_that_resembles_one_that_is_there_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS + "sedes: [1]")
    assert read_plan(path, "classification").seeds == [1, 2]
    assert "sedes: unknown key (did you mean 'seeds'?); accepted: classification, labeling" in caplog.text


def test_parameters_of_other_stages_may_stand_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS + "deploy: {port: 1}\ntrainer: auto\ntrain: {rate: 1}")
    assert read_plan(path, "classification") == (["gru", "7"], [1, 2])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            PARAMS.replace("seeds", "sedes"),
            "sedes: unknown key (did you mean 'seeds'?); accepted: classification, labeling, pretrain",
        ),
        (
            PARAMS.replace("  models", "  model: [gru]\n  models"),
            "classification.model: unknown key (did you mean 'models'?); accepted: datasets, models",
        ),
    ],
)
def test_an_unknown_key_is_named_with_the_closest(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=f"^{re.escape(f'plan={path}: {said}')}"):
        read_plan(path, "classification")


def test_the_params_of_the_project_have_no_unknown_key(project: Path) -> None:
    for task in ("classification", "labeling"):
        assert read_plan(project / "params.yaml", task).models


def test_a_model_without_a_file_is_named_with_its_place(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    check_models("params.yaml", "multilabel", ["majority", "lstm"])
    said = "plan=params.yaml: classification.models has 'lsmt', which is no file in conf/model (did you mean 'lstm'?)"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}; accepted: awd_lstm, bilstm, "):
        check_models("params.yaml", "multilabel", ["majority", "lsmt"])


@pytest.mark.parametrize("seeds", ["[one]", "1", "null", "[]", "[1, 1]", "[1.5]", "[true]", "[-1]", "[4294967296]"])
def test_seeds_are_different_whole_numbers(tmp_path: Path, seeds: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"labeling: {{models: [gru]}}\nseeds: {seeds}")
    with pytest.raises(
        ValueError, match=r"seeds=.*; accepted: a list of one or more different whole numbers from 0 to 4294967295"
    ):
        read_plan(path, "labeling")


@pytest.mark.parametrize("models", ["gru", "null", "[]", "[gru, gru]", "[[gru]]", "[null]"])
def test_models_are_different_names(tmp_path: Path, models: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"labeling: {{models: {models}}}\nseeds: [1]")
    with pytest.raises(ValueError, match=r"labeling\.models=.*; accepted: a list of one or more different names"):
        read_plan(path, "labeling")


@pytest.mark.parametrize("plan", [5, True, ["params.yaml"]])
def test_what_is_no_path_is_named(plan: object) -> None:
    with pytest.raises(ValueError, match="no such file; accepted: a params"):
        read_plan(plan, "labeling")  # type: ignore[arg-type]


def test_a_name_where_a_list_is_meant_is_not_read_letter_by_letter(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("labeling: {models: gru}\nseeds: [1]")
    with pytest.raises(ValueError, match=r"labeling\.models='gru'"):
        read_plan(path, "labeling")
