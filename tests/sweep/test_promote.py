from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna import Study
from optuna.trial import TrialState, create_trial

from unroll.sweep.promote import PromoteOptions, Recipe, promote, promotion_hint, recipe_of
from unroll.sweep.space import Space
from unroll.sweep.studies import OVERRIDES, open_study

CONF = Path(__file__).parents[2] / "conf"
PLAN = """# What is run.
classification:
  datasets: [demo_reviews] # and more
  models: [lstm]
labeling: {datasets: [demo_entities], models: [fcnn, bilstm]}
seeds: [1, 2]
"""


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(PLAN)
    return tmp_path / "params.yaml"


def study(storage: str, *trials: tuple[float, list[str]]) -> Study:
    """A study named `s` with these values and overrides."""
    space = Space(OverridesParser.create().parse_overrides(["x=1,2"]))
    found = open_study("s", storage, ["best_score"], space, {})
    for value, overrides in trials:
        found.add_trial(create_trial(value=value, user_attrs={OVERRIDES: overrides}))
    return found


def options(storage: str, plan: Path, trial: int | None = None, name: str | None = None) -> PromoteOptions:
    return PromoteOptions("s", storage, trial, name, str(plan))


def test_a_study_that_cannot_be_creates_no_database(tmp_path: Path, storage: str, plan: Path) -> None:
    with pytest.raises(ValueError, match=r"study=s: no such study in storage=.*studies\.db; accepted: a database"):
        promote(options(storage, plan), tmp_path)
    with pytest.raises(ValueError, match=r"study='a/\.\./b'; accepted: a name of letters"):
        promote(PromoteOptions("a/../b", storage, None, None, str(plan)), tmp_path)
    assert [it.name for it in tmp_path.iterdir()] == ["params.yaml"]


def test_a_recipe_is_the_whole_model_and_what_else_differs() -> None:
    overrides = ["model=bilstm", "model.hidden_size=64", "optimizer.lr=0.01", "trainer.max_epochs=3", "batch_size=16"]
    recipe = recipe_of(["dataset=demo_entities", "seed=7", *overrides])
    model = yaml.safe_load((CONF / "model/bilstm.yaml").read_text()) | {"hidden_size": 64}
    rest = {"optimizer": {"lr": 0.01}, "trainer": {"max_epochs": 3}, "batch_size": 16}
    assert recipe == Recipe("bilstm", "demo_entities", "labeling", {"model": model, **rest})


def test_what_the_file_of_the_sweep_set_is_in_the_recipe(tmp_path: Path) -> None:
    given = {"batch_size": 7, "patience": 9, "trainer": {"max_epochs": 30}}
    chosen = {"defaults": [{"override /model": "gru"}]}
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/zz.yaml").write_text(f"# @package _global_\n{yaml.safe_dump(given | chosen)}")
    recipe = recipe_of(["sweep=zz", f"hydra.searchpath=[file://{tmp_path}]", "patience=8"])
    assert recipe.model == "gru"
    assert {key: value for key, value in recipe.config.items() if key != "model"} == given | {"patience": 8}


def test_what_a_promoted_model_set_stays_when_it_is_promoted_again(tmp_path: Path) -> None:
    promoted = recipe_of(["model=gru", "optimizer.lr=0.002"]).config
    (tmp_path / "model").mkdir()
    (tmp_path / "model/zz.yaml").write_text(f"# @package _global_\n{yaml.safe_dump(promoted)}")
    recipe = recipe_of(["model=zz", f"hydra.searchpath=[file://{tmp_path}]", "batch_size=16"])
    assert recipe.config == promoted | {"batch_size": 16}


def test_what_a_trial_began_with_and_how_it_was_fine_tuned_are_in_the_recipe() -> None:
    config = recipe_of(["model=bilstm", "pretrained=imdb", "finetune=discriminative"]).config
    assert {key: value for key, value in config.items() if key != "model"} == {
        "pretrained": "imdb",
        "finetune": {"layer_decay": 2.6},
    }


def test_the_machine_is_no_part_of_a_recipe() -> None:
    assert set(recipe_of(["model=gru", "trainer=ddp"]).config) == {"model"}


def test_what_was_promoted_composes_to_what_was_tried(storage: str, plan: Path, tmp_path: Path) -> None:
    overrides = ["model=gru", "model.hidden_size=48", "model.encoder.num_layers=2", "optimizer.lr=0.002", "patience=2"]
    study(storage, (0.5, ["model=lstm"]), (0.9, overrides))
    conf = tmp_path / "conf"
    (conf / "model").mkdir(parents=True)
    promoted = promote(options(storage, plan), conf)
    assert promoted.file == conf / "model/gru_s.yaml"

    tried = compose("train", overrides)
    content = yaml.safe_load(promoted.file.read_text())
    assert compose("train", ["model=gru_s", f"hydra.searchpath=[file://{conf}]"]) == tried
    assert content["optimizer"] == {"lr": 0.002}


def test_the_plan_gains_the_name_and_keeps_the_rest(storage: str, plan: Path, tmp_path: Path) -> None:
    study(storage, (0.9, ["model=gru"]))
    (tmp_path / "conf/model").mkdir(parents=True)
    promoted = promote(options(storage, plan, name="mine"), tmp_path / "conf")
    assert plan.read_text() == PLAN.replace("models: [lstm]", "models: [lstm, mine]")
    assert (promoted.group, promoted.line) == ("classification", "models: [lstm, mine]")
    promote(options(storage, plan, name="mine"), tmp_path / "conf")  # again: the same
    assert plan.read_text() == PLAN.replace("models: [lstm]", "models: [lstm, mine]")


@pytest.mark.parametrize(
    ("dataset", "missing"),
    [("demo_reviews", None), ("imdb", "imdb"), ("demo_entities", None), ("few_nerd", "few_nerd")],
)
def test_a_dataset_that_the_plan_does_not_list_is_told(
    dataset: str, missing: str | None, storage: str, plan: Path, tmp_path: Path
) -> None:
    study(storage, (0.9, ["model=gru", f"dataset={dataset}"]))
    (tmp_path / "conf/model").mkdir(parents=True)
    assert promote(options(storage, plan), tmp_path / "conf").missing == missing


def test_a_name_that_another_model_has_is_refused(storage: str, plan: Path, tmp_path: Path) -> None:
    study(storage, (0.9, ["model=gru"]), (0.8, ["model=lstm"]))
    (tmp_path / "conf/model").mkdir(parents=True)
    promote(options(storage, plan, name="mine"), tmp_path / "conf")
    with pytest.raises(ValueError, match=r"name=mine: .*mine\.yaml exists and is another model"):
        promote(options(storage, plan, trial=1, name="mine"), tmp_path / "conf")


@pytest.mark.parametrize("storage", ["sqlite:////nowhere/x.db", "nonsense", "mysql://here/x"])
def test_a_storage_that_cannot_be_used_is_named_by_the_key_of_this_command(storage: str, plan: Path) -> None:
    with pytest.raises(ValueError, match=f"^storage='{storage}'"):
        promote(options(storage, plan), CONF)


def test_a_trial_that_is_not_complete_is_refused_with_those_that_are(storage: str, plan: Path, tmp_path: Path) -> None:
    study(storage, (0.9, ["model=gru"])).add_trial(create_trial(state=TrialState.FAIL))
    with pytest.raises(ValueError, match=r"trial=1 of s; accepted: 0 \(the best: 0\)"):
        promote(options(storage, plan, trial=1), tmp_path)


def test_an_optimizer_that_the_pipeline_does_not_use_is_refused() -> None:
    with pytest.raises(ValueError, match="scheduler=constant, but the pipeline trains every model with linear"):
        recipe_of(["model=gru", "scheduler=constant"])


def test_the_hint_is_the_line_that_would_be_written(storage: str, plan: Path) -> None:
    hint = promotion_hint(study(storage, (0.9, ["model=gru"])), plan)
    assert "classification: models: [lstm, gru_s]" in hint
    assert "python pipelines/promote.py study=s" in hint
    assert plan.read_text() == PLAN
